"""docs/your_policy.md, carried out from top to bottom."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from h2r_bench.evaluation.log import TrialLog, log_path
from h2r_bench.evaluation.trial import TrialRecord

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "your_policy.md"
BLOCK = re.compile(
    r"<!-- (?P<what>[^>]+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
TASK = "push_pull"


@dataclass
class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    home: Path
    ports: dict[str, int]
    """Ports of the page and free ones of this computer."""

    def __post_init__(self) -> None:
        self.background: list[subprocess.Popen[bytes]] = []
        tools, site = self.home / "bin", self.home / "site"
        tools.mkdir()
        for name, command in (("python", sys.executable), ("pip", f"{sys.executable} -m pip")):
            (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (tools / name).chmod(0o755)
        # What `pip install .` installs goes to a folder here, and nothing is fetched.
        pip = {"TARGET": str(site), "NO_DEPS": "1", "NO_INDEX": "1", "NO_BUILD_ISOLATION": "0", "QUIET": "1"}
        self.environment = {
            **os.environ,
            **{f"PIP_{name}": value for name, value in pip.items()},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": f"{site}:{ROOT}",
        }

    def do(self, what: str, text: str) -> None:
        """Write the file or run the commands of a block. Runs are cut to one trial."""
        for port, free in self.ports.items():
            text = text.replace(port, str(free))
        if what.startswith("file: "):
            path = self.home / what.removeprefix("file: ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif what == "run":
            self.run(re.sub(r"--trials \d+", "--trials 1", text))
        elif what == "run in the background":
            self.start(text)
        else:
            raise ValueError(f"the page marks a block {what!r}")

    def run(self, text: str) -> None:
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"

    def start(self, text: str) -> None:
        """Start a server and wait until it listens at the next of the ports."""
        server = subprocess.Popen(
            ["bash", "-euc", f"exec {text}"], cwd=self.home, env=self.environment, start_new_session=True
        )
        port = list(self.ports.values())[len(self.background)]
        self.background.append(server)
        while True:
            assert server.poll() is None, f"{text} ended by itself"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)

    def stop(self) -> None:
        for server in self.background:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def record(self, policy: str, out: str = "runs") -> TrialRecord:
        (record,) = TrialLog(log_path(self.home / out, TASK, policy)).load()
        return record


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    someone = Reader(tmp_path, dict(zip(("8000", "8001"), free_ports(2), strict=True)))
    yield someone
    someone.stop()


@pytest.mark.slow
def test_everything_on_the_page_works(reader: Reader) -> None:
    blocks = [match.group("what", "text") for match in BLOCK.finditer(PAGE.read_text())]
    assert [what for what, _ in blocks if what.startswith("file")] == [
        "file: my_pkg/my_policy.py",
        "file: my_pkg/settings.py",
        "file: pyproject.toml",
        "file: my_server.py",
    ]
    for what, text in blocks:
        reader.do(what, text)
    named = reader.record("my_pkg.my_policy:MyPolicy")
    published = reader.record("my_policy", out="results")
    away = reader.record("my_policy_at_4cm")
    assert reader.record("my_server").failure == "object never touched"
    # The entry point is the same policy, and the served one a little higher above the table.
    assert (named.trial_seed, named.steps) == (published.trial_seed, published.steps)
    assert (named.success, named.progress, named.failure) == (
        published.success,
        published.progress,
        published.failure,
    )
    assert (away.trial_seed, away.steps) == (named.trial_seed, named.steps)


def test_every_block_of_the_page_is_marked() -> None:
    text = PAGE.read_text()
    assert len(BLOCK.findall(text)) == len(re.findall(r"^```\w", text, re.MULTILINE)) > 8
