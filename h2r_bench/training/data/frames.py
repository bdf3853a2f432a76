"""All frames of a dataset for random access, decoded once, and the clips drawn from them."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.policies.h2r.camera_alignment import estimate_similarity, warp
from h2r_bench.training.data.jpeg_store import JpegStore, write_pictures
from h2r_bench.types import encode_instruction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from h2r_bench.types import Float32Array, UInt8Array

    Int = NDArray[np.int64]

CACHE = ".cache"
"""Folder inside a dataset for what can be made again."""

VIDEOS = ("human", "robot")
"""The two videos of an episode."""

_OFFSETS_AT_ONCE = 64
"""Episodes whose cameras are compared at once."""

MAX_LAG = 3
"""Largest delay of the robot's reference frame behind the human's clip in training [steps]."""
EARLY = 10
"""Steps of the beginning of an episode; trials all begin there, clips seldom do."""


@dataclass(frozen=True)
class Clips:
    """Which frames make up a batch of clips; indices into `Frames`."""

    human: Int
    """Shape (B, F): the human's frames."""
    robot: Int
    """Shape (B, F): the robot's frames at the same moments of the script."""
    reference: Int
    """Shape (B,): the robot's frame when the clip begins, up to `MAX_LAG` steps late."""
    ahead: Int
    """Shape (B, F): how many steps after the clip's beginning each frame lies."""

    def __getitem__(self, rows: slice) -> Clips:
        """Some of the clips."""
        return Clips(*(getattr(self, each.name)[rows] for each in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Clips]) -> Clips:
        """All clips of `parts`."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


class Frames:
    """The frames, states and actions of all N steps of a dataset, one after another."""

    def __init__(
        self,
        human: JpegStore | UInt8Array,
        robot: JpegStore | UInt8Array,
        arrays: dict[str, Any],
        starts: Int,
        facts: Sequence[Mapping[str, Any]],
    ) -> None:
        self.human = human
        """The human's pictures, (N, H, W, 3) uint8."""
        self.robot = robot
        """The robot's, as the human's."""
        self.state: Float32Array = arrays["state"].astype(np.float32)
        """Shape (N, 10)."""
        self.action: Float32Array = arrays["action"].astype(np.float32)
        """Shape (N, 7)."""
        self.hand_pose: Float32Array = arrays["hand_pose"].astype(np.float32)
        """Shape (N, 6): the hand's pinch point [m] and rotation vector [rad] in each human frame."""
        self.starts = starts
        """Shape (episodes + 1,): where each episode begins; the last entry is N."""
        self.robot_of_human = _synchronous(arrays["human_frame_index"], starts)
        """Shape (N,): the robot's frame of the same moment, for each human frame."""
        self.tasks = tuple(str(each["task"]) for each in facts)
        """Length episodes: the task of each."""
        self.cues = tuple(str(each["cue"]) for each in facts)
        """Length episodes: who said what to do, `scene` or `video`."""
        self._instructions = np.stack([encode_instruction(str(each["instruction"])) for each in facts])
        self.chosen: Int = np.arange(len(self.state))
        """Indices of the frames that clips are drawn from; all, unless `only` was called."""
        self._episode = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        self.device = torch.device("cpu")
        """Where the human's clips are moved onto the robot's view: a second for 576 frames on a CPU core."""

    def __len__(self) -> int:
        return len(self.state)

    def clips(
        self,
        rng: np.random.Generator,
        count: int,
        frames: int,
        span: int | None = None,
        max_lag: int = MAX_LAG,
        *,
        now: bool = True,
        early: float = 0.0,
    ) -> Clips:
        """Draw `count` clips of `frames` frames: consecutive, or the first and any of the next `span`.

        Beyond the end of an episode its last frame repeats, as in an observation. The robot's reference frame
        is up to `max_lag` steps late. Without `now` clips with a `span` have no first frame, all are ahead of
        it. A share `early` begins in the first second of an episode.
        """
        start = self.chosen[rng.integers(len(self.chosen), size=count)]
        if early:
            begins, _ = self._bounds(start)
            start = np.where(
                rng.random(count) < early, np.minimum(start, begins + rng.integers(EARLY, size=count)), start
            )
        offsets = np.tile(np.arange(frames), (count, 1))
        if span and now:
            offsets = rng.integers(span, size=(count, frames))
            offsets[:, 0] = 0
        elif span:
            offsets = rng.integers(1, span, size=(count, frames))
        first, last = self._bounds(start)
        human = np.minimum(start[:, None] + offsets, last[:, None])
        reference = np.maximum(self.robot_of_human[start] - rng.integers(max_lag + 1, size=count), first)
        return Clips(human, self.robot_of_human[human], reference, offsets)

    def human_clips(self, index: Int, *, same_view: bool) -> Tensor:
        """The human's frames `index` (B, F), of one episode in each row: (B, F, H, W, 3) uint8.

        With `same_view` as the robot's camera would show them, on `device`.
        """
        clips = torch.from_numpy(self.human[index])
        if not same_view or not clips.numel():
            return clips
        offsets = torch.from_numpy(self.offsets[self._episode[index[:, 0]]])
        return warp(clips.to(self.device), offsets.to(self.device))

    @cached_property
    def offsets(self) -> Float32Array:
        """Shape (episodes, 4): how the human's camera stands apart, see `estimate_similarity`."""
        pieces = np.array_split(self.starts[:-1], -(-len(self.starts) // _OFFSETS_AT_ONCE))
        found = [
            estimate_similarity(
                *(torch.from_numpy(video[first]).to(self.device) for video in (self.human, self.robot))
            )
            for first in pieces
        ]
        return torch.cat(found).cpu().numpy()

    def only(self, tasks: Sequence[str]) -> None:
        """From now on draw from episodes of `tasks` alone. Raises DatasetError when there are none."""
        inside = np.isin(self.tasks, list(tasks))
        if not inside.any():
            there = ", ".join(sorted(set(self.tasks)))
            raise DatasetError(f"the dataset has no episodes of {', '.join(tasks)}, only of {there}")
        self.chosen = np.flatnonzero(inside[self._episode])
        self.__dict__.pop("episodes", None)

    def episodes_with_cue(self, cue: str) -> Int:
        """Numbers of the chosen episodes with `cue`. Raises DatasetError when there are none."""
        found: Int = self.episodes[np.isin(np.array(self.cues)[self.episodes], [cue])]
        if not len(found):
            raise DatasetError(f"none of the episodes has the cue {cue}")
        return found

    @cached_property
    def episodes(self) -> Int:
        """Numbers of the episodes that are drawn from."""
        return np.unique(self._episode[self.chosen])

    def instructions(self, index: Int) -> UInt8Array:
        """The tasks of frames `index` (B,) in words, as observed: shape (B, 128)."""
        codes: UInt8Array = self._instructions[self._episode[index]]
        return codes

    def episode_of(self, index: Int) -> Int:
        """Numbers of the episodes that frames `index` belong to."""
        episode: Int = self._episode[index]
        return episode

    def steps(self, index: Int) -> Int:
        """Control steps of frames `index` (B,) since their episodes began."""
        return index - self._bounds(index)[0]

    def later(self, index: Int, steps: int) -> Int:
        """The frames `steps` after frames `index` (B,), or the last ones of their episodes."""
        return np.minimum(index + steps, self._bounds(index)[1])

    def actions_after(self, robot: Int, chunk: int) -> Float32Array:
        """The actions (B, chunk, 7) from robot frames `robot` (B,) on, an episode's last one repeated."""
        _, last = self._bounds(robot)
        chunks: Float32Array = self.action[np.minimum(robot[:, None] + np.arange(chunk), last[:, None])]
        return chunks

    def _bounds(self, index: Int) -> tuple[Int, Int]:
        episode = self._episode[index]
        return self.starts[episode], self.starts[episode + 1] - 1


def load_frames(
    data: Path, image_size: tuple[int, int], tick: Callable[[int, int], None] | None = None
) -> Frames:
    """The frames of dataset `data`; videos are decoded at the first call.

    `tick(done, total)` is called after each decoded episode. Raises DatasetError for another image size.
    """
    store = EpisodeStore.open(data)
    if not len(store):
        raise DatasetError(f"the dataset at {data} has no episodes yet")
    if store.meta.image_size != image_size:
        raise DatasetError(f"{data} holds images of {store.meta.image_size}, the model reads {image_size}")
    folder = frames_folder(data, len(store))
    done, total = itertools.count(1), len(missing(folder, VIDEOS)) * len(store)
    compress(store, folder, VIDEOS, lambda: tick(next(done), total) if tick else None)
    parts = [store.read_arrays(position) for position in range(len(store))]
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    starts = np.concatenate([[0], np.cumsum([len(part["state"]) for part in parts])])
    human, robot = (_pictures(folder, name) for name in VIDEOS)
    facts = [store.read_facts(position) for position in range(len(store))]
    return Frames(human, robot, arrays, starts.astype(np.int64), facts)


def frames_folder(data: Path, episodes: int) -> Path:
    """Where the decoded frames of dataset `data` are kept while it has so many episodes."""
    return data / CACHE / f"frames_{episodes}"


def raw_path(folder: Path, name: str) -> Path:
    """The uncompressed frames of one video in `folder`, where someone has decoded them so."""
    return folder / f"{name}.raw.npy"


def _pictures(folder: Path, name: str) -> JpegStore | UInt8Array:
    raw = raw_path(folder, name)
    return np.asarray(np.load(raw, mmap_mode="r")) if raw.exists() else JpegStore(folder / f"{name}.jpegs")


def compress(store: EpisodeStore, folder: Path, names: Sequence[str], tick: Callable[[], None]) -> None:
    """Keep the frames of the videos `names` one by one in `folder`, unless they are there.

    `tick` is called after each episode of each video that was decoded.
    """
    for old in folder.parent.glob("frames_*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in missing(folder, names):
        batches = (store.read_frames(position, name) for position in range(len(store)))
        write_pictures(folder / f"{name}.jpegs", batches, tick)


def missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of the videos `names` whose frames are not in `folder` yet."""
    return [
        name
        for name in names
        if not (folder / f"{name}.jpegs").exists() and not raw_path(folder, name).exists()
    ]


def _synchronous(human_frame_index: Int, starts: Int) -> Int:
    """For each human frame the robot's frame nearest to it in the script, as indices into all frames."""
    found = []
    for first, end in itertools.pairwise(starts):
        of_robot = human_frame_index[first:end]
        distance = np.abs(of_robot[None, :] - np.arange(end - first)[:, None])
        found.append(first + distance.argmin(1))
    return np.concatenate(found)
