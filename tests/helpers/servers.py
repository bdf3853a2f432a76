"""A policy server as others write them: websockets and msgpack, nothing of ours. It behaves as told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

Answer = Callable[[dict[str, Any]], Any]
"""From a request to the answer: a map with arrays, bytes or text to send as they are, or None for silence."""


def encoded(value: Any) -> Any:
    """Arrays as openpi has them."""
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    return value


def decoded(fields: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in fields:
        return fields
    return np.frombuffer(fields[b"data"], fields[b"dtype"]).reshape(fields[b"shape"])


def packed(message: Any) -> bytes:
    return bytes(msgpack.packb(message, default=encoded))


class PlainServer:
    """Greets with `metadata`, answers with `answer`, and remembers all requests."""

    def __init__(self, answer: Answer, metadata: Any = None) -> None:
        self.answer = answer
        self.metadata = {} if metadata is None else metadata
        self.requests: list[dict[str, Any]] = []
        self.connections = 0
        self._server = serve(self._handle, "127.0.0.1", 0, compression=None, max_size=None)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _handle(self, client: ServerConnection) -> None:
        self.connections += 1
        try:
            self._send(client, self.metadata)
            for data in client:
                self.requests.append(msgpack.unpackb(data, object_hook=decoded))
                self._send(client, self.answer(self.requests[-1]))
        except ConnectionClosed:
            pass

    def _send(self, client: ServerConnection, message: Any) -> None:
        if message is not None:
            client.send(message if isinstance(message, bytes | str) else packed(message))

    def run(self) -> None:
        self._server.serve_forever()

    def close(self) -> None:
        self._server.shutdown()


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """Serve in the background; `server` has `url`, and either `run` or `serve_forever`, and `close`."""
    forever = server.run if hasattr(server, "run") else server.serve_forever
    thread = threading.Thread(target=forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")
