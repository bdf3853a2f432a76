from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.utils import accept_key

from h2r_bench import run
from h2r_bench.evaluation.trial import TrialRecord
from h2r_bench.remote import messages as protocol
from h2r_bench.remote.client import RemoteAgent, RemoteError, RemoteOptions
from h2r_bench.types import Agent, encode_instruction

from fakes import SIZE, FakeEnv
from servers import PlainServer, packed, running, wait_until

STILL = np.array([0.5, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0])
OBSERVATION = {
    "image": np.zeros((24, 32, 3), np.uint8),
    "state": np.zeros(10, np.float32),
    "human_clip": np.zeros((30, 24, 32, 3), np.uint8),
    "instruction": encode_instruction("do it"),
}


def chunk(request: dict[str, Any], horizon: int = 4) -> dict[str, Any]:
    """What a plain openpi server answers: actions that count up in x."""
    actions = np.tile(STILL, (horizon, 1))
    actions[:, 0] += np.arange(horizon) / 100
    return {"actions": actions, "server_timing": {"infer_ms": 1.0}}


@pytest.fixture
def plain() -> Iterator[PlainServer]:
    with running(PlainServer(chunk)) as server:
        yield server


def agent_of(server: PlainServer, **options: Any) -> RemoteAgent:
    return RemoteAgent(RemoteOptions(server.url, **options))


def trials(out: Path, server: PlainServer, *extra: str, count: int = 3) -> list[TrialRecord]:
    arguments = ["--task", "push_pull", "--policy", "remote", "--url", server.url, "--out", str(out)]
    status = run.main([*arguments, "--trials", str(count), *extra], lambda config, agent: FakeEnv(1.0))
    assert status == 0
    lines = (out / "trials" / "push_pull" / "remote.jsonl").read_text().splitlines()
    return [TrialRecord.from_json(line) for line in lines]


def test_a_plain_openpi_server_is_an_agent(plain: PlainServer) -> None:
    agent = agent_of(plain)
    assert isinstance(agent, Agent)
    assert agent.needs_images
    assert not hasattr(agent, "image_size")
    assert (agent.weights_hash, agent.world) == (f"at {plain.url.removeprefix('ws://')}", None)
    agent.reset(None, "push it", 3)  # type: ignore[arg-type]
    actions = [agent.predict(OBSERVATION)[0] for _ in range(6)]
    np.testing.assert_allclose([a[0] for a in actions], [0.5, 0.51, 0.52, 0.53, 0.5, 0.51])
    assert len(plain.requests) == 2
    assert set(plain.requests[0]) == {"observation/image", "observation/state", "prompt"}
    assert plain.requests[0]["prompt"] == "push it"
    agent.close()


def test_part_of_a_chunk(plain: PlainServer) -> None:
    agent = agent_of(plain, execute=2)
    actions = [agent.predict(OBSERVATION)[0][0] for _ in range(5)]
    np.testing.assert_allclose(actions, [0.5, 0.51, 0.5, 0.51, 0.5])
    assert len(plain.requests) == 3
    assert plain.requests[0]["prompt"] == "do it"
    agent.close()


def test_a_new_episode_drops_the_old_chunk(plain: PlainServer) -> None:
    agent = agent_of(plain)
    for start in ([True], [False], [True]):
        agent.predict(OBSERVATION, episode_start=np.array(start))
    assert len(plain.requests) == 2
    agent.reset(None, "again", 0)  # type: ignore[arg-type]
    agent.predict(OBSERVATION)
    assert len(plain.requests) == 3
    agent.close()


def test_batches_are_refused(plain: PlainServer) -> None:
    agent = agent_of(plain)
    with pytest.raises(ValueError, match="one environment"):
        agent.predict({"state": np.zeros((2, 10))})
    agent.close()


def test_a_run_against_a_plain_server(tmp_path: Path, plain: PlainServer) -> None:
    records = trials(tmp_path, plain)
    assert [record.success for record in records] == [True] * 3
    assert plain.connections == 1
    assert len(plain.requests) == 3 * FakeEnv.horizon / 4


def test_another_server_is_another_run(tmp_path: Path, plain: PlainServer) -> None:
    trials(tmp_path, plain)
    with running(PlainServer(chunk)) as other:
        records = trials(tmp_path, other)
        assert other.requests
    assert [record.trial for record in records] == [0, 1, 2, 0, 1, 2]


