"""Everything about the hand that takes a second to compute, built once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, fields
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from h2r_bench.envs.hand import grasp, mesh, skeleton, surface
from h2r_bench.envs.hand.mesh import SkinMesh, build_hand_mesh, build_sleeve_mesh
from h2r_bench.envs.robot.mesh_cache import building, cache_folder, store

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray


@dataclass(frozen=True)
class HandBundle:
    """Meshes and postures of the hand."""

    hand: SkinMesh
    sleeve: SkinMesh
    postures: FloatArray
    """Joint angles [rad] at `grasp.GAPS`, shape (41, 5, 4)."""


@cache
def hand_bundle() -> HandBundle:
    """The hand, from the cache folder where it is there, else built (about two seconds) and stored."""
    path = cache_folder() / f"hand-{source_hash()}.npz"
    stored = _read(path)
    if stored is not None:
        return stored
    with building("the hand"):
        bundle = build_bundle()
    _write(path, bundle)
    return bundle


def build_bundle() -> HandBundle:
    """The hand, computed afresh; the same on every call."""
    return HandBundle(build_hand_mesh(), build_sleeve_mesh(), grasp.solve_postures())


def source_hash() -> str:
    """Names the geometry: any edit of the modules that make it gives another name."""
    digest = hashlib.sha256()
    for module in (grasp, mesh, skeleton, surface):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> HandBundle | None:
    """The stored bundle; None where there is none or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            meshes = [
                SkinMesh(**{f.name: data[f"{part}_{f.name}"] for f in fields(SkinMesh)})
                for part in ("hand", "sleeve")
            ]
            return HandBundle(meshes[0], meshes[1], data["postures"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        return None


def _write(path: Path, bundle: HandBundle) -> None:
    arrays = {"postures": bundle.postures}
    for part, skin in (("hand", bundle.hand), ("sleeve", bundle.sleeve)):
        arrays |= {f"{part}_{f.name}": getattr(skin, f.name) for f in fields(SkinMesh)}
    file = BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    store(path, file.getvalue())
