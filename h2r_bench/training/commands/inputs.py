"""What training commands have in common: presets by name, frames with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from rich.console import Console
from rich.progress import Progress

from h2r_bench.policies.h2r.config import PRESETS, H2RConfig
from h2r_bench.registry import UnknownNameError
from h2r_bench.training.data.frames import Frames, load_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from h2r_bench.policies.common.stored_module import Stored
    from h2r_bench.policies.h2r.action_decoder import ActionDecoder

P = TypeVar("P")
M = TypeVar("M", bound="ActionDecoder | Stored")

BASIC = ("push_pull", "pick_place", "rotation")
"""The seen basic tasks: all that the paper's action decoder is trained on."""


def preset(name: str) -> H2RConfig:
    """The sizes of `h2r`'s preset `name`. Raises UnknownNameError."""
    return preset_of(PRESETS, name)


def preset_of(presets: Mapping[str, P], name: str) -> P:
    """The preset called `name`. Raises UnknownNameError."""
    if name not in presets:
        raise UnknownNameError("preset", name, list(presets))
    return presets[name]


def open_frames(data: Path, image_size: tuple[int, int], tasks: Sequence[str] = ()) -> Frames:
    """The frames of dataset `data`, clips drawn from episodes of `tasks` alone if any are named.

    Raises DatasetError.
    """
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("decoding videos")
        frames = load_frames(
            data, image_size, lambda done, total: progress.update(bar, completed=done, total=total)
        )
    if tasks:
        frames.only(tasks)
    return frames


def domain_of(tasks: Sequence[str]) -> str:
    """The one training domain of `tasks`. Raises UnknownNameError, or ValueError when there are two."""
    from h2r_bench.envs.tasks import TASKS

    domains = sorted({TASKS.get(task).domain for task in tasks})
    if len(domains) != 1:
        raise ValueError(
            f"--tasks of one training domain make a decoder; these are of {' and '.join(domains) or 'none'}"
        )
    return domains[0]


def first_model(kind: type[M], config: Any, init: Path | None, seed: int) -> M:
    """A new `kind` of sizes `config`, or the one in folder `init`.

    Raises ValueError when that one has other sizes.
    """
    torch.manual_seed(seed)
    if init is None:
        return kind(config)
    model = cast("M", kind.load(init))
    if model.config != config:
        raise ValueError(f"{init} holds a model that has other sizes than the one to be trained")
    return model
