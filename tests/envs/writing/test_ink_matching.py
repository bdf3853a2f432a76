"""Ink is measured step by step, to the same result as all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks.writing import on_paper
from h2r_bench.envs.writing.ink import Lines
from h2r_bench.envs.writing.ink_matching import _KEPT, InkRecord, ink_of
from h2r_bench.envs.writing.strokes import characters, covered, difference, resample
from h2r_bench.types import FloatArray

from handwriting import ink_lines

SHAPES: dict[str, Lines] = {
    name: (tuple((float(x), float(y)) for x, y in on_paper(stroke)),) for name, stroke in characters().items()
}


def scribble(rng: np.random.Generator) -> list[FloatArray]:
    """Ink of some steps, each (M, 2) [m]: lines and dots anywhere, the pen lifted now and then."""
    place, steps = rng.uniform(-0.05, 0.05, 2), []
    for _ in range(rng.integers(1, 12)):
        stride = rng.choice((0.0, 1e-5, 0.002, 0.03))
        walk = place + np.cumsum(rng.normal(0, 1, (rng.integers(0, 7), 2)) * stride, axis=0)
        place = walk[-1] if len(walk) else rng.uniform(-0.05, 0.05, 2)
        steps.append(walk)
    return steps


def shaky_character(rng: np.random.Generator) -> list[FloatArray]:
    """Ink of a shaky character, in steps (M, 2) [m]; some stop early."""
    stroke = on_paper(characters()[str(rng.choice(list(characters())))])
    path = resample(stroke, 0.003)[: int(rng.integers(5, 400))]
    return np.array_split(path + rng.normal(0, rng.choice((0.0, 0.002, 0.006)), path.shape), len(path) // 5)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([scribble, shaky_character]))
def test_ink_measured_step_by_step_compares_as_all_of_it_at_once(
    seed: int, kind: Callable[[np.random.Generator], list[FloatArray]]
) -> None:
    rng = np.random.default_rng(seed)
    steps, record = kind(rng), InkRecord()
    lines = SHAPES["H"] + SHAPES["S"][:1]
    target = [np.array(line) for line in lines]
    for end in range(1, len(steps) + 1):
        assert record.grow(steps[:end])
        if rng.random() < 0.5:
            continue  # it need not be asked in every step
        ink, now = ink_lines(steps[:end]), record.compared(lines)
        assert record.laid == sum(map(len, ink))
        assert now.written() == covered(target, ink)
        assert now.kept_to() == covered(ink, target)
        assert now.difference() == difference(target, ink)
        unlike = {name: difference([on_paper(stroke)], ink) for name, stroke in characters().items()}
        guess = str(rng.choice(list(SHAPES)))
        assert record.nearest(SHAPES, guess) == min(unlike, key=lambda name: unlike[name])


def test_nothing_is_covered_where_there_is_no_ink_or_no_line() -> None:
    nothing = InkRecord()
    nothing.grow([np.zeros((0, 2))])
    assert nothing.compared(SHAPES["H"]).written() == nothing.compared(SHAPES["H"]).kept_to() == 0.0
    assert nothing.compared(SHAPES["H"]).difference() == float("inf")
    some = InkRecord()
    some.grow([np.zeros((5, 2))])
    assert some.compared(()).written() == some.compared(()).kept_to() == 0.0


def test_ink_goes_on_only_from_what_it_was() -> None:
    first, second, other = (np.full((3, 2), value) for value in (0.0, 0.01, 0.02))
    record = InkRecord()
    assert record.grow([first, second])
    assert record.grow([first, second, other])
    assert not record.grow([first, other, second])
    assert not record.grow([first])
    assert record.laid == 9


def test_traces_are_told_apart_however_many_are_followed() -> None:
    traces = [
        [SimpleNamespace(ink=np.full((number + 1, 2), 0.001 * step)) for step in range(5)]
        for number in range(2 * _KEPT)
    ]
    for end in (1, 3, 5, 2):
        for number, trace in enumerate(traces):
            assert ink_of(trace[:end]).laid == end * (number + 1)
    kept = ink_of(traces[-1])
    assert ink_of(traces[-1]) is kept


@pytest.mark.parametrize("task", ["brand_new", "brand_new_pen_up"])
def test_a_trial_is_judged_in_every_step_as_by_all_its_ink(task: str) -> None:
    env = TabletopEnv(task, obs="state")
    env.reset(seed=3)
    script, goal = env.expert_script(), env.pair.goal
    target = [np.array(line) for line in goal.strokes]
    for _ in range(env.horizon):
        *_, info = env.step(env.expert_action(script))
        ink = ink_lines([snapshot.ink for snapshot in env.trace])
        unlike = {name: difference([on_paper(stroke)], ink) for name, stroke in characters().items()}
        stages = (
            sum(map(len, ink)) >= 3,
            covered(target, ink) >= 0.5,
            covered(target, ink) >= 0.85,
            covered(ink, target) >= 0.85,
            min(unlike, key=lambda name: unlike[name]) == goal.text,
        )
        assert info["progress"] == (stages.index(False) / len(stages) if False in stages else 1.0)
    assert info["is_success"]
    env.close()
