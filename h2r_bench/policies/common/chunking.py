"""What all agents that predict chunks of actions share: receding horizon, memory, seeding, stored weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import h2r_bench
from h2r_bench import extras
from h2r_bench.policies.common.checkpoints import MANIFEST, WeightsMissingError, manifest_hash, read_manifest
from h2r_bench.types import ACTION_DIM

with extras.explained():
    import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from h2r_bench.types import Demonstration, Float32Array

ASSETS = Path(h2r_bench.__file__).parent / "assets"
"""Folder of the weights that come with the package."""

Steps = NDArray[np.int64]
ObservationBatch = dict[str, NDArray[Any]]
"""Entries of observations, each with the environment as first axis."""


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """PyTorch on `count` threads of the CPU; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class UnknownDomainError(ValueError):
    """The weights were not trained for the domain of the task."""


@dataclass
class ChunkState:
    """What an agent remembers between steps, one row per environment."""

    step: Steps
    """Shape (B,): control steps since the episode began."""
    chunk: Float32Array
    """Shape (B, chunk, 7): the actions predicted last."""
    memory: ObservationBatch = field(default_factory=dict)
    """What else an agent keeps of its episodes, each of shape (B, ...)."""

    @classmethod
    def empty(cls, count: int, chunk: int) -> ChunkState:
        """No step taken yet in any of `count` environments."""
        return cls(np.zeros(count, np.int64), np.zeros((count, chunk, ACTION_DIM), np.float32))

    def copy(self) -> ChunkState:
        """An independent copy."""
        memory = {key: value.copy() for key, value in self.memory.items()}
        return ChunkState(self.step.copy(), self.chunk.copy(), memory)


@dataclass(frozen=True)
class ChunkRequest:
    """The environments that need a new chunk."""

    rows: ObservationBatch
    """What they observe: the entries named in the agent's `reads`."""
    step: Steps
    """Shape (B,): control steps since their episodes began."""
    memory: ObservationBatch
    """Their rows of `ChunkState.memory`."""
    generators: list[torch.Generator]
    """Length B: noise for each, keyed by the seed given at reset and its step."""

    def first(self, generator: torch.Generator) -> ChunkRequest:
        """The first of these environments alone, with noise from `generator`."""
        rows, memory = ({key: value[:1] for key, value in each.items()} for each in (self.rows, self.memory))
        return ChunkRequest(rows, self.step[:1], memory, [generator])


