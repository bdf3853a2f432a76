"""Charts as SVG inside HTML pages: in the page's own colour and typeface, the same bytes every time.

Needs matplotlib: the `report` extra.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

INK = "#010203"
"""Stands for the page's text colour while a chart is drawn; the browser then fills in black or white."""

CHART_STYLE: Any = {
    "svg.fonttype": "none",  # the browser sets the text in the page's own typeface
    "svg.hashsalt": "h2r-bench",
    "text.parse_math": False,
    "font.size": 11.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
}


WIDTH = 5.0
"""Of a chart [inches]; pages scale it."""


@dataclass(frozen=True)
class Margins:
    """Room around the axes [inches]."""

    left: float
    bottom: float = 0.52
    right: float = 0.16
    top: float = 0.06


def svg(name: str, height: float, fill: Callable[[Axes], None], margins: Margins | None = None) -> str:
    """A chart to put into HTML.

    Args:
        name: unlike that of any other chart on the page, and made of letters, digits and hyphens.
        height: of the chart [inches].
        fill: draws into the axes.
        margins: given, the chart takes a third of the time that finding them takes.
    """
    with rc_context(CHART_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has other typefaces
        figure = Figure(figsize=(WIDTH, height), layout=None if margins else "constrained")
        axes = figure.add_subplot()
        if margins:
            across, along = margins.left + margins.right, margins.bottom + margins.top
            box = (margins.left / WIDTH, margins.bottom / height, 1 - across / WIDTH, 1 - along / height)
            axes.set_position(box)
        fill(axes)
        axes.grid(axis="both" if axes.get_ylabel() else "x", color=INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
        text = StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    return _inline(text.getvalue(), name)


def _inline(text: str, name: str) -> str:
    """An SVG file as a part of an HTML page on which other charts have the same ids."""
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text[text.index("<svg") :])
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace(INK, "currentColor")
