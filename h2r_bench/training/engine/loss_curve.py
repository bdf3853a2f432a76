"""The loss of a training run in a few numbers, kept in its record and with the weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

LOG = "loss.jsonl"
"""In the folder of a run: the loss of every step."""
POINTS = 40
"""Medians that a run is told in."""
Curve = dict[str, list[float]]
"""`step` and `loss`, of equal length."""


def curve(log: Path) -> Curve:
    """The losses in `log` as medians over equal parts: single steps without a condition stand out."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    pairs = np.array([(line["step"], line["loss"]) for line in lines]).reshape(-1, 2)
    medians = [
        np.median(part, axis=0) for part in np.array_split(pairs, min(POINTS, len(pairs)) or 1) if len(part)
    ]
    return {
        "step": [float(step) for step, _ in medians],
        "loss": [float(f"{loss:.4g}") for _, loss in medians],
    }
