from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.remote import messages as protocol
from h2r_bench.remote import wire
from h2r_bench.remote.messages import EXTRA_KEYS, ServerInfo, read_actions, read_request, request_message
from h2r_bench.remote.wire import WireError
from h2r_bench.types import Demonstration, decode_instruction, encode_instruction

FRAMES = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
DEMONSTRATION = Demonstration(FRAMES, 30.0, "push it")
OBSERVATION = {
    "image": FRAMES[0],
    "state": np.linspace(0, 1, 10, dtype=np.float32),
    "human_clip": FRAMES[1:],
    "instruction": encode_instruction("push it"),
}


def message(
    start: bool = True, wants: tuple[str, ...] = EXTRA_KEYS, plan_step: int | None = None
) -> dict[str, Any]:
    return request_message(OBSERVATION, "push it", start, 7, DEMONSTRATION, wants, plan_step)


def test_a_plain_server_gets_openpis_keys_and_no_other() -> None:
    assert set(message(wants=())) == {"observation/image", "observation/state", "prompt"}


def test_extra_keys_come_as_wanted() -> None:
    assert set(EXTRA_KEYS) <= set(message(plan_step=0))
    assert set(EXTRA_KEYS) - set(message()) == {protocol.PLAN_STEP}
    later = {protocol.HUMAN_CLIP, protocol.EPISODE_START}
    assert set(message(start=False)) & set(EXTRA_KEYS) == later
    assert set(message(wants=(protocol.SEED,))) & set(EXTRA_KEYS) == {protocol.SEED}


def test_a_request_arrives_as_it_was_sent() -> None:
    request = read_request(wire.unpack(wire.pack(message())))
    for key, value in OBSERVATION.items():
        np.testing.assert_array_equal(request.observation[key], value)
    assert (request.prompt, request.start, request.seed) == ("push it", True, 7)
    np.testing.assert_array_equal(request.demonstration.frames, FRAMES)
    assert request.demonstration.rate_hz == 30.0
    assert request.demonstration.instruction == "push it"


def test_a_plan_is_asked_for_by_its_step() -> None:
    assert read_request(wire.unpack(wire.pack(message()))).plan_step is None
    assert read_request(wire.unpack(wire.pack(message(plan_step=24)))).plan_step == 24
    with pytest.raises(wire.WireError, match="plan_step"):
        read_request({**message(), protocol.PLAN_STEP: -1})


@pytest.mark.parametrize("execute", [0, 1001, "8"])
def test_a_server_that_counts_chunks_wrongly_is_refused(execute: Any) -> None:
    with pytest.raises(wire.WireError, match="execute"):
        ServerInfo.from_metadata({"h2r_bench": {"execute": execute}})


def test_a_plain_request_is_understood() -> None:
    request = read_request(message(wants=()))
    assert set(request.observation) == {"image", "state", "instruction"}
    assert decode_instruction(request.observation["instruction"]) == "push it"
    assert not request.start
    assert len(request.demonstration) == 0


BAD_REQUESTS: dict[str, dict[str, Any]] = {
    "observation/state": {"observation/state": np.zeros(9)},
    "observation/state is not finite": {"observation/state": np.full(10, np.nan)},
    "observation/image": {"observation/image": np.zeros((4, 4, 4), np.uint8)},
    "observation/image must be a uint8": {"observation/image": np.zeros((4, 4, 3))},
    "h2r_bench/human_clip": {"h2r_bench/human_clip": np.zeros((4, 4, 3), np.uint8)},
    "h2r_bench/demonstration": {"h2r_bench/demonstration": np.zeros((0, 4, 4, 3), np.uint8)},
    "h2r_bench/seed": {"h2r_bench/seed": -1},
    "h2r_bench/seed must be int": {"h2r_bench/seed": "x"},
    "h2r_bench/episode_start": {"h2r_bench/episode_start": 1},
    "h2r_bench/rate_hz": {"h2r_bench/rate_hz": float("nan")},
    "prompt must be str": {"prompt": b"bytes"},
    "prompt: instruction has 200 bytes": {"prompt": "x" * 200},
}


@pytest.mark.parametrize("text", BAD_REQUESTS)
def test_bad_requests_are_named(text: str) -> None:
    with pytest.raises(WireError, match=text):
        read_request(message() | BAD_REQUESTS[text])


@pytest.mark.parametrize("nonsense", [None, 1, "text", [], {}, {"observation/state": None}], ids=repr)
def test_what_is_no_request(nonsense: Any) -> None:
    with pytest.raises(WireError):
        read_request(nonsense)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_actions_of_any_number_type(dtype: Any) -> None:
    actions = read_actions({"actions": np.ones((16, 7), dtype), "policy_timing": {}})
    assert actions.dtype == np.float32
    assert actions.shape == (16, 7)


BAD_ACTIONS: list[tuple[Any, str]] = [
    ("text", "has no 'actions'"),
    ({}, "has no 'actions'"),
    ({"actions": [[0.0] * 7]}, "no array of numbers"),
    ({"actions": np.zeros((1, 7), bool)}, "no array of numbers"),
    ({"actions": np.zeros(7)}, r"the shape \(7,\)"),
    ({"actions": np.zeros((16, 8))}, r"the shape \(16, 8\)"),
    ({"actions": np.zeros((0, 7))}, r"the shape \(0, 7\)"),
    ({"actions": np.zeros((5000, 7))}, r"the shape \(5000, 7\)"),
    ({"actions": np.full((2, 7), np.nan)}, "not finite"),
    ({"actions": np.full((2, 7), 1e300)}, "not finite"),
]


@pytest.mark.parametrize(("reply", "text"), BAD_ACTIONS)
def test_bad_actions_are_named(reply: Any, text: str) -> None:
    with pytest.raises(WireError, match=text):
        read_actions(reply)


@given(
    st.builds(
        ServerInfo,
        wants=st.sets(st.sampled_from(EXTRA_KEYS)).map(
            lambda keys: tuple(k for k in EXTRA_KEYS if k in keys)
        ),
        needs_images=st.booleans(),
        image_size=st.none() | st.tuples(st.integers(16, 4096), st.integers(16, 4096)),
        weights=st.from_regex(r"[A-Za-z0-9_.+-]{0,64}", fullmatch=True),
        world=st.none() | st.integers(0, 1000),
    )
)
def test_metadata_survives(info: ServerInfo) -> None:
    assert ServerInfo.from_metadata(wire.unpack(wire.pack(info.to_metadata()))) == info


def test_foreign_metadata_says_nothing_of_us() -> None:
    assert ServerInfo.from_metadata({"reset_pose": [0.0] * 14}) == ServerInfo()
    assert ServerInfo.from_metadata({"h2r_bench": {"wants": ["h2r_bench/of_tomorrow"]}}) == ServerInfo()


@pytest.mark.parametrize(
    "ours",
    [
        5,
        {"wants": "all"},
        {"needs_images": "yes"},
        {"image_size": [128]},
        {"image_size": [1, 2]},
        {"world": "1"},
        {"weights": "<b>"},
        {"weights": "x" * 65},
    ],
    ids=str,
)
def test_bad_metadata_is_refused(ours: Any) -> None:
    with pytest.raises(WireError):
        ServerInfo.from_metadata({"h2r_bench": ours})
    with pytest.raises(WireError):
        ServerInfo.from_metadata([ours])
