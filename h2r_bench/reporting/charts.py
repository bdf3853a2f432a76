"""Charts of the report. Each draws rows, one below the other: agents on a task, or tasks of an agent."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from h2r_bench.inline_svg import INK, Margins, svg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from h2r_bench.reporting.leaderboard import Run

WON, LOST = "#3fa37c", "#d65a5a"
RATE = "#3b82c4"
PAPER = "#e0803a"
"""Mid-tones that show on white as on black."""

STEPS = ("#d65a5a", "#e0803a", "#c9a227", "#8fae4a", "#3fa37c")
"""Progress from none to all."""
STEP_NAMES = ("none", "below half", "below three quarters", "more", "success")

REASONS = ("#3b82c4", "#e0803a", "#b565c0", "#c9a227", "#6a78d8", "#d65a5a", "#3fa37c")
"""One for each frequent reason for failure."""
OTHER = "#7a8a99"

LONGEST_LABEL = 26
"""Letters of a row's name that have room beside a chart."""


@dataclass(frozen=True)
class Chart:
    """A picture with its words."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True)
class Estimate:
    """A rate to draw."""

    label: str
    rate: float | None
    """0..1, None where there are no trials."""
    interval: tuple[float, float] = (0.0, 1.0)
    paper: int | None = None
    """The paper's rate [%]."""


Rows = list[tuple[str, "Run"]]
"""Labels and runs, from top to bottom."""


def intervals(name: str, title: str, estimates: Sequence[Estimate], note: str = "") -> Chart:
    """Rates as dots, their 95 % intervals as lines, the paper's as hollow diamonds."""

    def fill(axes: Axes) -> None:
        for place, estimate in enumerate(estimates):
            if estimate.rate is not None:
                low, high = estimate.interval
                axes.plot([100 * low, 100 * high], [place, place], color=RATE, linewidth=3, alpha=0.45)
                axes.plot(100 * estimate.rate, place, "o", color=RATE, markersize=7)
            if estimate.paper is not None:
                axes.plot(estimate.paper, place, "D", color=PAPER, fillstyle="none", markersize=7)
        axes.set_xlim(-3, 103)
        axes.set_xlabel("success [%]")
        _label_rows(axes, [estimate.label for estimate in estimates])

    return Chart(title, note, _draw(name, [estimate.label for estimate in estimates], fill))


def by_trial(name: str, rows: Rows) -> Chart:
    """Success of every trial; equal columns are equal scenes."""

    def fill(axes: Axes) -> None:
        for place, (_, run) in enumerate(rows):
            for won, color in ((True, WON), (False, LOST)):
                bars = _stretches([record.trial for record in run.records if record.success == won])
                axes.broken_barh(bars, (place - 0.36, 0.72), facecolors=color, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_xlabel("trial")
        _label_rows(axes, [label for label, _ in rows])

    return Chart(
        "Success by seed", "green: success; red: failure", _draw(name, [label for label, _ in rows], fill)
    )


def progress(name: str, rows: Rows) -> Chart:
    """How far trials came."""
    shares = [
        _shares(Counter(_step(record.progress, record.success) for record in run.records), len(run))
        for _, run in rows
    ]
    names = [STEP_NAMES[step] for step in range(len(STEPS))]
    return _stacked(
        name, "Progress", "stages reached, share of trials", rows, shares, names, STEPS, "share of trials [%]"
    )


def failures(name: str, rows: Rows) -> Chart | None:
    """Why trials failed; None when none did."""
    total: Counter[str] = Counter()
    for _, run in rows:
        total += run.failures
    if not total:
        return None
    common = [reason for reason, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))][
        : len(REASONS)
    ]
    counts = []
    for _, run in rows:
        found = run.failures
        rest = found.total() - sum(found[reason] for reason in common)
        counts.append([100 * value / len(run) for value in (*(found[reason] for reason in common), rest)])
    names, colors = (
        [*map(_shorten, common), "other"],
        [*REASONS[: len(common)], OTHER],
    )
    if not any(row[-1] for row in counts):
        counts, names = [row[:-1] for row in counts], names[:-1]
    return _stacked(name, "Why trials failed", "", rows, counts, names, colors, "share of trials [%]")


def times(name: str, rows: Rows) -> Chart:
    """Wall-clock seconds a trial: median, middle half, and from the 5th to the 95th percentile."""

    def fill(axes: Axes) -> None:
        line = {"color": INK}
        axes.boxplot(
            [[record.seconds for record in run.records] for _, run in rows],
            positions=list(range(len(rows))),
            orientation="horizontal",
            whis=(5, 95),
            showfliers=False,
            widths=0.55,
            boxprops=line,
            whiskerprops=line,
            capprops=line,
            medianprops={"color": RATE, "linewidth": 2.5},
            manage_ticks=False,
        )
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds a trial")
        _label_rows(axes, [label for label, _ in rows])

    note = "wall clock, the demonstration's rendering included; 5th to 95th percentile"
    return Chart("Time", note, _draw(name, [label for label, _ in rows], fill))


def _stacked(
    name: str,
    title: str,
    note: str,
    rows: Rows,
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    colors: Sequence[str],
    axis: str,
) -> Chart:
    """Horizontal bars made of parts."""

    def fill(axes: Axes) -> None:
        places = list(range(len(rows)))
        starts = [0.0] * len(rows)
        for part, (word, color) in enumerate(zip(names, colors, strict=False)):
            widths = [row[part] for row in values]
            axes.barh(places, widths, left=starts, height=0.72, color=color, label=word)
            starts = [start + width for start, width in zip(starts, widths, strict=True)]
        axes.set_xlabel(axis)
        axes.set_xlim(0, 100)
        _label_rows(axes, [label for label, _ in rows])
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False, fontsize=10, handlelength=1
        )

    legend = 0.24 * -(-len(names) // 2)
    return Chart(title, note, _draw(name, [label for label, _ in rows], fill, legend))


def _draw(name: str, labels: Sequence[str], fill: Callable[[Axes], None], above: float = 0.0) -> str:
    """A chart with a row for each label, and room `above` it [inches]."""
    longest = max(len(_shorten(label)) for label in labels)
    margins = Margins(left=0.2 + 0.088 * longest, top=0.06 + above)
    return svg(name, 0.8 + 0.3 * len(labels) + above, fill, margins)


def _label_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [_shorten(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _shorten(label: str) -> str:
    """A name that fits; without letters that cannot be drawn."""
    plain = "".join(letter if letter.isprintable() else " " for letter in label)
    return plain if len(plain) <= LONGEST_LABEL else f"{plain[: LONGEST_LABEL - 1]}…"


def _stretches(indices: Sequence[int]) -> list[tuple[float, float]]:
    """Consecutive indices as (start, width)."""
    bars: list[tuple[float, float]] = []
    for _, group in itertools.groupby(enumerate(indices), key=lambda item: item[1] - item[0]):
        part = [index for _, index in group]
        bars.append((part[0] - 0.5, float(len(part))))
    return bars


def _step(reached: float, success: bool) -> int:
    """Which of `STEPS` a trial is."""
    if success:
        return 4
    return 0 if reached <= 0 else 1 if reached < 0.5 else 2 if reached < 0.75 else 3


def _shares(counts: Counter[int], trials: int) -> list[float]:
    return [100 * counts[step] / trials for step in range(len(STEPS))]
