from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.scene import splits
from h2r_bench.envs.scene.props import KINDS
from h2r_bench.training.data.instruction_augmentation import COLORS, THINGS, VARIANTS, instructions, reworded
from h2r_bench.types import encode_instruction

SENTENCE = "Put the red cube on the blue plate, then pull the red cube onto the green mat."
WORDS = re.compile(r"[a-z]+")


def test_nothing_that_is_held_out_is_named() -> None:
    held_out = {*splits.HELD_OUT_COLORS, *splits.HELD_OUT_GRASP_KINDS, *splits.CLUTTER_KINDS}
    assert not held_out & {*COLORS, *THINGS}
    assert set(splits.TRAIN_COLORS) <= set(COLORS)
    assert set(THINGS) & set(KINDS) == set(KINDS) - held_out - {"paper", "marker", "dial"}


@given(st.integers(0, VARIANTS - 1))
def test_names_alone_are_changed_and_what_is_alike_stays_alike(variant: int) -> None:
    before, after = (WORDS.findall(each.lower()) for each in (SENTENCE, reworded(SENTENCE, variant)))
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        kind = next((kind for kind in (COLORS, THINGS) if old in kind), (old,))
        assert new in kind
    assert after[2:4] == after[11:13]  # the red cube is still the red cube
    assert reworded(SENTENCE, variant) == reworded(SENTENCE, variant)


def test_variants_differ() -> None:
    assert len({reworded(SENTENCE, variant) for variant in range(VARIANTS)}) == VARIANTS
    assert reworded("Write what is shown.", 3) == "Write what is shown."


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_only_what_the_scene_says_as_well_is_reworded(share: float) -> None:
    frames: Any = SimpleNamespace(
        cues=("scene", "video"),
        instructions=lambda rows: np.stack([encode_instruction(SENTENCE)] * len(rows)),
        episode_of=lambda rows: rows % 2,
    )
    said = instructions(frames, np.arange(400), share, np.random.default_rng(0))
    changed = [text != SENTENCE for text in said]
    assert not any(changed[1::2])
    assert np.mean(changed[::2]) == pytest.approx(share, abs=0.1)
    assert instructions(frames, np.arange(400), share, np.random.default_rng(0)) == said
