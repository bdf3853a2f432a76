"""Random clips of paired episodes as a PyTorch dataset, read from the video files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from h2r_bench import extras
from h2r_bench.datasets.store import EpisodeStore
from h2r_bench.types import CLIP_LENGTH

with extras.explained():
    import torch
    from torch import Tensor
    from torch.utils.data import Dataset


class ClipDataset(Dataset[dict[str, Tensor]]):
    """`count` clips; clip `i` follows from the seed and `i` alone, whatever worker reads it.

    An item is a dictionary of tensors, T frames long; beyond an episode's end its last step repeats.

    | key | dtype | shape | meaning |
    |---|---|---|---|
    | `human`, `robot` | uint8 | (T, H, W, 3) | synchronous frames |
    | `state` | float32 | (T, 10) | proprioception |
    | `action` | float32 | (T, 7) | absolute targets |
    | `hand_pose` | float32 | (T, 6) | pinch point [m] and rotation vector [rad] of the hand |
    | `episode`, `start` | int64 | () | where the clip begins |
    """

    def __init__(
        self,
        root: Path | str,
        *,
        count: int,
        frames: int = CLIP_LENGTH,
        seed: int = 0,
        tasks: Collection[str] | None = None,
    ) -> None:
        """Read from the dataset in `root`; with `tasks` only from episodes of these.

        Raises:
            DatasetError: there is no such dataset.
            ValueError: no episode fits, or a number is not positive.
        """
        if count < 1 or frames < 1:
            raise ValueError(f"count and frames are at least 1, got {count} and {frames}")
        self.store = EpisodeStore.open(root)
        self.count, self.frames, self.seed = count, frames, seed
        every = range(len(self.store))
        self.episodes = [p for p in every if tasks is None or self.store.read_facts(p)["task"] in tasks]
        if not self.episodes:
            raise ValueError(f"{root} has no episodes" + (f" of {', '.join(tasks)}" if tasks else ""))
        self._ends = np.cumsum([self.store.length(p) for p in self.episodes])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Clip number `index`. Raises IndexError beyond the end, DatasetError for damaged files."""
        if not 0 <= index < self.count:
            raise IndexError(f"clip {index} of {self.count}")
        episode, start = self.place(index)
        return self.clip(episode, start)

    def place(self, index: int) -> tuple[int, int]:
        """Episode and first step of clip number `index`: every step of the dataset is as likely."""
        step = int(np.random.default_rng((self.seed, index)).integers(self._ends[-1]))
        which = int(np.searchsorted(self._ends, step, side="right"))
        first = int(self._ends[which - 1]) if which else 0
        return self.episodes[which], step - first

    def clip(self, episode: int, start: int) -> dict[str, Tensor]:
        """The clip of `episode` that begins at step `start`."""
        length = self.store.length(episode)
        there = min(self.frames, length - start)
        steps = np.minimum(np.arange(start, start + self.frames), length - 1)
        arrays = self.store.read_arrays(episode)
        item: dict[str, Any] = {name: arrays[name][steps] for name in ("state", "action", "hand_pose")}
        for name in ("human", "robot"):
            item[name] = self.store.read_frames(episode, name, start, there)[steps - start]
        item["episode"], item["start"] = np.int64(episode), np.int64(start)
        return {name: torch.as_tensor(value) for name, value in item.items()}
