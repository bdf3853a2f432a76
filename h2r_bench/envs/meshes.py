"""Light visual meshes of the robot, decimated once from the installed package and cached.

The source meshes have 134,000 faces together; software rendering wants some thousands.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from functools import lru_cache
from pathlib import Path

import fast_simplification
import numpy as np
import trimesh

_VERSION = "1"
TARGET_FACES = 1200
"""Faces kept of each visual mesh."""


def cache_dir() -> Path:
    """Where built meshes are kept: `$H2R_BENCH_CACHE`, else the user's cache folder."""
    explicit = os.environ.get("H2R_BENCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(explicit) if explicit else Path(base) / "h2r_bench"


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
    cached = cache_dir() / f"{source.stem}_{key}.stl"
    if cached.exists():
        return cached.read_bytes()
    data = _decimate(source, faces)
    _write_atomically(cached, data)
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


def _write_atomically(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
