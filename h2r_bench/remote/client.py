"""An agent in another process or on another machine: any server that speaks openpi's websocket protocol.

Importing this needs neither PyTorch nor the simulator, and using it only the packages of the extra `remote`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from h2r_bench.ranges import Count, Positive
from h2r_bench.remote import wire
from h2r_bench.remote.messages import ServerInfo, instruction_of, read_actions, request_message
from h2r_bench.remote.wire import WireError
from h2r_bench.types import ACTION_DIM, SERVED_AT, AgentError, Demonstration, Float32Array

MAX_REPLY_BYTES = 16 * 2**20
"""Longer messages from a server are refused [bytes]."""
CONNECT_TIMEOUT_S = 10.0
"""How long a server may take to greet [s]."""
CLOSE_TIMEOUT_S = 1.0
"""How long a server may take to say goodbye [s]."""


class RemoteError(AgentError):
    """The policy server is gone, late, or answers nonsense."""


@dataclass(frozen=True)
class RemoteOptions:
    """Where the policy is."""

    url: str
    """Address of the policy server, as ws://host:8000 (or wss:// for TLS)."""
    timeout: Positive = 60.0
    """Longest wait for an answer [s]: after it the trial has failed. First answers may include compiling."""
    execute: Count | None = None
    """Actions of each answer to carry out before asking again; all of them by default."""

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("ws", "wss") or not address.hostname:
            raise ValueError(f"--url must be like ws://host:8000, got {self.url!r}")
        if not 0.0 < self.timeout < threading.TIMEOUT_MAX:
            raise ValueError(f"--timeout must be a number of seconds above 0, got {self.timeout}")
        if self.execute is not None and self.execute < 1:
            raise ValueError(f"--execute must be at least 1, got {self.execute}")


