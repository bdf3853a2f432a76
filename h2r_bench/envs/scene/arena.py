"""Table, surroundings, light and cameras."""

from __future__ import annotations

import numpy as np
from dm_control import mjcf
from scipy.spatial.transform import Rotation

from h2r_bench.envs.scene.textures import TABLE_PIXELS
from h2r_bench.types import FloatArray

ROBOT_CAMERA = "robot_view"
HUMAN_CAMERA = "human_view"

CAMERA_POSITION = (1.34, 0.0, 0.66)
"""Third-person front camera [m], robot base frame: it looks back at the table, as in H&R."""
CAMERA_TARGET = (0.48, 0.0, 0.08)
"""The point the camera looks at [m]."""
CAMERA_FOVY = 28.0
"""Vertical field of view [degrees]: tight, so that open and closed fingers are told apart at 128x128."""

TABLE_TEXTURE = "table"
"""The one texture that is repainted for each scene's table top."""
LAMP = "lamp"
LAMP_DIRECTION = (-0.27, 0.33, -1.0)
LAMP_COLOR = (0.45, 0.45, 0.43)


TOOL_SHADOW = "tool_shadow"
"""The soft shadow on the table under gripper or hand; a cheap stand-in for the lamp's, it shows height."""


def look_at(position: FloatArray, target: FloatArray) -> FloatArray:
    """Orientation of a camera at `position` looking at `target` [m], upright: MuJoCo's xyaxes, shape (6,)."""
    backward = position - target
    backward = backward / np.linalg.norm(backward)
    right = np.cross((0.0, 0.0, 1.0), backward)
    right = right / np.linalg.norm(right)
    return np.concatenate([right, np.cross(backward, right)])


def project(
    points: FloatArray,
    image_size: tuple[int, int],
    offset: FloatArray | None = None,
    turn: FloatArray | None = None,
) -> FloatArray:
    """Where the robot's camera sees `points` (..., 3) [m, robot base frame]: (..., 2) [pixels], x then y.

    Pixel centres are whole numbers, the origin is the upper left one; `image_size` is (width, height). A
    point behind the camera has no place in the picture and gives NaN. Another camera stands `offset` (3,) [m]
    beside it and is turned by the rotation vector `turn` (3,) [rad, camera frame], such as the human's.
    """
    position, axes = np.array(CAMERA_POSITION), look_at(np.array(CAMERA_POSITION), np.array(CAMERA_TARGET))
    frame = np.stack([axes[:3], axes[3:], np.cross(axes[:3], axes[3:])], 1)
    if turn is not None:
        frame = frame @ Rotation.from_rotvec(turn).as_matrix()
    seen = points - (position if offset is None else position + offset)
    depth = -(seen @ frame[:, 2])
    width, height = image_size
    focal = 0.5 * height / np.tan(np.radians(CAMERA_FOVY) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = np.stack([seen @ frame[:, 0], -(seen @ frame[:, 1])], -1) * focal / depth[..., None]
    plane[depth <= 0] = np.nan
    pixels: FloatArray = plane + (np.array([width, height]) - 1) / 2
    return pixels


def build_arena() -> mjcf.RootElement:
    """The empty stage: table top at z = 0, floor, wall, one shadow-casting light, two cameras."""
    root = mjcf.RootElement(model="tabletop")
    root.compiler.angle = "radian"
    root.compiler.autolimits = True
    root.option.timestep = 0.002
    root.option.integrator = "implicitfast"
    root.option.cone = "elliptic"
    root.option.impratio = 10
    root.size.memory = "16M"
    root.visual.headlight.ambient = (0.42, 0.42, 0.42)
    root.visual.headlight.diffuse = (0.32, 0.32, 0.32)
    root.visual.headlight.specular = (0.1, 0.1, 0.1)
    root.visual.map.znear = 0.02
    root.visual.quality.shadowsize = 1024
    # The shadow map of a directional light spans this extent: the workspace, so that shadows stay sharp.
    root.statistic.extent = 0.8
    root.statistic.center = (0.45, 0.0, 0.1)
    # Room for the paper's 424x240 and for larger pictures.
    root.visual.get_children("global").set_attributes(offwidth=1280, offheight=960)
    _add_surfaces(root)
    root.worldbody.add(
        "light",
        name=LAMP,
        pos=(0.9, -0.5, 1.6),
        dir=LAMP_DIRECTION,
        diffuse=LAMP_COLOR,
        castshadow=True,
        type="directional",
    )
    shadow = root.worldbody.add("body", name=TOOL_SHADOW, mocap=True, pos=(0, 0, -1))
    shadow.add(
        "geom",
        name=TOOL_SHADOW,
        type="cylinder",
        size=(0.03, 0.0001),
        rgba=(0, 0, 0, 0.4),
        contype=0,
        conaffinity=0,
        group=1,
        mass=0,
    )
    axes = look_at(np.array(CAMERA_POSITION), np.array(CAMERA_TARGET))
    for name in (ROBOT_CAMERA, HUMAN_CAMERA):
        root.worldbody.add("camera", name=name, pos=CAMERA_POSITION, xyaxes=axes, fovy=CAMERA_FOVY)
    return root


def _add_surfaces(root: mjcf.RootElement) -> None:
    root.asset.add(
        "texture",
        name=TABLE_TEXTURE,
        type="2d",
        builtin="flat",
        width=TABLE_PIXELS,
        height=TABLE_PIXELS,
        rgb1=(1, 1, 1),
    )
    root.asset.add(
        "material", name=TABLE_TEXTURE, texture=TABLE_TEXTURE, texrepeat=(3, 3), specular=0.1, shininess=0.1
    )
    world = root.worldbody
    world.add(
        "geom",
        name="table",
        type="box",
        size=(0.55, 0.75, 0.02),
        pos=(0.42, 0, -0.02),
        material=TABLE_TEXTURE,
        friction=(0.8, 0.01, 0.0005),
    )
    seen = {"contype": 0, "conaffinity": 0}
    world.add(
        "geom",
        name="floor",
        type="plane",
        size=(4, 4, 0.1),
        pos=(0, 0, -0.75),
        rgba=(0.35, 0.33, 0.31, 1),
        **seen,
    )
    world.add(
        "geom",
        name="wall",
        type="box",
        size=(0.02, 4, 2.5),
        pos=(-0.75, 0, 0.5),
        rgba=(0.62, 0.64, 0.66, 1),
        **seen,
    )
