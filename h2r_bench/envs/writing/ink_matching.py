"""Ink compared with what was to be written, step by step as it is laid.

A judge asks in every control step how all the ink so far compares. Here only the new ink is measured; the
results are those of `strokes.covered` and `strokes.difference` on the whole of it.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from scipy.spatial.distance import cdist

from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.writing.ink import Lines
from h2r_bench.envs.writing.strokes import TOLERANCE, resample, resample_all
from h2r_bench.types import FloatArray

_KEPT = 16
"""Traces that are followed at a time: of the environments that a process steps in turn."""
_SAMPLE = 2
"""Every which point of the ink is measured to rule out what it is clearly not."""
_ROUNDING = 1e-9
"""Relative error that sums of distances stay below."""


@lru_cache(maxsize=64)
def _points_of(lines: Lines) -> FloatArray:
    """Points along `lines` at which they are compared, shape (N, 2) [m]."""
    return resample_all([np.array(line) for line in lines])


class Comparison:
    """How far some lines and ink are from each other, kept up to date as ink is added."""

    def __init__(self, lines: Lines) -> None:
        """Without ink, against `lines` [m]."""
        self._points = _points_of(lines)
        self._missing = np.full(len(self._points), np.inf)
        self._stray = np.zeros(0)
        self._least: float | None = None
        """What the distances of the ink from the lines sum up to at least [m]."""

    def follow(self, drawn: FloatArray) -> None:
        """Take in what was added to `drawn` (M, 2) [m], all the ink so far as `resample_all` gives it."""
        added = drawn[len(self._stray) :]
        if len(added) == 0:
            return
        apart = cdist(added, self._points)
        np.minimum(self._missing, apart.min(axis=0), out=self._missing)
        self._stray = np.concatenate([self._stray, apart.min(axis=1, initial=np.inf)])
        self._least = float(self._stray.sum())

    def written(self) -> float:
        """Share of the lines within the tolerance of ink; 0 where there is too little of either."""
        return _share_near(self._missing) if self._enough() else 0.0

    def kept_to(self) -> float:
        """Share of the ink within the tolerance of the lines; 0 where there is too little of either."""
        return _share_near(self._stray) if self._enough() else 0.0

    def difference(self) -> float:
        """Mean distance between lines and ink, both ways [m]."""
        if len(self._stray) < 2:
            return float("inf")
        return float(self._missing.mean() + self._stray.mean()) / 2

    def differs_more(self, drawn: FloatArray, than: float) -> bool:
        """Whether part of the ink is enough to say that its `difference` exceeds `than` [m].

        The distances of some points of the ink `drawn` (M, 2) sum up to no more than those of all, also when
        ink was added since: so they need not be measured again.
        """
        if self._least is None:
            self._least = float(cdist(drawn[::_SAMPLE], self._points).min(axis=1).sum())
        return self._least * (1 - _ROUNDING) / (2 * len(drawn)) > than

    def _enough(self) -> bool:
        return min(len(self._points), len(self._stray)) >= 2


def _share_near(away: FloatArray) -> float:
    """Share of the distances `away` (N,) [m] that are within the tolerance."""
    return int(np.count_nonzero(away <= TOLERANCE)) / len(away)


class InkRecord:
    """The ink of one trace, and how it compares with whatever was asked for."""

    def __init__(self) -> None:
        self.laid = 0
        """How many points the pen left."""
        self._steps: list[FloatArray] = []
        self._last: FloatArray | None = None
        self._drawn = np.zeros((0, 2))
        self._comparisons: dict[Lines, Comparison] = {}
        self._shapes: Mapping[str, Lines] = {}
        self._contenders: dict[str, Comparison] = {}

    def grow(self, steps: Sequence[FloatArray]) -> bool:
        """Take in the rest of the ink of each step, (M, 2) [m]; False if it does not go on from the ink
        taken in before.
        """
        known = len(self._steps)
        if len(steps) < known or not all(map(operator.is_, self._steps, steps)):
            return False
        self._steps += steps[known:]
        self._drawn = np.concatenate([self._drawn, *(self._laid(ink) for ink in steps[known:])])
        return True

    def compared(self, lines: Lines) -> Comparison:
        """How all the ink compares with `lines` [m]."""
        comparison = self._begun(lines)
        comparison.follow(self._drawn)
        return comparison

    def nearest(self, shapes: Mapping[str, Lines], guess: str) -> str:
        """Which of `shapes` the ink differs least from, the first of equals; a good `guess` saves time."""
        if shapes is not self._shapes:
            self._shapes = shapes
            self._contenders = {name: self._begun(lines) for name, lines in shapes.items()}
        names = list(self._contenders)
        if len(self._drawn) < 2:
            return names[0]
        best = (np.inf, len(names))
        # From the guess on: the nearer the first, the more of the others are ruled out by a look.
        for name in (guess, *names):
            comparison = self._contenders[name]
            if not comparison.differs_more(self._drawn, than=best[0]):
                comparison.follow(self._drawn)
                best = min(best, (comparison.difference(), names.index(name)))
        return names[best[1]]

    def _begun(self, lines: Lines) -> Comparison:
        if (comparison := self._comparisons.get(lines)) is None:
            comparison = self._comparisons[lines] = Comparison(lines)
        return comparison

    def _laid(self, ink: FloatArray) -> FloatArray:
        """What the ink (M, 2) of one more step adds to all of it resampled; no ink lifts the pen."""
        self.laid += len(ink)
        if len(ink) == 0:
            self._last = None
            return ink
        before, self._last = self._last, ink[-1:]
        return resample(ink) if before is None else resample(np.concatenate([before, ink]))[1:]


_records: deque[InkRecord] = deque(maxlen=_KEPT)
"""Of the traces that were asked for last."""


def ink_of(trace: Sequence[Snapshot]) -> InkRecord:
    """The ink of `trace`; fast where all but the last snapshots of it were asked for before."""
    steps = [snapshot.ink for snapshot in trace]
    for record in reversed(list(_records)):  # a copy: another thread may add one of its own
        if record.grow(steps):
            return record
    record = InkRecord()
    record.grow(steps)
    _records.append(record)
    return record
