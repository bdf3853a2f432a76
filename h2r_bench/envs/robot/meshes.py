"""Light visual meshes of the robot, decimated once from the installed package and cached.

The source meshes have 134,000 faces together; software rendering wants some thousands.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

import fast_simplification
import numpy as np
import trimesh

from h2r_bench.envs.robot.mesh_cache import building, cache_folder, store

_VERSION = "1"
TARGET_FACES = 1200
"""Faces kept of each visual mesh."""


@lru_cache(maxsize=1)
def franka_mesh_dir() -> Path:
    """The Panda meshes that gymnasium-robotics carries. Found without importing the package (it is slow)."""
    spec = importlib.util.find_spec("gymnasium_robotics")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "gymnasium-robotics carries the robot's meshes: pip install gymnasium-robotics"
        )
    return Path(spec.origin).parent / "envs/assets/kitchen_franka/franka_assets/meshes"


def light_mesh(source: Path, faces: int = TARGET_FACES) -> bytes:
    """Binary STL of `source` with vertices merged and at most about `faces` faces; cached on disk."""
    raw = source.read_bytes()
    key = hashlib.sha256(raw + f"{_VERSION}:{faces}".encode()).hexdigest()[:16]
    cached = cache_folder() / f"{source.stem}_{key}.stl"
    if cached.exists():
        return cached.read_bytes()
    with building("light meshes of the robot"):
        data = _decimate(source, faces)
    store(cached, data)
    return data


def _decimate(source: Path, faces: int) -> bytes:
    mesh = trimesh.load_mesh(source)
    mesh.merge_vertices()
    if len(mesh.faces) > faces:
        points, triangles = fast_simplification.simplify(
            np.asarray(mesh.vertices, np.float32),
            np.asarray(mesh.faces, np.int32),
            target_reduction=1.0 - faces / len(mesh.faces),
            agg=7,
        )
        mesh = trimesh.Trimesh(points, triangles)
    return bytes(mesh.export(file_type="stl"))
