from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from h2r_bench import run, serve
from h2r_bench.evaluation.trial import TrialRecord
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.remote import wire
from h2r_bench.remote.client import RemoteAgent, RemoteError, RemoteOptions
from h2r_bench.remote.messages import EXTRA_KEYS, HUMAN_CLIP, PLAN_STEP
from h2r_bench.remote.server import AgentPool, ClientSession, PolicyServer, describe
from h2r_bench.types import Demonstration, encode_instruction

from fakes import FakeEnv
from servers import running, wait_until

OBSERVATION = {
    "image": np.zeros((24, 32, 3), np.uint8),
    "state": np.zeros(10, np.float32),
    "human_clip": np.zeros((30, 24, 32, 3), np.uint8),
    "instruction": encode_instruction("do it"),
}


class Attentive(RandomAgent):
    """Its action tells all that it was given."""

    needs_images = True
    weights_hash = "abc"
    world = 7
    image_size = (32, 24)

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        super().reset(demonstration, instruction, seed)
        self.told = (float(demonstration.frames.sum() % 1000), demonstration.rate_hz, len(instruction))
        self.steps = 0

    def predict(self, observation: Any, *arguments: Any, **keywords: Any) -> Any:
        action, state = super().predict(observation, *arguments, **keywords)
        clip = observation["human_clip"]
        seen = np.array([clip.mean(), observation["image"].mean(), *self.told, self.steps], np.float32)
        self.steps += 1
        action = np.array(action)
        action[:6] = np.clip(action[:6] + seen / 1000.0, *bounds())
        return action, state


def bounds() -> tuple[np.ndarray, np.ndarray]:
    space = FakeEnv().action_space
    return space.low[:6], space.high[:6]


class Weighty(RandomAgent):
    @classmethod
    def from_pretrained(cls, path: Path | None) -> Weighty:
        raise FileNotFoundError(f"no weights at {path}")


class Failing(RandomAgent):
    def predict(self, *arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError("out of memory")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PolicyServer]:
    make = getattr(request, "param", RandomAgent)
    with running(PolicyServer(AgentPool(make, 2), "127.0.0.1", 0)) as running_server:
        yield running_server


def records(out: Path, *arguments: str) -> list[TrialRecord]:
    command = ["--task", "push_pull", "--trials", "4", "--out", str(out), "--name", "x", *arguments]
    assert run.main(command, lambda config, agent: FakeEnv(0.5)) == 0
    lines = (out / "trials" / "push_pull" / "x.jsonl").read_text().splitlines()
    return [dataclasses.replace(TrialRecord.from_json(line), seconds=0.0) for line in lines]


@pytest.mark.parametrize("server", [RandomAgent, Attentive], indirect=True)
def test_a_served_agent_does_what_it_does_at_home(
    tmp_path: Path, server: PolicyServer, request: pytest.FixtureRequest
) -> None:
    agent = request.node.callspec.params["server"]
    home = records(tmp_path / "home", "--policy", f"{agent.__module__}:{agent.__qualname__}")
    away = records(tmp_path / "away", "--policy", "remote", "--url", server.url)
    assert [dataclasses.replace(record, weights=home[0].weights) for record in away] == home
    assert away[0].weights == getattr(agent, "weights_hash", f"at {server.url.removeprefix('ws://')}")


@pytest.mark.parametrize("server", [Attentive], indirect=True)
def test_the_client_knows_what_the_agent_says_of_itself(server: PolicyServer) -> None:
    agent = RemoteAgent(RemoteOptions(server.url))
    assert (agent.weights_hash, agent.world, agent.image_size) == ("abc", 7, (32, 24))
    assert agent.needs_images
    agent.close()


def test_what_an_agent_wants() -> None:
    assert set(describe(Attentive()).wants) == {*EXTRA_KEYS} - {PLAN_STEP}
    assert describe(Planner()).wants[-1] == PLAN_STEP
    assert HUMAN_CLIP not in describe(RandomAgent()).wants
    assert not describe(RandomAgent()).needs_images


