"""Weights on disk: safetensors files under a manifest that knows what they must be."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

MANIFEST = "manifest.json"


class WeightsMissingError(FileNotFoundError):
    """There are no weights where they were looked for."""


class WeightsDamagedError(ValueError):
    """A weight file is not what its manifest says, or does not fit the model."""


def save_weights(module: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the parameters and buffers of `module` as safetensors, floating ones as `dtype`."""
    state = {
        key: (value.to(dtype) if value.is_floating_point() else value).contiguous()
        for key, value in module.state_dict().items()
    }
    save_file(state, path)
    path.chmod(0o644)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote; floating values are cast to the module's own type."""
    if not path.is_file():
        raise WeightsMissingError(f"no weights at {path}")
    try:
        state = load_file(path)
        module.load_state_dict(state)
    except SafetensorError as error:
        raise WeightsDamagedError(f"{path} is damaged: {error}") from None
    except RuntimeError as error:
        raise WeightsDamagedError(f"{path} belongs to a model of another size: {error}") from None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, facts: Mapping[str, Any], names: list[str]) -> None:
    """Write `manifest.json`: `facts`, and the SHA-256 of every file of `names` in `folder`."""
    files = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in names
    }
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of `folder`, its files checked. Raises WeightsMissingError or WeightsDamagedError."""
    path = folder / MANIFEST
    if not path.is_file():
        raise WeightsMissingError(f"no weights in {folder}: {MANIFEST} is missing")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        files = manifest["files"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise WeightsDamagedError(f"{path} is damaged: not a manifest of weights") from None
    for name, entry in files.items():
        if not (folder / name).is_file():
            raise WeightsMissingError(f"{folder / name} is missing, although {MANIFEST} lists it")
        if sha256(folder / name) != entry["sha256"]:
            raise WeightsDamagedError(f"{folder / name} is damaged: its SHA-256 is not the one in {MANIFEST}")
    return manifest


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """One short hash of all files of a manifest, 16 hexadecimal digits."""
    listing = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(manifest["files"].items()))
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def domain_folders(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """Where the parts of each training domain lie."""
    return {domain: folder / place for domain, place in manifest.get("domains", {"basic": "."}).items()}
