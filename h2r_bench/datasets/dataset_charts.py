"""Charts of a dataset as SVG inside a page. Needs matplotlib, see `h2r_bench.datasets.html_summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from h2r_bench.inline_svg import INK, svg

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer

    from h2r_bench.datasets.task_part import TaskPart

STILL = 0.01
"""Below this the tool stands still [m/s]; such steps are so many that they would flatten the chart."""


def draw(tasks: list[TaskPart], rate_hz: float) -> list[dict[str, str]]:
    """The charts of a dataset of `rate_hz` [Hz], each with "title", "note" (may be empty) and "svg"."""
    bars = 0.85 + 0.34 * len(tasks)
    return [
        _chart("Episodes per task", "", bars, lambda axes: _draw_counts(axes, tasks)),
        _chart("Gripper", "told to open or, in grey, to close", bars, lambda axes: _draw_opened(axes, tasks)),
        _chart("Length of episodes", "", 2.5, lambda axes: _draw_lengths(axes, tasks, rate_hz)),
        _chart("Speed of the tool", _still(tasks), 2.5, lambda axes: _draw_speeds(axes, tasks)),
    ]


def _chart(title: str, note: str, height: float, fill: Callable[[Axes], None]) -> dict[str, str]:
    name = title.lower().replace(" ", "-")
    return {"title": title, "note": note, "svg": svg(name, height, fill)}


def _still(tasks: list[TaskPart]) -> str:
    """How much of each task the chart of speeds leaves out."""
    shares = {task.name: 100 * float(np.mean(task.speeds < STILL)) for task in tasks if len(task.speeds)}
    listed = ", ".join(f"{name} {share:.0f}\N{NO-BREAK SPACE}%" for name, share in shares.items())
    return f"without steps below {STILL:g} m/s: {listed}" if listed else ""


def _draw_counts(axes: Axes, tasks: list[TaskPart]) -> None:
    bars = _bars(axes, tasks, [float(len(task.rows)) for task in tasks])
    axes.bar_label(bars, [f"{len(task.rows):,}" for task in tasks], padding=4)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(_whole_numbers())
    axes.set_xlabel("episodes")


def _draw_opened(axes: Axes, tasks: list[TaskPart]) -> None:
    shares = [100 * task.opened for task in tasks]
    bars = _bars(axes, tasks, shares)
    axes.barh(
        [task.name for task in tasks], [100 - share for share in shares], left=shares, color=INK, alpha=0.1
    )
    axes.bar_label(bars, [f"{share:.0f} %" for share in shares], padding=4)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("share of steps [%]")


def _bars(axes: Axes, tasks: list[TaskPart], values: list[float]) -> BarContainer:
    axes.invert_yaxis()
    return axes.barh([task.name for task in tasks], values, color=[task.color for task in tasks])


def _draw_lengths(axes: Axes, tasks: list[TaskPart], rate_hz: float) -> None:
    longest = max(max(task.lengths) for task in tasks)
    bins = np.arange(0, longest + 1 + (width := max(1, -(-longest // 40))), width)
    axes.hist(
        [task.lengths for task in tasks], bins.tolist(), stacked=True, color=[task.color for task in tasks]
    )
    axes.yaxis.set_major_locator(_whole_numbers())
    axes.margins(x=0.02)
    axes.set(xlabel=f"steps, {rate_hz:g} per second", ylabel="episodes")


def _draw_speeds(axes: Axes, tasks: list[TaskPart]) -> None:
    fastest = max(float(task.speeds.max(initial=0.0)) for task in tasks)
    bins = np.linspace(STILL, max(fastest, 2 * STILL), 36)
    for task in tasks:
        counts, _ = np.histogram(task.speeds, bins)
        shares = 100 * counts / max(1, len(task.speeds))
        axes.stairs(shares, bins, fill=True, color=task.color, alpha=0.15)
        axes.stairs(shares, bins, color=task.color, linewidth=1.5)
    axes.set(xlabel="m/s", ylabel="share of steps [%]", ylim=(0, None), xlim=(0, None))


def _whole_numbers() -> MaxNLocator:
    return MaxNLocator(nbins=5, integer=True, min_n_ticks=1)