def test_clients_do_not_disturb_each_other(server: PolicyServer) -> None:
    def play(agent: Any, seed: int) -> Iterator[np.ndarray]:
        agent.reset(Demonstration(OBSERVATION["human_clip"], 10.0, "do it"), "do it", seed)
        state = None
        for step in range(25):
            action, state = agent.predict(OBSERVATION, state, np.array([step == 0]))
            yield action

    alone = [list(play(RandomAgent(), seed)) for seed in (1, 2)]
    clients = [RemoteAgent(RemoteOptions(server.url)) for _ in range(2)]
    mixed = list(
        zip(*(play(client, seed) for client, seed in zip(clients, (1, 2), strict=True)), strict=True)
    )
    np.testing.assert_array_equal(np.swapaxes(mixed, 0, 1), alone)
    for client in clients:
        client.close()


def test_no_more_clients_than_allowed(server: PolicyServer) -> None:
    clients = [RemoteAgent(RemoteOptions(server.url)) for _ in range(2)]
    with pytest.raises(RemoteError, match="busy"):
        RemoteAgent(RemoteOptions(server.url))
    clients.pop().close()

    def room() -> bool:
        try:
            clients.append(RemoteAgent(RemoteOptions(server.url)))
        except RemoteError:
            return False
        return True

    wait_until(room)
    for client in clients:
        client.close()


def test_agents_that_clients_would_not_understand_are_not_served() -> None:
    class Odd(RandomAgent):
        weights_hash = "not a hash"

    with pytest.raises(ValueError, match="weights is a hash"):
        AgentPool(Odd, 1)


def test_agents_are_made_when_needed_and_used_again() -> None:
    made: list[RandomAgent] = []

    def make() -> RandomAgent:
        made.append(RandomAgent())
        return made[-1]

    pool = AgentPool(make, 2)
    with pool.lend() as first, pool.lend() as second, pool.lend() as third:
        assert first is made[0]
        assert second is made[1]
        assert third is None
    with pytest.raises(wire.WireError), pool.lend():
        raise wire.WireError("the client's fault")
    with pool.lend(), pool.lend():
        assert len(made) == 2
    with pytest.raises(RuntimeError), pool.lend():
        raise RuntimeError("broken in the middle of an action")
    with pool.lend(), pool.lend():
        assert len(made) == 3


def test_a_plain_client_needs_none_of_our_keys(server: PolicyServer) -> None:
    request = {
        "observation/image": OBSERVATION["image"],
        "observation/state": OBSERVATION["state"],
        "prompt": "do it",
    }
    with connect(server.url) as client:
        assert "h2r_bench" in wire.unpack(client.recv())
        for _ in range(3):
            client.send(wire.pack(request))
            answer = wire.unpack(client.recv())
            assert answer["actions"].shape == (1, 7)
            assert answer["server_timing"]["infer_ms"] >= 0.0
    assert "prev_total_ms" in answer["server_timing"]


def test_a_session_begins_by_itself_and_anew_when_told() -> None:
    agent = Attentive()
    session = ClientSession(agent)
    plain = {"observation/state": np.zeros(10), "observation/image": OBSERVATION["image"], "prompt": "ab"}
    plain[HUMAN_CLIP] = np.ones((30, 1, 1, 3), np.uint8)
    session.act(plain)
    assert agent.told == (90.0, 10.0, 2)
    session.act(plain)
    assert agent.steps == 2
    session.act({**plain, "h2r_bench/episode_start": True})
    assert agent.steps == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\xc1", "WireError: not a msgpack message"),
        ("text", "WireError: a request is a msgpack message"),
        (wire.pack({"prompt": "x"}), "WireError: observation/state"),
        (wire.pack({"observation/state": np.zeros(10)}), "observation/image is missing"),
        (
            wire.pack(
                {"observation/state": np.zeros(10), "observation/image": np.zeros((8, 8, 3), np.uint8)}
            ),
            "this agent needs more than there is in the request: 'human_clip'",
        ),
    ],
    ids=["garbage", "text", "no state", "no image", "no clip"],
)
@pytest.mark.parametrize("server", [Attentive], indirect=True)
def test_bad_requests_are_answered_in_words(server: PolicyServer, message: Any, text: str) -> None:
    with connect(server.url) as client:
        client.recv()
        client.send(message)
        answer = client.recv()
        assert isinstance(answer, str)
        assert text in answer
    with connect(server.url) as client:  # and the next one is served
        client.recv()


