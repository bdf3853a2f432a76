"""Which action is due while a newer chunk is still being computed.

An agent that predicts chunks (`h2r_bench.types.ChunkAgent`) is asked for the next one every `execute` steps,
from the observation of that step. While it computes, the actions of the previous chunk are carried out; when
the new one arrives `d` steps later, its first `d` actions are in the past and it is entered at the `d`-th.
"""

from __future__ import annotations

from h2r_bench.types import Float32Array


class ActionQueue:
    """Plays the newest chunk by the step, not by the count of calls."""

    def __init__(self, execute: int | None) -> None:
        """A new chunk is due every `execute` control steps; None: when half of the last one is used up."""
        self._execute = execute
        self._asked: int | None = None
        self._made_at = 0
        self._actions: Float32Array | None = None

    def due(self, step: int) -> bool:
        """Whether a new chunk shall be asked for at `step`."""
        if self._asked is None or self._actions is None:
            return self._asked is None
        return step >= self._asked + (self._execute or max(1, len(self._actions) // 2))

    def asked(self, step: int) -> None:
        """A chunk was asked for with the observation of `step`."""
        self._asked = step

    def put(self, made_at: int, actions: Float32Array) -> None:
        """The chunk (n, 7) made from the observation of step `made_at`, for then and later, has arrived."""
        self._made_at, self._actions = made_at, actions

    def used_up(self, step: int) -> bool:
        """Whether the newest chunk says nothing of `step` any more."""
        return self._actions is None or step - self._made_at >= len(self._actions)

    def action(self, step: int) -> Float32Array | None:
        """The action (7,) for `step`, the chunk's last one beyond its end; None before the first chunk."""
        if self._actions is None:
            return None
        action: Float32Array = self._actions[min(step - self._made_at, len(self._actions) - 1)]
        return action
