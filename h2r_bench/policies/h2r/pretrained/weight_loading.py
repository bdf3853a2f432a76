"""Weights of others, read by their own loaders and brought into a model value by value.

Every key of a source has to land in a parameter or buffer of equal shape. What may be left over is listed in
`EXPLAINED`; anything else is an error, and so is a source that lacks keys its own config asks for.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

EXPLAINED = {
    r"text_model\.|text_projection\.|logit_scale$": "CLIP's text half: the reference frame is an image",
    r"vision_model\.embeddings\.position_ids$": "counts from nought, no weight",
}
"""Patterns of keys that may land nowhere, and why."""


class PretrainedError(ValueError):
    """A source of weights is not there, not what it should be, or of sizes that do not fit."""


@dataclass(frozen=True)
class LoadedWeights:
    """A module of another library with its weights."""

    name: str
    """Folder or hub id, and subfolder."""
    module: Any
    """The module; its `config` says its sizes."""
    unused: Mapping[str, str]
    """Keys of its weights that the module has no place for, and why that is right."""


@dataclass(frozen=True)
class CopiedWeights:
    """Where the values of one source went."""

    source: str
    """Folder or hub id, and subfolder."""
    landed: Mapping[str, str]
    """Key of the source to our parameter or buffer."""
    unused: Mapping[str, str]
    """Key of the source that went nowhere, and why."""


@dataclass(frozen=True)
class Report:
    """What a model was put together from."""

    landings: tuple[CopiedWeights, ...]
    new: tuple[str, ...]
    """Our parameters that no source has."""

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-able dictionaries."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{each.source} -> {_place(each)}: {len(each.landed)} values" for each in self.landings]
        parts = ", ".join(sorted({name.split(".")[0] for name in self.new})) or "none"
        return "\n".join([*lines, f"new parameters: {parts} ({len(self.new)})"])


def load(kind: Any, source: str, subfolder: str = "") -> LoadedWeights:
    """`kind.from_pretrained` of a local folder or hub id. Raises PretrainedError, one line that says why."""
    name = f"{source}/{subfolder}" if subfolder else source
    _check_kind(kind, source, subfolder, name)
    try:
        module, info = kind.from_pretrained(
            source, subfolder=subfolder, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PretrainedError(
            f"{name} is no {kind.__name__} that can be read: {_first_line(error)}"
        ) from error
    lost = sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])])
    if lost:
        raise PretrainedError(
            f"the weights in {name} are not those of its config: {_some(lost)} missing or of another shape"
        )
    reasons = {key: _reason(key) for key in sorted(info["unexpected_keys"])}
    unexplained = [key for key, reason in reasons.items() if not reason]
    if unexplained:
        raise PretrainedError(
            f"{name} has weights that {kind.__name__} has no place for: {_some(unexplained)}"
        )
    return LoadedWeights(name, module.eval(), reasons)


@torch.no_grad()
def copy_weights(loaded: LoadedWeights, model: nn.Module, prefix: str) -> CopiedWeights:
    """Copy every value of `loaded` to the parameter or buffer of `model` of the same name behind `prefix`.

    Raises PretrainedError for a value without a place of its shape.
    """
    places, source = model.state_dict(), loaded.module.state_dict()
    strays = [
        f"{key} {tuple(value.shape)}"
        for key, value in source.items()
        if prefix + key not in places or places[prefix + key].shape != value.shape
    ]
    if strays:
        raise PretrainedError(
            f"{loaded.name} does not fit {prefix.rstrip('.')}: no place for {_some(strays)}"
        )
    for key, value in source.items():
        places[prefix + key].copy_(value)
    return CopiedWeights(loaded.name, {key: prefix + key for key in source}, loaded.unused)


def report(model: nn.Module, landings: Iterable[CopiedWeights], before: Iterable[str] = ()) -> Report:
    """What landed in `model`, and which parameters of it are in none of `landings`, nor named in `before`."""
    landings = tuple(landings)
    known = {place for landing in landings for place in landing.landed.values()}.union(before)
    return Report(landings, tuple(name for name, _ in model.named_parameters() if name not in known))


def check_same(
    name: str, theirs: Mapping[str, Any], ours: Mapping[str, Any], immaterial: Iterable[str]
) -> None:
    """Raises PretrainedError where the config `theirs` of `name` describes other layers than `ours`."""
    skipped = set(immaterial)
    differing = [
        f"{key} is {theirs[key]}, here it has to be {value}"
        for key, value in ours.items()
        if key in theirs and key not in skipped and not key.startswith("_") and not _equal(theirs[key], value)
    ]
    if differing:
        raise PretrainedError(f"{name} is of a kind that is not supported: {_some(differing)}")


def _check_kind(kind: Any, source: str, subfolder: str, name: str) -> None:
    """Refuse a folder of another class before its weights are read into the wrong one."""
    if Path(source).is_dir() and not (Path(source, subfolder) / "config.json").is_file():
        raise PretrainedError(f"{name} is no {kind.__name__}: config.json is missing")
    try:
        said, wanted = _names(kind, source, subfolder)
    except (OSError, ValueError) as error:
        raise PretrainedError(f"no {kind.__name__} at {name}: {_first_line(error)}") from error
    if said not in wanted:
        raise PretrainedError(f"{name} holds a {said}, not a {kind.__name__}")


def _names(kind: Any, source: str, subfolder: str) -> tuple[str | None, tuple[str, ...]]:
    """What a config says it is, and what it has to say: diffusers write a class, transformers a type."""
    if hasattr(kind, "load_config"):
        return kind.load_config(source, subfolder=subfolder).get("_class_name"), (kind.__name__,)
    config, _ = kind.config_class.get_config_dict(source, subfolder=subfolder)
    type_ = kind.config_class.model_type
    # The whole CLIP ("clip") has the weights of its vision tower ("clip_vision_model").
    return config.get("model_type"), (type_, type_.split("_")[0])


def _reason(key: str) -> str:
    return next((why for pattern, why in EXPLAINED.items() if re.match(pattern, key)), "")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of configs say the same; a number stands for one per block, too."""
    one, other = (tuple(each) if isinstance(each, list | tuple) else each for each in (one, other))
    if isinstance(one, tuple) != isinstance(other, tuple):
        many, single = (one, other) if isinstance(one, tuple) else (other, one)
        return all(each == single for each in many)
    return bool(one == other)


def _place(landing: CopiedWeights) -> str:
    """The part of the model where everything of `landing` is."""
    key, place = next(iter(landing.landed.items()))
    return place.removesuffix(key).rstrip(".")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _some(names: list[str]) -> str:
    """The first of `names`, and how many more there are."""
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
