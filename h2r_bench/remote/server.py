"""A policy server: any agent behind openpi's websocket protocol, one agent for each client.

`h2r_bench.remote.messages` has the messages. Who connects gets an agent of its own; it goes to the next
client once this one has left, so there are never more agents than there were clients at once.
"""

from __future__ import annotations

import http
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.sync.server import Server, ServerConnection, serve

from h2r_bench.remote import wire
from h2r_bench.remote.messages import (
    ACTIONS,
    DEMONSTRATION,
    EPISODE_START,
    HUMAN_CLIP,
    PLAN_STEP,
    RATE_HZ,
    SEED,
    SERVER_TIMING,
    ServerInfo,
    read_request,
)
from h2r_bench.types import ACTION_DIM, Agent, AgentInfo, ChunkAgent, PrivilegedAgent

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array

MAX_REQUEST_BYTES = 256 * 2**20
"""Longer requests are refused [bytes]: 30 s of the paper's video have 92 MB."""
HEALTH_PATH = "/healthz"

log = logging.getLogger(__name__)


class ClientSession:
    """One client and its agent. The first request starts a trial, and so does any that says so."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._state: Any = None
        self._started = False

    def act(self, message: Any) -> Float32Array:
        """The answer to a request: the agent's next action as a chunk of one, shape (1, 7).

        A client that asks for a plan gets the whole chunk (n, 7) of an agent that predicts chunks.

        Raises:
            WireError: the request makes no sense.
            ValueError: the agent needs something that the request lacks.
        """
        request = read_request(message)
        if "image" not in request.observation and needs_images(self.agent):
            raise ValueError("this agent looks at pictures: observation/image is missing")
        start = request.start or not self._started
        if start:
            self.agent.reset(request.demonstration, request.prompt, request.seed)
            self._state, self._started = None, True
        try:
            if request.plan_step is not None and isinstance(self.agent, ChunkAgent):
                return self.agent.plan(request.observation, request.plan_step)
            action, self._state = self.agent.predict(
                request.observation, self._state, np.array([start]), deterministic=True
            )
        except KeyError as error:
            raise ValueError(f"this agent needs more than there is in the request: {error}") from error
        return np.asarray(action, np.float32).reshape(1, ACTION_DIM)


class AgentPool:
    """Agents that wait for clients; a new one is made when all are busy."""

    def __init__(self, make: Callable[[], Agent], limit: int) -> None:
        """Make agents with `make`, at most `limit` of them; the first is made now.

        Raises ValueError for privileged agents, which need the simulator itself, and for agents that say of
        themselves what no client understands.
        """
        self._make = make
        self._lock = threading.Lock()
        self._free = [make()]
        if isinstance(self._free[0], PrivilegedAgent):
            raise ValueError("a privileged agent cannot be served: it needs the simulator itself")
        self._room = threading.Semaphore(limit)
        # Read as clients will, so that an agent with an odd `weights_hash` or `image_size` is noticed here.
        self.info = ServerInfo.from_metadata(describe(self._free[0]).to_metadata())

    @contextmanager
    def lend(self) -> Iterator[Agent | None]:
        """An agent that nobody else uses meanwhile, or None when all are lent."""
        if not self._room.acquire(blocking=False):
            yield None
            return
        try:
            with self._lock:
                agent = self._free.pop() if self._free else self._make()
            try:
                yield agent
            except (ConnectionClosed, wire.WireError):  # the client's doing: the agent is well
                self._free.append(agent)
                raise
            self._free.append(agent)
        finally:
            self._room.release()


class PolicyServer:
    """Serves agents until it is closed."""

    def __init__(self, pool: AgentPool, host: str, port: int) -> None:
        """Listen at `host` and `port`; 0 picks a free port. Raises OSError when that cannot be."""
        logging.getLogger("websockets.server").setLevel(
            logging.CRITICAL
        )  # we say ourselves who comes and goes
        self._pool = pool
        self._server: Server = serve(
            self._handle,
            host,
            port,
            process_request=_health,
            origins=[None],  # no web page, of whatever origin, speaks to this server
            compression=None,
            max_size=MAX_REQUEST_BYTES,
        )
        self.address: tuple[str, int] = self._server.socket.getsockname()[:2]

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.address
        return f"ws://{f'[{host}]' if ':' in host else host}:{port}"

    def serve_forever(self) -> None:
        """Serve until `close` is called from another thread, or Ctrl-C."""
        self._server.serve_forever()

    def close(self) -> None:
        """Stop listening, hang up and wait for the answers under way."""
        self._server.shutdown()

    def _handle(self, client: ServerConnection) -> None:
        name = "{}:{}".format(*client.remote_address[:2])
        log.info("%s connected", name)
        try:
            with self._pool.lend() as agent:
                if agent is None:
                    _refuse(
                        client, "busy: as many clients as allowed are connected", CloseCode.TRY_AGAIN_LATER
                    )
                else:
                    self._converse(client, ClientSession(agent))
        except ConnectionClosed:
            pass
        except Exception as error:
            log.warning("%s: %s: %s", name, type(error).__name__, error, exc_info=not _clients_fault(error))
            _refuse(client, f"{type(error).__name__}: {error}", CloseCode.INTERNAL_ERROR)
        log.info("%s left", name)

    def _converse(self, client: ServerConnection, session: ClientSession) -> None:
        """Greet, then answer requests until the client leaves."""
        client.send(wire.pack(self._pool.info.to_metadata()))
        timing: dict[str, float] = {}
        for data in client:
            began = time.perf_counter()
            if isinstance(data, str):
                raise wire.WireError("a request is a msgpack message, not text")
            actions = session.act(wire.unpack(data))
            timing["infer_ms"] = 1e3 * (time.perf_counter() - began)
            client.send(wire.pack({ACTIONS: actions, SERVER_TIMING: timing}))
            timing["prev_total_ms"] = 1e3 * (time.perf_counter() - began)


def needs_images(agent: Agent) -> bool:
    """Whether `agent` looks at pictures; an agent that does not say so does."""
    return AgentInfo.of(agent).needs_images


def describe(agent: Agent) -> ServerInfo:
    """What a server of `agent` says of itself."""
    info = AgentInfo.of(agent)
    film = (HUMAN_CLIP,) if info.needs_images else ()
    plans = (PLAN_STEP,) if isinstance(agent, ChunkAgent) else ()
    return ServerInfo(
        wants=(*film, EPISODE_START, SEED, DEMONSTRATION, RATE_HZ, *plans),
        needs_images=info.needs_images,
        image_size=info.image_size,
        weights=str(info.weights_hash or ""),
        world=info.world,
        execute=agent.execute if isinstance(agent, ChunkAgent) else None,
    )


def _clients_fault(error: Exception) -> bool:
    return isinstance(error, ValueError)


def _refuse(client: ServerConnection, reason: str, code: CloseCode) -> None:
    """Send `reason` as text, as openpi's server does, and hang up."""
    try:
        client.send(reason)
        client.close(code, "see the text before")
    except ConnectionClosed:
        pass


def _health(connection: ServerConnection, request: HttpRequest) -> Response | None:
    if request.path == HEALTH_PATH:
        return connection.respond(http.HTTPStatus.OK, "OK\n")
    return None
