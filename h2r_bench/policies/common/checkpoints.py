"""Weights on disk: safetensors files under a manifest that knows what they must be."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from h2r_bench.policies.common.config_json import from_json
from h2r_bench.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MANIFEST = "manifest.json"
READ = (".json", ".safetensors", ".mp4")
"""Endings of the files that agents read from a folder of weights."""
PLAIN = {"basic": "."}
"""Training domains and their folders where a manifest says nothing of them."""
PLAIN_EXECUTE = 8
"""Actions of a chunk that are executed, of every agent whose hash says nothing of it."""
SIZES = Range(-(2.0**32), 2.0**32)
"""Numbers that a model's sizes, and the seed that it was drawn from, may be."""
EXECUTABLE = Range(1, 1024)
"""How many actions of a chunk may be executed."""

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")


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
    """Read what `save_weights` wrote; floating values are cast to the module's own type.

    Nothing is read, and `module` may be on PyTorch's `meta` device, before the shapes agree.

    Raises:
        WeightsMissingError: there is no such file.
        WeightsDamagedError: it is none, or belongs to a model of another size.
    """
    check_shapes(module, path)
    try:
        module.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise WeightsDamagedError(f"{path} is damaged: {error}") from None
    except RuntimeError as error:
        raise WeightsDamagedError(f"{path} belongs to a model of another size: {error}") from None


def check_shapes(module: nn.Module, path: Path) -> None:
    """Raise as `load_weights` does unless the file at `path` has the parameters of `module`."""
    if not path.is_file():
        raise WeightsMissingError(f"no weights at {path}")
    try:
        with safe_open(path, "pt") as stored:
            found = {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsDamagedError(f"{path} is damaged: {error}") from None
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise WeightsDamagedError(
                f"{path} belongs to a model of another size: {key} is {found.get(key, 'missing')}, "
                f"not {wanted.get(key, 'there')}"
            )


def load_model(sizes: Path, make: Callable[[], M], parts: Callable[[M], Mapping[Path, nn.Module]]) -> M:
    """What `make` makes of the file `sizes`, its `parts` read from their own files, ready to act.

    Sizes come from a file that anybody may have written. So the model is made without memory first and
    compared with the files of its weights, which bound what it can take.

    Raises as `load_weights` does.
    """
    try:
        with torch.device("meta"):
            outline = make()
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise WeightsDamagedError(f"{sizes} is damaged: there is no such model ({error})") from None
    for path, part in parts(outline).items():
        check_shapes(part, path)
    model = make()
    for path, part in parts(model).items():
        load_weights(part, path)
    return model.eval()


def read_sizes(path: Path) -> dict[str, Any]:
    """The JSON beside weights that says how large a model is; its numbers are bounded.

    Raises WeightsMissingError or WeightsDamagedError.
    """
    if not path.is_file():
        raise WeightsMissingError(f"no weights in {path.parent}: {path.name} is missing")
    try:
        record = json.loads(path.read_text())
        _check_numbers(record)
    except (ValueError, RecursionError) as error:
        raise WeightsDamagedError(f"{path} is damaged: {error}") from None
    if not isinstance(record, dict):
        raise WeightsDamagedError(f"{path} is damaged: it holds no names")
    return record


def read_config(kind: type[C], path: Path, key: str | None = None) -> C:
    """The config, of class `kind`, of the model that is stored beside `path`; under `key`, if there is one.

    Raises WeightsMissingError or WeightsDamagedError.
    """
    record = read_sizes(path)
    try:
        return from_json(kind, record if key is None else record[key])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsDamagedError(f"{path} is damaged: {error}") from None


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_numbers(each)
    elif isinstance(value, int | float) and value not in SIZES:
        raise ValueError(f"a size is {SIZES}, got {value}")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, facts: Mapping[str, Any], names: list[str]) -> None:
    """Write `manifest.json`: `facts`, and the SHA-256 of every file of `names` in `folder`."""
    files = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in names
    }
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of `folder`, checked: its files are whole, and nothing beside them would be read.

    Raises WeightsMissingError or WeightsDamagedError.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise WeightsMissingError(f"no weights in {folder}: {MANIFEST} is missing")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        files = {
            str(name): (str(entry["sha256"]), entry["bytes"]) for name, entry in manifest["files"].items()
        }
        domains = {str(name): str(place) for name, place in manifest.get("domains", PLAIN).items()}
        execute = manifest.get("execute", 1)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsDamagedError(f"{path} is damaged: not a manifest of weights") from None
    if not (isinstance(execute, int) and execute in EXECUTABLE):
        raise WeightsDamagedError(f"{path} is damaged: execute must be {EXECUTABLE}, got {execute!r}")
    for name in (*files, *domains.values()):
        _check_inside(folder, name)
    for name, (digest, size) in files.items():
        _check_whole(folder / name, digest, size)
    _check_listed(folder, files, domains)
    return manifest


def _check_inside(folder: Path, name: str) -> None:
    """Raise WeightsDamagedError unless `name` is a place in `folder`, reached without links."""
    parts = PurePath(name)
    leads_out = parts.is_absolute() or ".." in parts.parts
    if leads_out or (folder / name).resolve() != folder.resolve() / name:
        raise WeightsDamagedError(f"{folder / MANIFEST} is damaged: {name} leads out of its folder")


def _check_whole(path: Path, digest: str, size: int) -> None:
    if not path.is_file():
        raise WeightsMissingError(f"{path} is missing, although {MANIFEST} lists it")
    if path.stat().st_size != size:
        raise WeightsDamagedError(f"{path} is damaged: it has not the {size} bytes that {MANIFEST} says")
    if sha256(path) != digest:
        raise WeightsDamagedError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}")


def _check_listed(folder: Path, files: Mapping[str, Any], domains: Mapping[str, str]) -> None:
    """Raise WeightsDamagedError for a file that would be read although no hash vouches for it."""
    for place in sorted({folder, *(folder / place for place in domains.values())}):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if path.suffix in READ and path.name != MANIFEST and name not in files:
                raise WeightsDamagedError(f"{path} is not listed in {MANIFEST}: take it away")


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """One short hash of all that makes an agent act as it does, 16 hexadecimal digits.

    Of all files of a manifest; and, where they are not the plain ones, of the folders of its training domains
    and of how many actions of a chunk are executed.
    """
    listing = [f"{name} {entry['sha256']}" for name, entry in sorted(manifest["files"].items())]
    domains = manifest.get("domains", PLAIN)
    if any(place != ("." if name == "basic" else name) for name, place in domains.items()):
        listing += [f"domain {name} {place}" for name, place in sorted(domains.items())]
    if manifest.get("execute", PLAIN_EXECUTE) != PLAIN_EXECUTE:
        listing.append(f"execute {manifest['execute']}")
    return hashlib.sha256("".join(f"{line}\n" for line in listing).encode()).hexdigest()[:16]


def domain_folders(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """Where the parts of each training domain lie."""
    return {domain: folder / place for domain, place in manifest.get("domains", PLAIN).items()}