def test_extra_keys_for_who_wants_them(tmp_path: Path) -> None:
    metadata = {"h2r_bench": {"wants": list(protocol.EXTRA_KEYS), "weights": "abc", "image_size": [32, 24]}}
    with running(PlainServer(chunk, metadata)) as server:
        records = trials(tmp_path, server, count=2)
        assert agent_of(server).image_size == SIZE
    assert {record.weights for record in records} == {"abc"}
    first, *later = server.requests[:3]
    assert first[protocol.EPISODE_START] is True
    assert first[protocol.SEED] == records[0].trial_seed
    assert first[protocol.DEMONSTRATION].shape == (8, 24, 32, 3)
    assert first[protocol.RATE_HZ] == 10.0
    for request in later:
        assert request[protocol.EPISODE_START] is False
        assert request[protocol.HUMAN_CLIP].shape == (30, 24, 32, 3)
        assert protocol.DEMONSTRATION not in request
    assert [request[protocol.EPISODE_START] for request in server.requests] == [True, False, False] * 2


def hang(request: Any) -> None:
    """Answers nothing, ever."""


GARBAGE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "wrong shape": (lambda _: {"actions": np.zeros((4, 8))}, "shape (4, 8), not (horizon, 7)"),
    "flat": (lambda _: {"actions": np.zeros(7)}, "shape (7,), not (horizon, 7)"),
    "nan": (lambda _: {"actions": np.full((4, 7), np.nan)}, "not finite"),
    "no actions": (lambda _: {"action": np.zeros((4, 7))}, "no 'actions'"),
    "objects": (
        lambda _: {"actions": {b"__ndarray__": True, b"data": b"x", b"dtype": "|O", b"shape": [1]}},
        "dtype '|O'",
    ),
    "absurd": (
        lambda _: {"actions": {b"__ndarray__": True, b"data": b"", b"dtype": "<f8", b"shape": [2**40, 7]}},
        "got 0 bytes",
    ),
    "pickle": (lambda _: b"\x80\x04\x95\x0c\x00\x00\x00", "nonsense"),
    "text": (lambda _: "Traceback:\n  File x\nValueError: no GPU\n", "reports: ValueError: no GPU"),
    "silence": (hang, "did not answer within 1 s"),
    "huge": (lambda _: b"\0" * (17 * 2**20), "hung up"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_fails_that_trial_and_the_run_goes_on(tmp_path: Path, kind: str) -> None:
    answer, reason = GARBAGE[kind]
    calls: list[int] = []

    def misbehaves_in_the_second_trial(request: dict[str, Any]) -> Any:
        calls.append(1)
        return answer(request) if len(calls) == 5 else chunk(request)

    with running(PlainServer(misbehaves_in_the_second_trial)) as server:
        records = trials(tmp_path, server, "--timeout", "1")
    assert [record.success for record in records] == [True, False, True]
    assert reason in records[1].failure
    assert records[1].steps == 4
    assert records[1].progress == 0.5
    assert "\n" not in records[1].failure
    assert len(records[1].failure) <= 200


def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """The second trial's answer comes once the third has asked; the third must not act on it."""
    calls: list[int] = []
    third_has_asked = threading.Event()

    def late(request: dict[str, Any]) -> Any:
        calls.append(1)
        if len(calls) == 4:
            third_has_asked.wait(30)
            return {"actions": np.full((1, 7), 0.9)}
        if len(calls) == 5:
            third_has_asked.set()
        return chunk(request)

    with running(PlainServer(late)) as server:
        records = trials(tmp_path, server, "--timeout", "1")
        assert server.connections == 2
    assert [record.failure for record in records] == ["", "the policy server did not answer within 1 s", ""]


def test_a_server_that_does_not_read_is_late() -> None:
    """It shakes hands, greets, and then leaves everything in the socket's buffer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            peer = listener.accept()[0]
            key = peer.recv(4096).decode().partition("Sec-WebSocket-Key: ")[2].split()[0]
            upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            peer.sendall(f"{upgrade}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
            peer.sendall(b"\x82\x01" + packed({}))
            peers.append(peer)

        peers: list[socket.socket] = []
        threading.Thread(target=greet, daemon=True).start()
        agent = RemoteAgent(RemoteOptions(f"ws://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5))
        agent.reset(None, "x", 0)  # type: ignore[arg-type]
        big = {**OBSERVATION, "image": np.zeros((4000, 4000, 3), np.uint8)}
        with pytest.raises(RemoteError, match=r"did not answer within 0\.5 s"):
            agent.predict(big)
        peers[0].close()


def test_a_server_that_dies_fails_the_rest_and_may_come_back(tmp_path: Path) -> None:
    with running(PlainServer(chunk)) as server:
        agent = agent_of(server, timeout=5.0)
        agent.reset(None, "x", 0)  # type: ignore[arg-type]
        agent.predict(OBSERVATION)
    agent.reset(None, "x", 1)  # type: ignore[arg-type]
    with pytest.raises(RemoteError, match="hung up"):
        agent.predict(OBSERVATION)
    with pytest.raises(RemoteError, match="no policy server"):
        agent.reset(None, "x", 2)  # type: ignore[arg-type]
    with running(PlainServer(chunk)) as other:
        agent.options = RemoteOptions(other.url)
        agent.reset(None, "x", 3)  # type: ignore[arg-type]
        agent.predict(OBSERVATION)
        agent.close()


def test_another_policy_at_the_same_address_is_noticed() -> None:
    with running(PlainServer(lambda _: "out of memory", {"h2r_bench": {"weights": "a"}})) as server:
        agent = agent_of(server)
        agent.reset(None, "x", 0)  # type: ignore[arg-type]
        with pytest.raises(RemoteError, match="out of memory"):
            agent.predict(OBSERVATION)
        server.metadata = {"h2r_bench": {"weights": "b"}}
        with pytest.raises(RemoteError, match="another policy"):
            agent.reset(None, "x", 1)  # type: ignore[arg-type]


BAD_OPTIONS = {
    "http://localhost:8000": "must be like ws://host:8000",
    "localhost:8000": "must be like ws://host:8000",
    "ws://": "must be like ws://host:8000",
}


@pytest.mark.parametrize("url", BAD_OPTIONS)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ValueError, match=BAD_OPTIONS[url]):
        RemoteOptions(url)


@pytest.mark.parametrize("change", [{"timeout": 0.0}, {"timeout": float("nan")}, {"execute": 0}], ids=str)
def test_bad_numbers(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(change))} must be"):
        dataclasses.replace(RemoteOptions("ws://x"), **change)


GREETINGS: dict[str, tuple[Any, str]] = {
    "text": ("go away", "reports: go away"),
    "garbage": (b"\xc1", "nonsense"),
    "list": ([1], "no metadata but a list"),
}


@pytest.mark.parametrize("kind", GREETINGS)
def test_a_bad_greeting_is_one_line_before_any_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    greeting, reason = GREETINGS[kind]
    with running(PlainServer(chunk, greeting)) as server:
        arguments = [
            "--task",
            "push_pull",
            "--policy",
            "remote",
            "--url",
            server.url,
            "--out",
            str(tmp_path / "o"),
        ]
        assert run.main(arguments, lambda config, agent: FakeEnv()) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: cannot load remote: ")
    assert reason in captured
    assert captured.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_nobody_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--task",
        "push_pull",
        "--policy",
        "remote",
        "--url",
        "ws://127.0.0.1:1",
        "--out",
        str(tmp_path),
    ]
    assert run.main(arguments, lambda config, agent: FakeEnv()) == 2
    assert "error: cannot load remote: no policy server at ws://127.0.0.1:1" in capsys.readouterr().err


def test_it_works_without_torch_and_simulator(plain: PlainServer) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["torch", "mujoco", "dm_control", "stable_baselines3", "diffusers"]))
import numpy as np
from h2r_bench.policies.catalog import find_agent
from h2r_bench.remote.client import RemoteOptions
agent = find_agent("remote").load(options=RemoteOptions({plain.url!r}))
agent.reset(None, "do it", 0)
print(agent.predict({{"state": np.zeros(10), "image": np.zeros((8, 8, 3), np.uint8)}})[0][2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.2)
    wait_until(lambda: len(plain.requests) == 1)
