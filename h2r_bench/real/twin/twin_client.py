"""The bridge's side of the twin: its clock, its camera, its scenes and its verdicts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.twin.framing import receive, send
from h2r_bench.remote import wire
from h2r_bench.types import Demonstration, Float32Array, FloatArray, GroundTruth, UInt8Array

REPLY_S = 600.0
"""How long an answer may take [s]: a large film on a busy machine takes minutes, and a twin that is gone is
noticed at once."""
MAX_REPLY = 1 << 28
"""Longest reply taken [bytes]: a film of 90 s at 424x240 fits."""


@dataclass(frozen=True)
class Scene:
    """A trial as the twin has set it up."""

    task: str
    """The task that is played; a name that stands for several draws one."""
    demonstration: Demonstration
    instruction: str
    start_position: FloatArray
    """Shape (3,): where the tool shall start [m]."""
    start_rotation: FloatArray
    """Shape (3,): rotation vector relative to gripper-down [rad]."""
    horizon: int
    """Control steps of a trial."""
    description: dict[str, Any]
    """What stands where."""


@dataclass(frozen=True)
class TwinFrame:
    """What the simulated camera saw."""

    image: UInt8Array
    """Shape (H, W, 3), RGB."""
    time_s: float
    """Simulated time [s]."""
    number: int
    """Counts up."""


class TwinClient:
    """Asks a twin. Each thread gets a connection of its own, so that one may wait while others ask."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Reach the twin that listens at `port`. Raises ArmError."""
        self._address = (host, port)
        self._mine = threading.local()
        self._all: list[socket.socket] = []
        self.quiet: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
        """Entered while the world stands still: whoever listens to the robot would hear nothing."""
        self.image_size: tuple[int, int] = tuple(self.ask("hello")["image_size"])

    def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        """The twin's answer. Raises ArmError when it is gone, ValueError when it refuses."""
        try:
            peer = self._connection()
            send(peer, {"ask": question, **fields})
            reply = receive(peer, MAX_REPLY)
        except (OSError, wire.WireError) as error:
            raise ArmError(f"the twin is gone ({error}): start the session again, it goes on") from error
        if "error" in reply:
            raise ValueError(reply["error"])
        found: dict[str, Any] = reply
        return found

    def close(self) -> None:
        """Close all connections."""
        while self._all:
            with contextlib.suppress(OSError):
                self._all.pop().close()

    def _connection(self) -> socket.socket:
        peer: socket.socket | None = getattr(self._mine, "peer", None)
        if peer is None:
            peer = socket.create_connection(self._address, timeout=REPLY_S)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._mine.peer = peer
            self._all.append(peer)
        return peer

    # --- questions -----------------------------------------------------------------------------------------

    def set_scene(
        self,
        task: str,
        seed: int,
        trial: int | None = None,
        *,
        cue: str = "scene",
        shift_cm: float = 0.0,
        film: bool = True,
    ) -> Scene:
        """Put a scene on the table, that of `env.reset(seed=seed, options={"trial": trial})`.

        The arm must stand; it stays where it is. Raises ValueError for a moving arm or bad settings.
        """
        with self.quiet():
            found = self.ask(
                "scene", task=task, seed=seed, trial=trial, cue=cue, shift_cm=shift_cm, film=film
            )
        truth = GroundTruth(**found["truth"])
        demonstration = Demonstration(found["frames"], found["rate_hz"], found["instruction"], truth)
        return Scene(
            found["task"],
            demonstration,
            found["instruction"],
            found["start_position"],
            found["start_rotation"],
            int(found["horizon"]),
            {"scene": found["scene"], "goal": found["goal"]},
        )

    def frame(self) -> TwinFrame:
        """What the camera sees now."""
        return TwinFrame(**self.ask("frame"))

    def newest_frame_s(self) -> float:
        """When the newest frame that has arrived was taken [s, simulated]; nothing is drawn."""
        return float(self.ask("newest_frame")["time_s"])

    def verdict(self) -> dict[str, Any]:
        """The simulator's judgement: `is_success`, `progress`, `failure`."""
        return self.ask("verdict")

    def trace(self, since_s: float) -> FloatArray:
        """The arm's past, shape (N, 5): time [s], tool position [m], fastest commanded joint [rad/s]."""
        rows: FloatArray = self.ask("trace", since_s=since_s)["rows"]
        return rows

    def break_(self, **faults: Any) -> None:
        """Make things go wrong, see `Faults`; without arguments all is well again."""
        self.ask("break", **faults)

    # --- for privileged agents: what they call on an environment -------------------------------------------

    @property
    def unwrapped(self) -> TwinClient:
        """As an environment has it."""
        return self

    def expert_script(self) -> None:
        """Let the twin plan the script that solves its scene from here."""
        self.ask("expert", begin=True)

    def expert_action(self, script: None = None) -> Float32Array:
        """The next action of that script, shape (7,)."""
        return np.asarray(self.ask("expert")["action"], np.float32)


class TwinClock:
    """Simulated time."""

    def __init__(self, client: TwinClient) -> None:
        self._client = client

    def now(self) -> float:
        """Time [s]."""
        return float(self._client.ask("time")["time_s"])

    def sleep_until(self, time_s: float) -> None:
        """Return once the world has reached `time_s` [s]."""
        self._client.ask("wait", time_s=float(time_s))
