"""From signed distance to a light triangle mesh: surface nets, decimation, skin weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fast_simplification
import numpy as np
from numpy.typing import NDArray

from h2r_bench.envs.hand.skeleton import ARM_BONES, BONES, FOREARM_LENGTH, PARENTS
from h2r_bench.envs.hand.surface import (
    hand_bone_distances,
    nail_and_palm_shade,
    skin_distance,
    sleeve_distance,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2r_bench.types import FloatArray

IntArray = NDArray[np.int32]

MAX_BONES = 4
"""Most bones one vertex follows."""

_COARSE = 4
"""Fine cells per coarse cell: far from the surface only coarse cells are looked at."""


@dataclass(frozen=True)
class SkinMesh:
    """A mesh bound to the bones at rest, palm frame, scale 1."""

    vertices: FloatArray
    """Shape (n, 3) [m]."""
    faces: IntArray
    """Shape (m, 3), counter-clockwise seen from outside."""
    weights: FloatArray
    """Shape (n, 20), rows sum to one, at most four entries above zero."""
    texcoord: FloatArray
    """Shape (n, 2): nail (0..1) and palm side (0..1), the axes of the colour chart."""


def build_hand_mesh(spacing: float = 0.0026, faces: int = 4800) -> SkinMesh:
    """The bare hand and arm."""
    low, high = np.array([-0.62, -0.075, -0.105]), np.array([0.215, 0.105, 0.065])
    vertices, triangles = simplified(*surface_net(skin_distance, low, high, spacing), faces)
    nail, palmar = nail_and_palm_shade(vertices)
    return SkinMesh(vertices, triangles, skin_weights(vertices, triangles), np.stack([nail, palmar], axis=1))


def build_sleeve_mesh(spacing: float = 0.0040, faces: int = 2200) -> SkinMesh:
    """A long sleeve over the arm."""
    low, high = np.array([-0.64, -0.085, -0.085]), np.array([0.0, 0.085, 0.085])
    vertices, triangles = simplified(*surface_net(sleeve_distance, low, high, spacing), faces)
    zero = np.zeros((len(vertices), 2))
    return SkinMesh(vertices, triangles, skin_weights(vertices, triangles), zero)


def surface_net(
    distance: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, spacing: float
) -> tuple[FloatArray, IntArray]:
    """Naive surface nets: zero set of `distance` inside a box as vertices (n, 3) [m] and faces (m, 3)."""
    grid = sample_near_surface(distance, low, high, spacing)
    inside = grid < 0
    corners = np.stack([_corner(grid, c) for c in np.ndindex(2, 2, 2)])
    mixed = (corners < 0).any(0) & (corners >= 0).any(0)
    index = np.full(mixed.shape, -1)
    index[mixed] = np.arange(mixed.sum())
    vertices = low + spacing * (np.argwhere(mixed) + _crossing_mean(corners[:, mixed]))
    faces = [_quads(inside, index, axis) for axis in range(3)]
    return vertices, np.concatenate(faces).astype(np.int32)


def sample_near_surface(
    distance: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, spacing: float
) -> FloatArray:
    """`distance` on a grid, exact near the surface, elsewhere right in sign, shape (nx, ny, nz)."""
    count = np.ceil((high - low) / spacing / _COARSE).astype(int)
    step = spacing * _COARSE
    axes = [low[k] + step * (np.arange(count[k]) + 0.5) - spacing / 2 for k in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    coarse = distance(centres).reshape(count)
    grid = coarse.repeat(_COARSE, 0).repeat(_COARSE, 1).repeat(_COARSE, 2)
    near = np.argwhere(np.abs(grid) < 1.3 * step)
    grid[tuple(near.T)] = distance(low + spacing * near)
    return grid


def _corner(grid: FloatArray, corner: tuple[int, ...]) -> FloatArray:
    """One corner of every cell of the grid."""
    i, j, k = corner
    nx, ny, nz = grid.shape
    return grid[i : nx - 1 + i, j : ny - 1 + j, k : nz - 1 + k]


def _crossing_mean(corners: FloatArray) -> FloatArray:
    """Mean of the edge crossings of each cell in cell units: (8, n) to (n, 3)."""
    offsets = np.array(list(np.ndindex(2, 2, 2)), float)
    total, count = np.zeros((corners.shape[1], 3)), np.zeros((corners.shape[1], 1))
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(offsets[a] - offsets[b]).sum() != 1:
                continue
            crosses = ((corners[a] < 0) != (corners[b] < 0))[:, None]
            gap = np.where(crosses[:, 0], corners[a] - corners[b], 1.0)
            share = (corners[a] / gap)[:, None]
            total += np.where(crosses, offsets[a] + share * (offsets[b] - offsets[a]), 0.0)
            count += crosses
    mean: FloatArray = total / count
    return mean


def _quads(inside: NDArray[np.bool_], index: NDArray[Any], axis: int) -> NDArray[Any]:
    """Two triangles for every grid edge along `axis` that crosses the surface, facing outwards."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    first = np.moveaxis(inside, (axis, u, v), (0, 1, 2))
    cells = np.moveaxis(index, (axis, u, v), (0, 1, 2))
    here, there = first[:-1, 1:-1, 1:-1], first[1:, 1:-1, 1:-1]
    i, j, k = np.nonzero(here != there)
    quad = np.stack([cells[i, j, k], cells[i, j + 1, k], cells[i, j + 1, k + 1], cells[i, j, k + 1]], axis=1)
    quad = np.where(here[i, j, k][:, None], quad, quad[:, ::-1])
    return np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])


