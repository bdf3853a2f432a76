"""Strokes, ink, and what counts as written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.scene.props import PAPER_HALF
from h2r_bench.envs.tasks.writing import HEIGHT, on_paper
from h2r_bench.envs.writing.ink import SHEET_PIXELS, Sheet, on_sheet, to_pixels
from h2r_bench.envs.writing.strokes import (
    characters,
    covered,
    difference,
    play_stroke,
    resample,
    without_retracing,
)

from handwriting import ink_lines


def test_there_are_enough_characters_among_them_h_and_r() -> None:
    assert {"H", "R"} <= set(characters())
    assert len(characters()) >= 12


@pytest.mark.parametrize("name", sorted(characters()))
def test_every_character_covers_itself_and_is_nearest_to_itself(name: str) -> None:
    stroke = on_paper(characters()[name])
    assert covered([stroke], [stroke]) == 1.0
    shaky = stroke + np.random.default_rng(0).normal(0, 0.003, stroke.shape)
    unlike = {other: difference([on_paper(shape)], [shaky]) for other, shape in characters().items()}
    assert min(unlike, key=lambda other: unlike[other]) == name
    assert np.ptp(stroke[:, 0]) == pytest.approx(HEIGHT, abs=0.01)
    assert on_sheet(stroke).all()


@given(st.integers(0, 2**31))
def test_play_stays_in_the_square_and_is_no_character(seed: int) -> None:
    stroke = play_stroke(np.random.default_rng(seed))
    assert stroke.shape[1] == 2
    assert np.all(stroke > -0.06)
    assert np.all(stroke < 1.06)
    for shape in characters().values():
        target, ink = [on_paper(shape)], [on_paper(stroke)]
        assert min(covered(target, ink), covered(ink, target)) < 0.85


@pytest.mark.parametrize("name", sorted(characters()))
def test_lifting_the_pen_leaves_out_what_is_retraced_and_nothing_else(name: str) -> None:
    stroke = characters()[name]
    lines = without_retracing(stroke)
    whole, lifted = [on_paper(stroke)], [on_paper(line) for line in lines]
    assert covered(whole, lifted) == 1.0
    assert covered(lifted, whole) == 1.0
    assert sum(map(len, lines)) <= len(stroke) + len(lines)
    assert len(without_retracing(characters()["H"])) == 2


def test_resampling_keeps_corners_and_spacing() -> None:
    square = np.array([[0, 0], [0, 0.1], [0.1, 0.1]])
    fine = resample(square, 0.003)
    assert np.linalg.norm(np.diff(fine, axis=0), axis=1).max() <= 0.003 + 1e-12
    for corner in square:
        assert np.linalg.norm(fine - corner, axis=1).min() < 1e-12


def test_no_ink_covers_nothing() -> None:
    stroke = on_paper(characters()["H"])
    for nothing in ([], [np.zeros((0, 2))]):
        assert covered([stroke], nothing) == covered(nothing, [stroke]) == 0.0
        assert difference([stroke], nothing) == float("inf")


def test_half_a_character_is_not_enough_and_scribbling_over_it_is_too_much() -> None:
    stroke = on_paper(characters()["H"])
    assert covered([stroke], [stroke[:2]]) < 0.85
    assert covered([stroke[:2]], [stroke]) == 1.0
    zigzag = np.stack([np.tile([-0.08, 0.08], 20), np.linspace(-0.06, 0.06, 40)], axis=1)
    assert covered([stroke], [zigzag]) > 0.85
    assert covered([zigzag], [stroke]) < 0.85


def test_ink_darkens_the_sheet_where_the_pen_went() -> None:
    sheet = Sheet()
    line = np.array([[-0.05, 0.0], [0.05, 0.0]])
    sheet.add(line)
    column, row = to_pixels(np.zeros((1, 2)))[0].round().astype(int)
    assert sheet.pixels()[row, column].mean() < 80
    assert sheet.pixels()[5, 5].mean() > 200
    assert sheet.pixels().shape == (SHEET_PIXELS, SHEET_PIXELS, 3)
    assert not on_sheet(np.array([[2 * PAPER_HALF[0], 0.0]])).any()


def test_a_lifted_pen_leaves_a_gap() -> None:
    sheet = Sheet()
    for points in ([[-0.1, 0.0]], [], [[0.1, 0.0]]):
        sheet.add(np.array(points).reshape(-1, 2))
    column, row = to_pixels(np.zeros((1, 2)))[0].round().astype(int)
    assert sheet.pixels()[row, column].mean() > 200


@given(st.integers(0, 2**31))
def test_the_picture_changes_only_where_it_says(seed: int) -> None:
    rng, sheet, before = np.random.default_rng(seed), Sheet(), Sheet().pixels().copy()
    place = rng.uniform(-PAPER_HALF[1], PAPER_HALF[1], 2)
    for _ in range(5):
        stride = rng.choice((0.0, 1e-4, 0.003, 0.05))
        points = place + np.cumsum(rng.normal(0, 1, (rng.integers(0, 6), 2)) * stride, axis=0)
        sheet.add(points)
        place = points[-1] if len(points) else place
        changed, after = sheet.take_changed(), np.asarray(sheet._image)
        np.testing.assert_array_equal(sheet.pixels(), after)
        if changed is not None:
            left, top, right, bottom = changed
            assert (after != before).any()
            before[top:bottom, left:right] = after[top:bottom, left:right]
        np.testing.assert_array_equal(before, after)
    assert sheet.take_changed() is None


def test_a_pen_at_rest_changes_nothing() -> None:
    sheet, spot = Sheet(), np.full((5, 2), 0.01)
    sheet.add(spot)
    assert sheet.take_changed() is not None
    sheet.add(spot)
    assert sheet.take_changed() is None


def test_what_the_camera_sees_changes_as_the_expert_writes() -> None:
    env = TabletopEnv("brand_new", image_size=(96, 96), render_mode="rgb_array", cue="video")
    env.reset(seed=4)
    before, script = env.render(), env.expert_script()
    for _ in range(env.horizon):
        *_, info = env.step(env.expert_action(script))
    assert info["is_success"], info
    after = env.render()
    assert (after.mean(-1) < before.mean(-1) - 60).sum() > 30
    # Height and orientation are fixed, whatever is asked for.
    assert env.simulation.target.position[2] == pytest.approx(env.task.limits.workspace_low[2])


def test_a_pen_that_is_lifted_leaves_lines_apart() -> None:
    env = TabletopEnv("brand_new_pen_up", obs="state")
    for seed in range(20):
        env.reset(seed=seed)
        if len(env.pair.goal.strokes) > 1:
            break
    script = env.expert_script()
    for _ in range(env.horizon):
        *_, info = env.step(env.expert_action(script))
    assert info["is_success"], info
    assert len(ink_lines(env.simulation.ink_steps)) == len(env.pair.goal.strokes) > 1
