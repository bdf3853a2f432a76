"""`python -m h2r_bench.serve`: an agent as a policy server, for `--policy remote --url ws://...`.

It speaks openpi's websocket protocol, so openpi's clients work as well. Every client has an agent of its own.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h2r_bench import extras
from h2r_bench.cli import refused
from h2r_bench.policies.catalog import find_agent
from h2r_bench.policies.options import parse_command
from h2r_bench.ranges import Count, Port

if TYPE_CHECKING:
    from h2r_bench.remote.server import PolicyServer


@dataclass(frozen=True)
class ServeConfig:
    """Serve an agent to robots and benchmarks elsewhere."""

    policy: str
    """Name of an agent, or package.module:Class."""
    weights: Path | None = None
    """Weights of the agent, instead of those it ships with."""
    host: str = "127.0.0.1"
    """Address to listen at. Anyone who reaches it can use the agent: there is no password."""
    port: Port = 8000
    """Port to listen at; 0 picks a free one."""
    clients: Count = 4
    """Most clients at once; each has its own agent, and so its own copy of the weights."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"--port must be 0..65535, got {self.port}")
        if self.clients < 1:
            raise ValueError(f"--clients must be at least 1, got {self.clients}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        config, options = parse_command(
            ServeConfig, argv, prog="python -m h2r_bench.serve", description=__doc__
        )
        server = open_server(config, options)
    except (OSError, ValueError, ImportError) as error:
        return refused(error)
    print(f"serving {config.policy} at {server.url}", flush=True)
    if not is_loopback(server.address[0]):
        logging.warning("anyone who reaches %s can use it: keep it behind a firewall", server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0


def open_server(config: ServeConfig, options: Any = None) -> PolicyServer:
    """Load the agent and listen.

    Raises:
        ValueError: there is no such agent, or it cannot be served.
        OSError: weights cannot be read, or the address is taken.
        ImportError: the packages of the extra `remote` are missing.
    """
    with extras.explained():
        from h2r_bench.remote.server import AgentPool, PolicyServer
    spec = find_agent(config.policy)
    pool = AgentPool(lambda: spec.load(config.weights, options), config.clients)
    try:
        return PolicyServer(pool, config.host, config.port)
    except OSError as error:
        raise OSError(f"cannot listen at {config.host}:{config.port}: {error.strerror or error}") from None


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches the address `host`."""
    return ipaddress.ip_address(host).is_loopback


if __name__ == "__main__":
    sys.exit(main())