class Connection:
    """One connection to a policy server. Whatever goes wrong closes it and raises RemoteError.

    A connection that failed is never used again: its late answer would be taken for that to the next request.
    """

    def __init__(self, url: str, timeout: float = CONNECT_TIMEOUT_S) -> None:
        """Connect to `url` and read the metadata, within `timeout` [s].

        Raises:
            RemoteError: nobody answers there, or not a policy server.
        """
        self.url = url
        self._socket = _connect(url, timeout)
        self.info = ServerInfo()
        with self._guarded(timeout):
            self.info = ServerInfo.from_metadata(self._receive(timeout))

    def ask(self, message: dict[str, Any], timeout: float) -> Float32Array:
        """Send a request and wait at most `timeout` [s] for its actions, shape (horizon, 7)."""
        with self._guarded(timeout):
            self._send(wire.pack(message), timeout)
            return read_actions(self._receive(timeout))

    def close(self) -> None:
        """Close; a server that does not take its leave is not waited for."""
        self._socket.close()

    def _send(self, data: bytes, timeout: float) -> None:
        """Send `data`. Raises TimeoutError when the server does not read it within `timeout` [s]."""
        late = threading.Event()

        def cut() -> None:
            late.set()
            self._socket.socket.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(timeout, cut)
        timer.daemon = True
        timer.start()
        try:
            self._socket.send(data)
        except ConnectionClosed:
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()

    def _receive(self, timeout: float) -> Any:
        answer = self._socket.recv(timeout)
        if isinstance(answer, str):
            raise RemoteError(f"the policy server reports: {_last_line(answer)}")
        return wire.unpack(answer)

    @contextmanager
    def _guarded(self, timeout: float) -> Iterator[None]:
        """Turn whatever fails inside into a RemoteError, and close."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise RemoteError(f"the policy server did not answer within {timeout:g} s") from None
            if isinstance(error, ConnectionClosed):
                raise RemoteError(f"the policy server hung up ({error})") from None
            if isinstance(error, WireError):
                raise RemoteError(f"the policy server answered nonsense: {error}") from None
            raise


class RemoteAgent:
    """Acts as a policy server says, a chunk of actions at a time."""

    Options = RemoteOptions
    """What the command line asks for."""

    image_size: tuple[int, int]
    """Width and height of the images to send [pixels]; set only when the server says so."""

    def __init__(self, options: RemoteOptions) -> None:
        """Connect to the server.

        Raises:
            RemoteError: there is no policy server.
        """
        self.options = options
        self._connection: Connection | None = self._connect()
        self.info = self._connection.info
        self._demonstration: Demonstration | None = None
        self._instruction: str | None = None
        self._seed = 0
        self._fresh = True
        self._chunk = np.zeros((0, ACTION_DIM), np.float32)
        self._done = 0
        if self.info.image_size is not None:
            self.image_size = self.info.image_size

    @property
    def needs_images(self) -> bool:
        """Whether the server looks at pictures."""
        return self.info.needs_images

    @property
    def execute(self) -> int | None:
        """Control steps after which a new chunk is wanted: as asked for, else as the server says."""
        return self.options.execute or self.info.execute

    @property
    def weights_hash(self) -> str:
        """Hash of the server's weights as it states them, or else its address.

        Two servers are then never taken for one, though one server may be two if its policy is exchanged.
        """
        address = urlsplit(self.options.url)
        place = f"{address.hostname}:{address.port or address.scheme}{address.path.rstrip('/')}"
        return self.info.weights or SERVED_AT + place

    @property
    def world(self) -> int | None:
        """World version of the data that the server's weights were trained on, if it says so."""
        return self.info.world

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Start a trial, on a new connection if the last was lost. Raises RemoteError."""
        self._demonstration, self._instruction, self._seed = demonstration, instruction, seed
        self._begin()
        if self._connection is None:
            self._connection = self._connect()
            if self._connection.info != self.info:
                self.close()
                raise RemoteError("the server now says that it serves another policy: start another run")

    def predict(
        self,
        observation: Mapping[str, Any],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Float32Array, Any]:
        """The next action, shape (7,), asking the server when the last chunk is used up.

        Raises:
            RemoteError: it is gone, late, or answers nonsense; there is no connection until the next reset.
            ValueError: the observation is a batch.
        """
        if np.ndim(observation["state"]) != 1:
            raise ValueError("a policy server answers for one environment: run each with an agent of its own")
        if episode_start is not None and np.any(episode_start):
            self._begin()
        if self._done == len(self._chunk):
            self._chunk, self._done = self._ask(observation)[: self.options.execute], 0
        action: Float32Array = self._chunk[self._done]
        self._done += 1
        return action.copy(), state

    def plan(self, observation: Mapping[str, Any], step: int) -> Float32Array:
        """All actions (n, 7) that the server has for the control steps from `step` on.

        Raises RemoteError, as `predict` does.
        """
        return self._ask(observation, step)

    def close(self) -> None:
        """Leave the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _begin(self) -> None:
        self._fresh, self._done, self._chunk = True, 0, self._chunk[:0]

    def _connect(self) -> Connection:
        return Connection(self.options.url, min(CONNECT_TIMEOUT_S, self.options.timeout))

    def _ask(self, observation: Mapping[str, Any], plan_step: int | None = None) -> Float32Array:
        """What the server answers, shape (horizon, 7)."""
        if self._connection is None:
            raise RemoteError("there is no connection")
        prompt = instruction_of(observation) if self._instruction is None else self._instruction
        message = request_message(
            observation, prompt, self._fresh, self._seed, self._demonstration, self.info.wants, plan_step
        )
        try:
            actions = self._connection.ask(message, self.options.timeout)
        except RemoteError:
            self._connection = None
            raise
        self._fresh = False
        return actions


def _connect(url: str, timeout: float) -> ClientConnection:
    """A websocket to `url`. Raises RemoteError."""
    try:
        # Pings are off: a server that computes in its event loop, as openpi's does, answers none meanwhile.
        return connect(
            url,
            compression=None,
            max_size=MAX_REPLY_BYTES,
            open_timeout=timeout,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            proxy=None,
        )
    except (OSError, WebSocketException) as error:
        raise RemoteError(f"no policy server at {url} ({error})") from None


def _last_line(text: str) -> str:
    """The last line that says something: of a traceback, the error itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "an error without a word"
