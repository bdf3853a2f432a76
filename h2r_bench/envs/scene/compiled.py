"""A scene as data, and the compiled MuJoCo stage it is played on."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from dm_control import mjcf
from numpy.typing import NDArray

from h2r_bench.envs.hand import attach_hand
from h2r_bench.envs.robot.model import ARM_JOINTS, build_arm
from h2r_bench.envs.scene import clutter  # noqa: F401  (its kinds register)
from h2r_bench.envs.scene.arena import LAMP, LAMP_COLOR, LAMP_DIRECTION, TABLE_TEXTURE, build_arena
from h2r_bench.envs.scene.prop_kind import PropKind
from h2r_bench.envs.scene.props import KINDS, TINTED
from h2r_bench.envs.scene.splits import RGB
from h2r_bench.envs.scene.textures import FINISH_PIXELS, GLOSS, PLAIN_GLOSS, finish_pixels, table_pixels
from h2r_bench.envs.writing.ink import SHEET_PIXELS, Lines
from h2r_bench.types import UInt8Array

SHEET = "sheet"
"""Name of a sheet of paper's geom, texture and material."""
FINISH = "finish"
"""Name of each prop's own texture and material."""

_PRISTINE_LIMIT = 12
_pristine: OrderedDict[tuple[str, ...], mujoco.MjModel] = OrderedDict()


@dataclass(frozen=True)
class PropSpec:
    """One thing on the table: what it is, its colour by name, where its body frame rests."""

    kind: str
    color: str
    rgb: RGB
    x: float
    """[m], robot base frame."""
    y: float
    """[m], robot base frame."""
    yaw: float
    """[rad]."""
    finish: str = "plain"
    """Surface, see `h2r_bench.envs.scene.textures.FINISHES`."""

    @property
    def shape(self) -> PropKind:
        """The geometry of this kind."""
        return KINDS.get(self.kind)

    @property
    def name(self) -> str:
        """How the instruction calls it."""
        return f"{self.color} {self.kind}"


@dataclass(frozen=True)
class Lamp:
    """The one light with a direction."""

    color: RGB = LAMP_COLOR
    direction: tuple[float, float, float] = LAMP_DIRECTION


@dataclass(frozen=True)
class SceneSpec:
    """All that is seen: props and surroundings."""

    props: tuple[PropSpec, ...]
    """What the task is about, then the clutter."""
    table: str
    wall: RGB
    lamp: Lamp = Lamp()
    clutter: int = 0
    """How many of the last props only stand about."""
    held: int | None = None
    """Index of the prop that the gripper holds from start to end."""
    guide: Lines = ()
    """Faint lines printed on the paper, in its frame [m]."""

    @property
    def paper(self) -> int | None:
        """Index of the sheet of paper, if there is one."""
        return self.kinds.index("paper") if "paper" in self.kinds else None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds in order: what decides which compiled model fits."""
        return tuple(prop.kind for prop in self.props)

    def describe(self) -> dict[str, Any]:
        """JSON-able description."""
        names = ("kind", "color", "finish", "x", "y", "yaw")
        props = [{name: getattr(prop, name) for name in names} for prop in self.props]
        lamp = {"color": list(self.lamp.color), "direction": list(self.lamp.direction)}
        return {
            "props": props,
            "table": self.table,
            "wall": list(self.wall),
            "lamp": lamp,
            "clutter": self.clutter,
        }


def prop_body(index: int) -> str:
    """Name of the body of prop `index`."""
    return f"prop{index}"


def compose(kinds: tuple[str, ...]) -> mjcf.RootElement:
    """Arena, robot, hand and props put together."""
    root = build_arena()
    arm = build_arm()
    root.attach(arm)
    attach_hand(root)
    for index, name in enumerate(kinds):
        kind = KINDS.get(name)
        prop = mjcf.RootElement(model=prop_body(index))
        prop.compiler.angle = "radian"
        kind.build(prop.worldbody)
        _add_finish(prop)
        frame = root.attach(prop)
        if kind.free:
            frame.add("freejoint")
        else:
            frame.mocap = True
    return root


def _add_finish(prop: mjcf.RootElement) -> None:
    """Give the prop's tinted geoms a texture of its own, to be repainted for each scene."""
    prop.asset.add(
        "texture",
        name=FINISH,
        type="cube",
        builtin="flat",
        rgb1=(1, 1, 1),
        width=FINISH_PIXELS,
        height=FINISH_PIXELS,
    )
    specular, shininess, reflectance = PLAIN_GLOSS
    material = prop.asset.add(
        "material",
        name=FINISH,
        texture=FINISH,
        specular=specular,
        shininess=shininess,
        reflectance=reflectance,
    )
    for geom in prop.find_all("geom"):
        if geom.name.startswith(TINTED):
            geom.material = material
        if geom.name == SHEET:
            geom.material = _add_sheet(prop)


def _add_sheet(prop: mjcf.RootElement) -> mjcf.Element:
    """The texture that ink is painted into."""
    prop.asset.add(
        "texture",
        name=SHEET,
        type="2d",
        builtin="flat",
        rgb1=(1, 1, 1),
        width=SHEET_PIXELS,
        height=SHEET_PIXELS,
    )
    return prop.asset.add("material", name=SHEET, texture=SHEET, specular=0.05, shininess=0.05)


