"""Contact sheet of the hand: `python -m h2r_bench.envs.hand.sheet --out FILE.png`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from dm_control import mjcf

from h2r_bench.envs.hand.attach import HAND_GROUP, attach_hand, png_bytes
from h2r_bench.envs.hand.hand_model import HandModel
from h2r_bench.envs.hand.style import SLEEVES, HandStyle
from h2r_bench.geometry import rotvec_to_matrix

if TYPE_CHECKING:
    from h2r_bench.types import UInt8Array

CUBE_OPENING = 0.5
"""Opening that holds the 4 cm cube."""

VIEWS: tuple[tuple[tuple[float, float, float], float, float, HandStyle], ...] = (
    ((0.48, 0.00, 0.02), 0.0, 1.0, HandStyle()),
    ((0.48, 0.00, 0.02), 0.0, CUBE_OPENING, HandStyle()),
    ((0.48, 0.00, 0.02), 0.0, 0.0, HandStyle()),
    ((0.48, 0.00, 0.02), -45.0, CUBE_OPENING, HandStyle()),
    ((0.48, 0.00, 0.02), 45.0, CUBE_OPENING, HandStyle(tone="medium")),
    ((0.48, 0.00, 0.02), 90.0, CUBE_OPENING, HandStyle(tone="medium")),
    ((0.48, 0.00, 0.02), -90.0, 1.0, HandStyle(tone="olive")),
    ((0.48, 0.00, 0.20), 0.0, CUBE_OPENING, HandStyle(tone="olive", sleeve_rgba=SLEEVES["navy"])),
    ((0.62, 0.15, 0.02), 20.0, CUBE_OPENING, HandStyle(tone="brown", sleeve_rgba=SLEEVES["white"])),
    ((0.36, -0.18, 0.10), 0.0, CUBE_OPENING, HandStyle(tone="dark")),
    ((0.48, 0.00, 0.02), 0.0, CUBE_OPENING, HandStyle(side="left", tone="porcelain")),
    ((0.55, 0.10, 0.10), -60.0, 1.0, HandStyle(side="left", tone="brown", sleeve_rgba=SLEEVES["burgundy"])),
)
"""Tool position [m], yaw [degrees], opening and style of each picture."""


def demo_scene() -> mjcf.RootElement:
    """A table, a 4 cm cube, two lights and the hand."""
    root = mjcf.RootElement(model="hand_sheet")
    root.visual.headlight.set_attributes(ambient=(0.35, 0.35, 0.35), diffuse=(0.35, 0.35, 0.35))
    root.visual.quality.set_attributes(offsamples=4)
    root.worldbody.add("light", pos=(0.9, -0.6, 1.6), dir=(-0.3, 0.4, -1), diffuse=(0.5, 0.5, 0.5))
    root.worldbody.add(
        "geom", type="box", size=(0.5, 0.6, 0.02), pos=(0.5, 0, -0.02), rgba=(0.72, 0.66, 0.58, 1)
    )
    root.worldbody.add(
        "geom", name="wall", type="plane", size=(3, 3, 0.1), pos=(0, 0, -0.7), rgba=(0.8, 0.82, 0.84, 1)
    )
    cube = root.worldbody.add("body", name="cube", mocap=True)
    cube.add("geom", type="box", size=(0.02, 0.02, 0.02), rgba=(0.8, 0.15, 0.12, 1), contype=0, conaffinity=0)
    root.worldbody.add(
        "camera", name="front", pos=(1.15, 0, 0.62), xyaxes=(0, 1, 0, -0.648, 0, 0.762), fovy=30
    )
    attach_hand(root)
    return root


def render_sheet(width: int = 424, height: int = 240, columns: int = 3) -> UInt8Array:
    """All `VIEWS` in rows of `columns`, shape (H, W, 3)."""
    root = demo_scene()
    model = mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())
    data, option = mujoco.MjData(model), mujoco.MjvOption()
    option.skingroup[HAND_GROUP] = 1
    cells = []
    with mujoco.Renderer(model, height, width) as renderer:
        for position, degrees, opening, style in VIEWS:
            puppet = HandModel(model, style)
            rotation = rotvec_to_matrix(np.array([0.0, 0.0, np.radians(degrees)]))
            puppet.set(data, np.array(position), rotation, opening)
            cube = model.body("cube").mocapid[0]
            data.mocap_pos[cube] = position if opening else (0.6, 0.12, 0.02)
            data.mocap_quat[cube] = [np.cos(np.radians(degrees) / 2), 0, 0, np.sin(np.radians(degrees) / 2)]
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, "front", option)
            cells.append(renderer.render().copy())
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--width", type=int, default=424)
    parser.add_argument("--height", type=int, default=240)
    arguments = parser.parse_args()
    arguments.out.write_bytes(png_bytes(render_sheet(arguments.width, arguments.height)))


if __name__ == "__main__":
    main()