def simplified(vertices: FloatArray, faces: IntArray, target: int) -> tuple[FloatArray, IntArray]:
    """Fewer faces by quadric edge collapse."""
    points, triangles = fast_simplification.simplify(
        vertices.astype(np.float32), faces, target_count=target, agg=3.0
    )
    return np.asarray(points, float), np.asarray(triangles, np.int32)


def skin_weights(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """Smooth bone weights of `vertices` (n, 3), shape (n, 20), at most four a row, rows sum to one."""
    weights = _arm_weights(vertices[:, 0])
    on_hand = weights[:, 0].copy()
    weights[:, 0] = 0.0
    hand_columns = [0, *range(len(ARM_BONES), len(BONES))]
    weights[:, hand_columns] += on_hand[:, None] * _hand_weights(vertices)
    weights = _smoothed(weights, faces, rounds=3)
    threshold = np.sort(weights, axis=1)[:, -MAX_BONES][:, None]
    weights = np.where(weights >= np.maximum(threshold, 1e-3), weights, 0.0)
    normalised: FloatArray = weights / weights.sum(1, keepdims=True)
    return normalised


def _arm_weights(x: FloatArray) -> FloatArray:
    """Piecewise linear shares of the five `ARM_BONES` along the arm, shape (n, 20)."""
    knots = np.array([-FOREARM_LENGTH - 0.045, -FOREARM_LENGTH + 0.040, -0.125, -0.030, 0.012])
    rows = np.eye(5)[::-1]
    out = np.zeros((len(x), len(BONES)))
    for bone in range(5):
        out[:, bone] = np.interp(x, knots, rows[:, bone])
    return out


def _hand_weights(vertices: FloatArray, softness: float = 0.0035) -> FloatArray:
    """Shares of the palm and the finger bones by distance to the nearest bone and its kin, shape (n, 16)."""
    bones = ("palm", *BONES[len(ARM_BONES) :])
    distances = hand_bone_distances(vertices)
    nearest = distances.argmin(1)
    kin = np.array([[a == b or PARENTS.get(a) == b or PARENTS.get(b) == a for b in bones] for a in bones])
    gap = distances - distances.min(1, keepdims=True)
    share = np.where(kin[nearest], np.exp(-gap / softness), 0.0)
    normalised: FloatArray = share / share.sum(1, keepdims=True)
    return normalised


def _smoothed(weights: FloatArray, faces: IntArray, rounds: int) -> FloatArray:
    """Averages each row with its neighbours on the mesh."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges.ravel(), minlength=len(weights))[:, None]
    for _ in range(rounds):
        total = np.zeros_like(weights)
        np.add.at(total, edges[:, 0], weights[edges[:, 1]])
        np.add.at(total, edges[:, 1], weights[edges[:, 0]])
        weights = 0.5 * weights + 0.5 * total / np.maximum(degree, 1)
    return weights