def _pristine_model(kinds: tuple[str, ...]) -> mujoco.MjModel:
    """The compiled model of these kinds, from a small process-wide cache. Never modified: copy it."""
    if kinds not in _pristine:
        root = compose(kinds)
        _pristine[kinds] = mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())
        if len(_pristine) > _PRISTINE_LIMIT:
            _pristine.popitem(last=False)
    _pristine.move_to_end(kinds)
    return _pristine[kinds]


class CompiledScene:
    """One compiled model with the indices needed to play on it. Colours are set per scene."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.model = copy.deepcopy(_pristine_model(kinds))
        self.spec: SceneSpec | None = None
        """What it was last dressed as."""
        self.dressings = 0
        """How often `apply_appearance` was called: who draws the stage then knows that textures changed."""
        model = self.model
        self.tool_site = model.site("panda/tool").id
        self.arm_qpos = np.array([model.joint(f"panda/{name}").qposadr[0] for name in ARM_JOINTS])
        self.arm_dofs = np.array([model.joint(f"panda/{name}").dofadr[0] for name in ARM_JOINTS])
        servos = (*ARM_JOINTS, "left_finger")
        self.servos = np.array([model.actuator(f"panda/{name}").id for name in servos])
        """Actuators of the seven joints and of the gripper; each has one activation, its position target."""
        fingers = ("panda/left_finger", "panda/right_finger")
        self.finger_qpos = np.array([model.joint(name).qposadr[0] for name in fingers])
        self.bodies = np.array([model.body(f"{prop_body(i)}/").id for i in range(len(kinds))], int)
        self.prop_of_geom = self._map_geoms()
        self.gripper_geom = self._gripper_geoms()

    def _map_geoms(self) -> NDArray[np.int64]:
        """For each geom the index of its prop, or -1: shape (ngeom,)."""
        owner = np.full(self.model.ngeom, -1, np.int64)
        for index, body in enumerate(self.bodies):
            owner[self.model.geom_bodyid == body] = index
        return owner

    def _gripper_geoms(self) -> NDArray[np.bool_]:
        """Whether each geom belongs to the hand or a finger of the robot: shape (ngeom,)."""
        bodies = [self.model.body(f"panda/{name}").id for name in ("hand", "left_finger", "right_finger")]
        return np.isin(np.asarray(self.model.geom_bodyid), bodies)

    def free_qpos(self, index: int) -> int | None:
        """Address of prop `index`'s free joint in qpos; None for painted ones."""
        body = self.model.body(int(self.bodies[index]))
        return int(self.model.jnt_qposadr[body.jntadr[0]]) if body.jntnum[0] else None

    def apply_appearance(self, spec: SceneSpec) -> None:
        """Give everything the look of `spec`. The kinds must be those of this stage."""
        if spec.kinds != self.kinds:
            raise ValueError(f"this stage holds {self.kinds}, the scene asks for {spec.kinds}")
        model = self.model
        self._paint(TABLE_TEXTURE, table_pixels(spec.table))
        model.geom_rgba[model.geom("wall").id, :3] = spec.wall
        lamp = model.light(LAMP).id
        model.light_diffuse[lamp] = spec.lamp.color
        model.light_dir[lamp] = np.array(spec.lamp.direction) / np.linalg.norm(spec.lamp.direction)
        for index, prop in enumerate(spec.props):
            self._dress_prop(index, prop)
        self.spec = spec
        self.dressings += 1

    def _dress_prop(self, index: int, prop: PropSpec) -> None:
        model, name = self.model, f"{prop_body(index)}/{FINISH}"
        self._paint(name, finish_pixels(prop.finish))
        material = model.material(name)
        material.specular, material.shininess, material.reflectance = GLOSS.get(prop.finish, PLAIN_GLOSS)
        for geom in np.flatnonzero(self.prop_of_geom == index):
            if model.geom(int(geom)).name.split("/")[-1].startswith(TINTED):
                model.geom_rgba[geom, :3] = prop.rgb

    def paint_sheet(self, index: int, pixels: UInt8Array) -> int:
        """Repaint the sheet of paper that is prop `index`; returns the id of its texture."""
        name = f"{prop_body(index)}/{SHEET}"
        self._paint(name, pixels)
        return int(self.model.texture(name).id)

    def _paint(self, texture: str, pixels: UInt8Array) -> None:
        """Repaint a texture, each face of a cube alike; `pixels` has shape (P, P, 3)."""
        slot = self.model.texture(texture).id
        start, faces = int(self.model.tex_adr[slot]), int(self.model.tex_height[slot]) // len(pixels)
        data = self.model.tex_data[start : start + faces * pixels.size]
        data.reshape(faces, -1)[:] = pixels.reshape(-1)

    @property
    def painted_textures(self) -> list[int]:
        """Ids of the textures that `apply_appearance` repaints."""
        names = [TABLE_TEXTURE, *(f"{prop_body(i)}/{FINISH}" for i in range(len(self.kinds)))]
        return [int(self.model.texture(name).id) for name in names]
