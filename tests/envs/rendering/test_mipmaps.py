"""The smaller levels of a picture."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.rendering.mipmaps import Mipmaps, halved, union


def test_halving_rounds_each_mean_of_two_up() -> None:
    pixels = np.array([[[0], [1]], [[0], [0]]], np.uint8)
    assert halved(pixels).tolist() == [[[1]]]
    assert halved(np.full((4, 4, 3), 255, np.uint8)).tolist() == np.full((2, 2, 3), 255).tolist()


def test_the_union_of_boxes_holds_both() -> None:
    assert union(None, (1, 2, 3, 4)) == (1, 2, 3, 4)
    assert union((1, 2, 3, 4), (0, 3, 2, 9)) == (0, 2, 3, 9)


@given(st.integers(0, 2**31), st.integers(0, 6))
def test_levels_brought_up_to_date_are_those_made_anew(seed: int, power: int) -> None:
    rng, side = np.random.default_rng(seed), 2**power
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    mipmaps, sent = Mipmaps(pixels), [level.copy() for level in Mipmaps(pixels).levels]
    for _ in range(3):
        (left, right), (top, bottom) = np.sort(rng.integers(0, side + 1, (2, 2)), axis=1).tolist()
        pixels[top:bottom, left:right] = rng.integers(0, 256, (bottom - top, right - left, 3))
        for level, box, part in mipmaps.update((left, top, right, bottom)):
            sent[level][box[1] : box[3], box[0] : box[2]] = part
    for level, patched, anew in zip(mipmaps.levels, sent, Mipmaps(pixels).levels, strict=True):
        np.testing.assert_array_equal(level, anew)
        np.testing.assert_array_equal(patched, anew)
