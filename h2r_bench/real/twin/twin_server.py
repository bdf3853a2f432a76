"""The twin's process: ticks the world, serves Franka's protocol, answers the bridge.

One thread does everything to the world, so that a simulated moment is well defined: drawing a frame or a
scene takes no simulated time. A thread for each client only reads and writes its socket.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from franky_sim.simulation_server import LocalHostnames

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.real.arms.franka import TICK_S
from h2r_bench.real.twin.config import TwinConfig
from h2r_bench.real.twin.framing import receive, send
from h2r_bench.real.twin.franka_protocol import TwinRobotServer
from h2r_bench.real.twin.world import TwinScene, TwinWorld
from h2r_bench.remote import wire

MAX_REQUEST = 1 << 20
"""Longest request [bytes]."""
STANDING_S = 3.0
"""How long an arm may take to end its motion before a scene is changed [s]."""
CREEP_S = 0.004
"""In lockstep a simulated millisecond takes this much longer while the session computes [s]."""
MAX_BEHIND_S = 0.05
"""A world that fell further behind the wall clock than this [s] does not catch up."""

logger = logging.getLogger(__name__)


@dataclass
class Faults:
    """What shall go wrong, for tests of what happens then."""

    camera_frozen: bool = False
    """The camera shows the same frame for ever."""
    camera_delay_s: float = 0.0
    """Frames arrive this much later than taken [s]."""


Reply = Callable[[dict[str, Any]], None]


class TwinServer:
    """The world and everybody who talks to it."""

    def __init__(self, config: TwinConfig) -> None:
        """Set up the world and bind the sockets, on loopback alone. Raises OSError."""
        self._config = config
        self.world = TwinWorld(config.image_size, feedforward=config.feedforward)
        self.faults = Faults()
        self.franka = TwinRobotServer(self.world.robot, [config.host] if config.host else LocalHostnames())
        self.franka.init()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._requests: queue.SimpleQueue[tuple[int, dict[str, Any], Reply]] = queue.SimpleQueue()
        self._leader, self._leader_busy = -1, False
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running = True
        self._frame: dict[str, Any] = {}
        self._frames = itertools.count()

    @property
    def address(self) -> dict[str, Any]:
        """Where it is reached: `host` speaks Franka's protocol, `port` ours."""
        return {"host": self.franka.hostname, "port": self._listener.getsockname()[1]}

    def run(self) -> None:
        """Serve until told to stop."""
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        origin = time.monotonic() - self.world.time_s
        while self._running:
            self._tick()
            if self._leader_busy:
                time.sleep(CREEP_S)
            if self._config.speed > 0.0:
                origin = self._pace(origin)
        self.close()

    def stop(self) -> None:
        """Let `run` return after the tick in progress. May be called from any thread."""
        self._running = False

    def close(self) -> None:
        """Close all sockets."""
        self._running = False
        self._listener.close()
        self.franka.cleanup()
        self.world.close()

    def _tick(self) -> None:
        self.franka.process_commands()
        self.world.tick()
        self.franka.send_state()
        while self._waiting and self._waiting[0][0] <= self.world.time_s + TICK_S / 2:
            heapq.heappop(self._waiting)[2]()
        while not self._requests.empty():
            self._answer(*self._requests.get())

    def _pace(self, origin: float) -> float:
        """Keep to the wall clock; returns the moment at which the simulated clock would have begun."""
        ahead = self.world.time_s / self._config.speed - (time.monotonic() - origin)
        if ahead > 0.0:
            time.sleep(ahead)
        return origin - min(ahead + MAX_BEHIND_S, 0.0)

    # --- the bridge's questions ----------------------------------------------------------------------------

    def _answer(self, client: int, request: dict[str, Any], reply: Reply) -> None:
        """Answer one request, or note it down for later."""
        name = str(request.pop("ask", ""))
        if name not in _QUESTIONS:
            reply({"error": f"unknown question {name!r}; known: {', '.join(_QUESTIONS)}"})
            return
        if name == "lead":
            self._leader = client
        if client == self._leader:
            reply = self._led(reply)
            self._leader_busy = name != "wait"
        self._try(reply, functools.partial(_QUESTIONS[name], self, reply, **request))

    def _led(self, reply: Reply) -> Reply:
        """A reply after which the leader is at work again."""

        def answered(message: dict[str, Any]) -> None:
            self._leader_busy = True
            reply(message)

        return answered

    @staticmethod
    def _try(reply: Reply, call: Callable[..., None], *arguments: Any) -> None:
        """Call, and pass on what went wrong as the answer."""
        try:
            call(*arguments)
        except (ValueError, TypeError, RuntimeError) as error:
            reply({"error": str(error)})

    def _hello(self, reply: Reply) -> None:
        reply(
            {"world": WORLD_VERSION, "image_size": list(self._config.image_size), "time_s": self.world.time_s}
        )

    def _later(self, time_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (time_s, next(self._order), call))

    def _wait(self, reply: Reply, time_s: float) -> None:
        self._later(float(time_s), lambda: reply({"time_s": self.world.time_s}))

    def _scene(self, reply: Reply, **settings: Any) -> None:
        self._when_standing(time.monotonic() + STANDING_S, reply, TwinScene(**settings))

    def _when_standing(self, until: float, reply: Reply, config: TwinScene) -> None:
        """Change the scene once the arm has ended its motion, refuse when it does not until `until`."""
        if not self.franka.current_motion_id:
            answer = self.world.reset(config)
            self.franka.stop_motion()  # it holds where it stands in the new world
            reply(answer)
        elif time.monotonic() > until:
            raise ValueError("the arm is moving: stop it before the scene is changed")
        else:
            again = functools.partial(self._try, reply, self._when_standing, until, reply, config)
            self._later(self.world.time_s + 0.01, again)

    def _camera(self, reply: Reply) -> None:
        if not (self.faults.camera_frozen and self._frame):
            image = self.world.frame()
            self._frame = {"image": image, "time_s": self.world.time_s, "number": next(self._frames)}
        frame = self._frame
        self._later(self.world.time_s + self.faults.camera_delay_s, lambda: reply(frame))

    def _newest_frame(self, reply: Reply) -> None:
        if self.faults.camera_frozen and self._frame:
            reply({"time_s": self._frame["time_s"]})
        else:
            reply({"time_s": self.world.time_s - self.faults.camera_delay_s})

    def _expert(self, reply: Reply, begin: bool = False) -> None:
        if begin:
            self.world.begin_expert()
            reply({})
        else:
            reply({"action": np.asarray(self.world.expert_action())})

    def _break(self, reply: Reply, **faults: Any) -> None:
        self.faults = Faults(**faults)
        reply({})

    def _stop(self, reply: Reply) -> None:
        self.stop()
        reply({})

    # --- sockets -------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while self._running:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client, next(self._order)), daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        """Pass a client's requests to the world one after the other, until it goes."""
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with client:
            try:
                while True:
                    request = receive(client, MAX_REQUEST)
                    if not isinstance(request, dict):
                        raise wire.WireError("a request is a map")
                    self._requests.put((number, request, answers.put))
                    send(client, answers.get())
            except (OSError, wire.WireError) as error:
                logger.info("client gone: %s", error)
            if number == self._leader:
                self._leader, self._leader_busy = -1, False


_QUESTIONS: dict[str, Callable[..., None]] = {
    "hello": TwinServer._hello,
    "lead": lambda server, reply: reply({}),
    "time": lambda server, reply: reply({"time_s": server.world.time_s}),
    "wait": TwinServer._wait,
    "scene": TwinServer._scene,
    "frame": TwinServer._camera,
    "newest_frame": TwinServer._newest_frame,
    "verdict": lambda server, reply: reply(server.world.verdict()),
    "expert": TwinServer._expert,
    "trace": lambda server, reply, since_s: reply({"rows": server.world.trace(float(since_s))}),
    "break": TwinServer._break,
    "stop": TwinServer._stop,
}


def serve(config: TwinConfig) -> None:
    """Run a twin and say on standard output, in one line of JSON, where it is reached."""
    server = TwinServer(config)
    print(json.dumps(server.address), flush=True)
    if config.tied:
        threading.Thread(target=_stop_with_stdin, args=(server,), daemon=True).start()
    server.run()


def _stop_with_stdin(server: TwinServer) -> None:
    """Stop when whoever started the twin is gone."""
    sys.stdin.read()
    server.stop()
