"""The shape of a prop as it is drawn on a scene card: silhouettes of its parts, without OpenGL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from h2r_bench.types import FloatArray

if TYPE_CHECKING:
    from h2r_bench.envs.scene.compiled import CompiledScene, PropSpec
    from h2r_bench.real.scene_cards.projection import Projection

Color = tuple[int, int, int]
"""sRGB, 0..255."""

_ROUND = 24
"""Corners of a circle."""


@dataclass(frozen=True)
class Part:
    """One convex part of a prop."""

    points: FloatArray
    """Shape (N, 3) [m], in the prop's body frame."""
    color: Color


@dataclass(frozen=True)
class Outline:
    """A prop's parts, and how large it is."""

    parts: tuple[Part, ...]

    @property
    def extent(self) -> FloatArray:
        """Length, width and height (3,) [m] along the prop's own axes."""
        points = np.concatenate([part.points for part in self.parts])
        return np.asarray(points.max(axis=0) - points.min(axis=0))

    def polygons(self, prop: PropSpec, projection: Projection) -> list[tuple[FloatArray, Color]]:
        """Corners (N, 2) [pixels] and colour of each part of `prop` where it rests, the farthest first."""
        placed = [(world_points(part.points, prop), part.color) for part in self.parts]
        placed.sort(key=lambda each: -projection.depth(each[0]).min())
        return [(hull(projection.pixels(points)), color) for points, color in placed]


def outlines(stage: CompiledScene, props: tuple[PropSpec, ...]) -> tuple[Outline, ...]:
    """The outline of each of `props`, which the compiled `stage` holds in this order."""
    return tuple(_outline(stage, index, prop) for index, prop in enumerate(props))


def world_points(points: FloatArray, prop: PropSpec) -> FloatArray:
    """Points (N, 3) [m] of the body frame in the robot base frame, the prop at rest."""
    cos, sin = np.cos(prop.yaw), np.sin(prop.yaw)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return points @ turn.T + (prop.x, prop.y, prop.shape.rest_height)


def hull(pixels: FloatArray) -> FloatArray:
    """The corners of the convex hull of points (N, 2), in order round it."""
    try:
        return np.asarray(pixels[ConvexHull(pixels).vertices])
    except QhullError:  # seen edge-on
        return pixels[[int(pixels[:, 0].argmin()), int(pixels[:, 0].argmax())]]


def _outline(stage: CompiledScene, index: int, prop: PropSpec) -> Outline:
    from h2r_bench.envs.scene.props import TINTED

    model = stage.model
    parts = []
    for geom in np.flatnonzero(stage.prop_of_geom == index):
        tinted = model.geom(int(geom)).name.split("/")[-1].startswith(TINTED)
        rgb = prop.rgb if tinted else model.geom_rgba[geom, :3]
        parts.append(Part(_geom_points(model, int(geom)), _color(rgb)))
    return Outline(tuple(parts))


def _color(rgb: FloatArray | tuple[float, float, float]) -> Color:
    red, green, blue = (round(255 * min(max(float(level), 0.0), 1.0)) for level in rgb)
    return red, green, blue


def _geom_points(model: mujoco.MjModel, geom: int) -> FloatArray:
    """Points (N, 3) [m] in the body frame whose convex hull is the geom's."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, model.geom_quat[geom])
    local = _local_points(model, geom, int(model.geom_type[geom]), model.geom_size[geom])
    return np.asarray(local @ matrix.reshape(3, 3).T + model.geom_pos[geom])


def _local_points(model: mujoco.MjModel, geom: int, kind: int, size: FloatArray) -> FloatArray:
    shapes = mujoco.mjtGeom
    if kind == shapes.mjGEOM_BOX.value:
        return _grid((-1, 1), (-1, 1), (-1, 1)) * size
    if kind == shapes.mjGEOM_MESH.value:
        mesh = model.geom_dataid[geom]
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        return np.asarray(model.mesh_vert[start : start + count], float)
    if kind == shapes.mjGEOM_CYLINDER.value:
        return np.concatenate([_circle() * size[0] + (0, 0, z) for z in (-size[1], size[1])])
    if kind == shapes.mjGEOM_CAPSULE.value:
        return np.concatenate([_ball() * size[0] + (0, 0, z) for z in (-size[1], size[1])])
    return _ball() * (size if kind == shapes.mjGEOM_ELLIPSOID.value else size[0])


def _grid(*axes: tuple[float, ...]) -> FloatArray:
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3).astype(float)


def _circle() -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(_ROUND)], axis=1)


def _ball() -> FloatArray:
    """Points of the unit sphere on rings of latitude."""
    rings = []
    for latitude in np.linspace(-np.pi / 2, np.pi / 2, _ROUND // 2 + 1):
        rings.append(_circle() * np.cos(latitude) + (0, 0, np.sin(latitude)))
    return np.concatenate(rings)
