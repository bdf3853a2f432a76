"""Frames of episodes that nothing was trained on, played and filmed at once, for any task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track

from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.training.data.frames import Frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from h2r_bench.types import Episode

FIRST_SEED = 3_000_000_000
"""Seeds of datasets lie below 2^31; those of held-out episodes begin here."""
_ARRAYS = ("state", "action", "hand_pose", "human_frame_index")


def held_out_episodes(task: str, count: int, image_size: tuple[int, int]) -> Iterator[Episode]:
    """`count` episodes of `task`, one by one: the same ones at every call. Raises UnknownNameError."""
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    for seed in track(seeds, f"recording {task}", console=Console(stderr=True)):
        yield record_episode(task, seed, image_size=image_size)


def held_out(task: str, episodes: int, image_size: tuple[int, int]) -> Frames:
    """The frames of `episodes` episodes of `task`: the same ones at every call. Raises UnknownNameError."""
    return frames_of(held_out_episodes(task, episodes, image_size))


def frames_of(episodes: Iterable[Episode]) -> Frames:
    """All frames of `episodes`, in memory."""
    found = list(episodes)
    arrays: dict[str, Any] = {
        key: np.concatenate([getattr(episode, key) for episode in found]) for key in _ARRAYS
    }
    human, robot = (
        np.concatenate([getattr(episode, name) for episode in found]) for name in ("human", "robot")
    )
    starts = np.concatenate([[0], np.cumsum([len(episode) for episode in found])])
    facts = [
        {"task": episode.task, "cue": episode.cue, "instruction": episode.instruction} for episode in found
    ]
    return Frames(human, robot, arrays, starts.astype(np.int64), facts)
