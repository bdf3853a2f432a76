from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench import types as seam


def demonstration(length: int = 5) -> seam.Demonstration:
    frames = np.arange(length, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    return seam.Demonstration(frames, seam.CONTROL_HZ, "move")


def test_observation_space_follows_the_image_size() -> None:
    space = seam.observation_space((424, 240))
    shapes = {name: box.shape for name, box in space.spaces.items()}
    assert shapes == {
        "image": (240, 424, 3),
        "state": (10,),
        "human_clip": (30, 240, 424, 3),
        "instruction": (128,),
    }
    assert set(shapes) == set(seam.Observation.__annotations__)


def test_action_space_is_the_workspace() -> None:
    space = seam.action_space()
    assert space.shape == (seam.ACTION_DIM,)
    np.testing.assert_allclose(space.low[:3], seam.DEFAULT_LIMITS.workspace_low, rtol=1e-6)
    np.testing.assert_allclose(space.high[:3], seam.DEFAULT_LIMITS.workspace_high, rtol=1e-6)
    assert (space.low[6], space.high[6]) == (0.0, 1.0)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30))
def test_instruction_survives(text: str) -> None:
    code = seam.encode_instruction(text)
    assert code.shape == (seam.INSTRUCTION_BYTES,)
    assert code.dtype == np.uint8
    assert code.flags.writeable
    assert seam.decode_instruction(code) == text


def test_too_long_an_instruction_is_refused() -> None:
    seam.encode_instruction("x" * 128)
    with pytest.raises(ValueError, match="129 bytes"):
        seam.encode_instruction("x" * 129)


@pytest.mark.parametrize(
    ("start", "expected"), [(0, [0, 1, 2]), (3, [3, 4, 4]), (4, [4, 4, 4]), (99, [4, 4, 4])]
)
def test_clip_repeats_the_last_frame(start: int, expected: list[int]) -> None:
    clip = demonstration().clip(start, 3)
    assert clip.shape == (3, 4, 6, 3)
    assert clip[:, 0, 0, 0].tolist() == expected


def test_clip_has_the_papers_length() -> None:
    assert len(demonstration().clip(0)) == seam.CLIP_LENGTH == 30


def test_agents_are_known_by_their_methods() -> None:
    class Plain:
        def reset(self, demonstration: object, instruction: str, seed: int) -> None: ...

        def predict(self, observation: object, state: object = None) -> tuple[object, object]:
            return observation, state

    class Privileged(Plain):
        def bind(self, env: object) -> None: ...

    assert isinstance(Plain(), seam.Agent)
    assert not isinstance(Plain(), seam.PrivilegedAgent)
    assert isinstance(Privileged(), seam.PrivilegedAgent)
    assert not isinstance(object(), seam.Agent)


def test_an_agent_that_says_nothing_of_itself_reads_everything() -> None:
    info = seam.AgentInfo.of(object())
    assert info.reads == ("image", "state", "human_clip", "instruction")
    assert info.needs_images
    assert (info.image_size, info.domains, info.weights_hash, info.execute) == (None, None, None, None)


def test_what_an_agent_says_is_taken_one_by_one_or_as_a_whole() -> None:
    class Says:
        reads = ("state",)
        needs_images = False
        world = None
        weights_hash = ""

    assert seam.AgentInfo.of(Says()) == seam.AgentInfo(("state",), needs_images=False, weights_hash="")

    class Around:
        agent_info = seam.AgentInfo.of(Says())
        reads = ("image",)

    assert seam.AgentInfo.of(Around()) is Around.agent_info


def test_nobody_else_looks_for_what_an_agent_may_have() -> None:
    package = Path(seam.__file__).parent
    looks = re.compile(r"(?:getattr|hasattr)\((?:self\.)?(?:\w+\.)?agent(?:_class)?\b")
    assert [path.name for path in package.rglob("*.py") if looks.search(path.read_text())] == ["types.py"]
