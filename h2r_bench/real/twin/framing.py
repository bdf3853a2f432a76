"""Messages between bridge and twin: msgpack behind a length, over a loopback socket."""

from __future__ import annotations

import socket
import struct
from typing import Any

from h2r_bench.remote import wire

LENGTH = struct.Struct("<I")
"""Each message is preceded by its length in bytes."""


def send(peer: socket.socket, message: Any) -> None:
    """Send one message. Raises OSError."""
    data = wire.pack(message)
    peer.sendall(LENGTH.pack(len(data)) + data)


def receive(peer: socket.socket, limit: int) -> Any:
    """The next message, of at most `limit` bytes. Raises OSError when the peer is gone, WireError if bad."""
    (length,) = LENGTH.unpack(_read(peer, LENGTH.size))
    if length > limit:
        raise wire.WireError(f"a message of {length} bytes; at most {limit} are taken")
    return wire.unpack(_read(peer, length))


def _read(peer: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = peer.recv(min(length - len(data), 1 << 20))
        if not part:
            raise ConnectionError("the connection was closed")
        data += part
    return bytes(data)