@pytest.mark.parametrize("server", [Failing], indirect=True)
def test_an_agent_that_breaks_says_so_and_the_next_client_gets_another(
    server: PolicyServer, caplog: pytest.LogCaptureFixture
) -> None:
    agent = RemoteAgent(RemoteOptions(server.url))
    for seed in range(2):
        agent.reset(Demonstration(OBSERVATION["human_clip"], 10.0, "x"), "x", seed)
        with pytest.raises(RemoteError, match="the policy server reports: RuntimeError: out of memory"):
            agent.predict(OBSERVATION)
    wait_until(lambda: sum("out of memory" in record.getMessage() for record in caplog.records) == 2)


def test_health(server: PolicyServer) -> None:
    url = server.url.replace("ws:", "http:")
    with urllib.request.urlopen(f"{url}/healthz") as answer:
        assert (answer.status, answer.read()) == (200, b"OK\n")


def test_web_pages_are_kept_out(server: PolicyServer) -> None:
    with pytest.raises(InvalidStatus), connect(server.url, origin="http://evil.example"):  # type: ignore[arg-type]
        pass


def test_only_this_computer_is_served_unless_told_otherwise() -> None:
    assert serve.is_loopback(serve.ServeConfig("random").host)
    assert not serve.is_loopback("0.0.0.0")
    assert not serve.is_loopback("::")


BAD = {
    "policy": (("--policy", "rendom"), "Did you mean 'random'?"),
    "privileged": (("--policy", "expert"), "a privileged agent cannot be served"),
    "weights": (
        ("--policy", "test_serve:Weighty", "--weights", "/no/such/file"),
        "no weights at /no/such/file",
    ),
    "needless weights": (("--policy", "random", "--weights", "/"), "no weights to load"),
    "address": (("--policy", "random", "--host", "192.0.2.1"), "cannot listen at 192.0.2.1:8000"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(capsys: pytest.CaptureFixture[str], case: str) -> None:
    arguments, text = BAD[case]
    assert serve.main(arguments) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: ")
    assert text in captured
    assert captured.count("\n") == 1


@pytest.mark.parametrize(("option", "value"), [("--port", "70000"), ("--clients", "0"), ("--port", "x")])
def test_bad_options_exit_with_2(option: str, value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        serve.main(["--policy", "random", option, value])
    assert caught.value.code == 2


def test_a_taken_port_is_named(server: PolicyServer, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(server.address[1])
    assert serve.main(["--policy", "random", "--port", port]) == 2
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


def test_the_program_serves_until_ctrl_c() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "h2r_bench.serve", "--policy", "random", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving random at ws://127.0.0.1:")
    agent = RemoteAgent(RemoteOptions(line.split()[-1]))
    agent.reset(Demonstration(OBSERVATION["human_clip"], 10.0, "x"), "x", 0)
    assert agent.predict(OBSERVATION)[0].shape == (7,)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    watchdog.cancel()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr


class Planner(RandomAgent):
    """Plans chunks that say for which step each action is."""

    execute = 3

    def plan(self, observation: Any, step: int) -> Any:
        return np.arange(step, step + 5, dtype=np.float32)[:, None].repeat(7, axis=1)


def test_a_served_agent_can_be_asked_for_whole_chunks() -> None:
    server = PolicyServer(AgentPool(Planner, 1), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        agent = RemoteAgent(RemoteOptions(server.url))
        assert agent.execute == 3
        agent.reset(Demonstration(np.zeros((2, 24, 32, 3), np.uint8), 10.0, "do it"), "do it", 0)
        observation = {"state": np.zeros(10, np.float32), "instruction": encode_instruction("do it")}
        np.testing.assert_array_equal(agent.plan(observation, 40)[:, 0], np.arange(40, 45))
        action, _ = agent.predict(observation)
        assert action.shape == (7,)
        agent.close()
    finally:
        server.close()
