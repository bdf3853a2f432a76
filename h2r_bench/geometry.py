"""Rotations: vectors, matrices, the 6-D form of Zhou et al. 2019. All batched over leading axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.floating[Any]]


def rotvec_to_matrix(rotvec: Array) -> Array:
    """Rotation vectors (..., 3) [rad] to matrices (..., 3, 3)."""
    flat = np.asarray(rotvec, float).reshape(-1, 3)
    matrix: Array = Rotation.from_rotvec(flat).as_matrix()
    return matrix.reshape(*np.shape(rotvec)[:-1], 3, 3)


def matrix_to_rotvec(matrix: Array) -> Array:
    """Matrices (..., 3, 3) to rotation vectors (..., 3) [rad]."""
    flat = np.asarray(matrix, float).reshape(-1, 3, 3)
    rotvec: Array = Rotation.from_matrix(flat).as_rotvec()
    return rotvec.reshape(*np.shape(matrix)[:-2], 3)


def matrix_to_6d(matrix: Array) -> Array:
    """Matrices (..., 3, 3) to their first two columns, flattened: (..., 6)."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def matrix_from_6d(code: Array) -> Array:
    """Inverse of `matrix_to_6d` by Gram-Schmidt; any two non-parallel vectors do: (..., 6) to (..., 3, 3)."""
    code = np.asarray(code, float)
    first = code[..., :3] / np.linalg.norm(code[..., :3], axis=-1, keepdims=True)
    rest = code[..., 3:] - (first * code[..., 3:]).sum(-1, keepdims=True) * first
    second = rest / np.linalg.norm(rest, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def rotvec_to_6d(rotvec: Array) -> Array:
    """Rotation vectors (..., 3) [rad] to the 6-D form (..., 6)."""
    return matrix_to_6d(rotvec_to_matrix(rotvec))


def rotvec_from_6d(code: Array) -> Array:
    """The 6-D form (..., 6) to rotation vectors (..., 3) [rad]."""
    return matrix_to_rotvec(matrix_from_6d(code))


def wrap_angle(angle: Any) -> Any:
    """`angle` [rad] brought into (-pi, pi]."""
    return -((np.pi - np.asarray(angle)) % (2 * np.pi) - np.pi)


def yaw_of(matrix: Array) -> Any:
    """Turn about the vertical [rad] of matrices (..., 3, 3), from the heading of their x axis."""
    matrix = np.asarray(matrix)
    return np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