class ChunkingAgent(ABC):
    """Predicts a chunk of actions, executes the first `execute` of them, and predicts anew.

    All noise is keyed by the seed given at `reset` and the step, alike for every environment of a batch: a
    batch does what its members would alone. A subclass says how chunks come about (`predict_chunks`) and how
    it is loaded (`load`); one that remembers more than its last chunk says so in `remember`.
    """

    reads: ClassVar[tuple[str, ...]] = ("image", "state", "human_clip")
    """Entries of the observation that it looks at."""
    shipped: ClassVar[str] = ""
    """Folder of its weights in the package's assets; empty for agents that ship without."""
    recipe: ClassVar[str] = "docs/training.md"
    """Where it is said how its weights are made."""
    image_size: tuple[int, int]
    """Width and height of the images that it reads [pixels]; `load` sets it."""
    threads: int | None = 1
    """Threads of the CPU that it computes on: with one it does the same, bit by bit, on any number of cores,
    and never waits for a core that is busy. None takes all, which is faster for large batches."""
    domains: tuple[str, ...] | None = None
    """Training domains of tasks that its weights know; None for any."""
    domain: str = "basic"
    """The domain of the task at hand: `reset` takes it from the demonstration."""

    def __init__(self, *, chunk: int, execute: int, manifest: Mapping[str, Any] | None = None) -> None:
        self.chunk = chunk
        self.execute = execute
        self.manifest = dict(manifest or {})
        self.seed = 0
        self._plan: ChunkState | None = None
        if not 1 <= execute <= chunk:
            raise ValueError(f"execute is between 1 and the chunk of {chunk} actions, got {execute}")

    # --- what a subclass says ----------------------------------------------------------------------------

    @abstractmethod
    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7), the first action of each being that of the step `due.step`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> Self:
        """The agent whose weights are in `folder`; its `manifest` is read, and its files are whole."""

    def remember(self, rows: ObservationBatch, plan: ChunkState) -> None:  # noqa: B027  (most agents have nothing to add)
        """Look at every observation before anything is predicted; what is kept goes into `plan.memory`.

        Rows of `plan` whose step is 0 begin an episode.
        """

    # --- stored weights ----------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, path: Path | str | None = None, *, execute: int | None = None) -> Self:
        """The agent stored in folder `path`; by default the one that ships with the package.

        Raises WeightsMissingError or WeightsDamagedError, naming the file.
        """
        folder = cls.folder() if path is None else Path(path)
        if path is None and not (cls.shipped and (folder / MANIFEST).is_file()):
            raise WeightsMissingError(
                f"no weights of {cls.__name__} come with this version; {cls.recipe} says how to train them, "
                "then name their folder (--weights DIR)"
            )
        manifest = read_manifest(folder)
        return cls.load(folder, manifest, execute or int(manifest["execute"]))

    @classmethod
    def folder(cls) -> Path:
        """Where its weights are in the package, if they come with it."""
        return ASSETS / cls.shipped

    @property
    def weights_hash(self) -> str:
        """Short hash of all weight files; empty for an agent that was not loaded from any."""
        return manifest_hash(self.manifest) if self.manifest else ""

    @property
    def world(self) -> int | None:
        """World version of the data the weights were trained on, if known."""
        return self.manifest.get("world")

    # --- the agent's contract ----------------------------------------------------------------------------

    def reset(self, demonstration: Demonstration | None = None, instruction: str = "", seed: int = 0) -> None:
        """Start a trial. Raises UnknownDomainError for a domain that the weights do not know."""
        domain = self.domain if demonstration is None else demonstration.domain
        if self.domains is not None and domain not in self.domains:
            raise UnknownDomainError(
                f"these weights know the domain {', '.join(self.domains)}, not {domain!r}; {self.recipe} "
                "says how to train a decoder for it"
            )
        self.domain = domain
        self.seed = int(seed)
        self._plan = None

    def predict(
        self,
        observation: Mapping[str, Any],
        state: ChunkState | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Float32Array, ChunkState]:
        """The action (7,), or (B, 7) for observations with a leading axis, and what to pass as `state` next.

        Without `state` the agent goes on from its own last call. `episode_start` (B,) marks environments that
        begin anew.
        """
        batched = np.ndim(observation["state"]) == 2
        rows = self._rows(observation, batched)
        plan = self._recall(state, episode_start, len(rows["state"]))
        due = np.flatnonzero(plan.step % self.execute == 0)
        with on_threads(self.threads):
            self.remember(rows, plan)
            if len(due):
                plan.chunk[due] = self.predict_chunks(self._due(rows, plan, due))
        action = plan.chunk[np.arange(len(plan.step)), plan.step % self.execute]
        plan.step += 1
        self._plan = plan
        return (action if batched else action[0]), plan

    def plan(self, observation: Mapping[str, Any], step: int) -> Float32Array:
        """A new chunk (chunk, 7) from the observation of `step`, for runners that compute while they move."""
        rows = self._rows(observation, batched=False)
        plan = self._recall(None, [step == 0], 1)
        plan.step[:] = step
        self._plan = plan
        with on_threads(self.threads):
            self.remember(rows, plan)
            return self.predict_chunks(self._due(rows, plan, np.array([0])))[0]

    # --- inside ------------------------------------------------------------------------------------------

    def _rows(self, observation: Mapping[str, Any], batched: bool) -> ObservationBatch:
        read = {key: np.asarray(observation[key]) for key in ("state", *self.reads)}
        return read if batched else {key: value[None] for key, value in read.items()}

    def _recall(self, state: ChunkState | None, episode_start: Any, count: int) -> ChunkState:
        remembered = state if state is not None else self._plan
        if remembered is None or len(remembered.step) != count:
            return ChunkState.empty(count, self.chunk)
        plan = remembered.copy()
        if episode_start is not None:
            plan.step[np.broadcast_to(np.asarray(episode_start, bool), (count,))] = 0
        return plan

    def _due(self, rows: ObservationBatch, plan: ChunkState, due: NDArray[np.intp]) -> ChunkRequest:
        steps = plan.step[due]
        return ChunkRequest(
            {key: value[due] for key, value in rows.items()},
            steps,
            {key: value[due] for key, value in plan.memory.items()},
            [self._generator(int(step)) for step in steps],
        )

    def _generator(self, step: int) -> torch.Generator:
        key = np.random.SeedSequence((self.seed, step)).generate_state(2, np.uint32)
        return torch.Generator().manual_seed((int(key[0]) << 31) ^ int(key[1]))
