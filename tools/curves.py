"""Draws the loss curves of training runs: `python tools/curves.py --runs DIR... --out FILE`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import tyro

mpl.use("Agg")
import matplotlib.pyplot as plt

POINTS = 120
"""Medians that a curve is drawn with."""


@dataclass(frozen=True)
class Config:
    """Draw the loss of each run over its steps, side by side."""

    runs: tuple[str, ...]
    """Folders that hold `loss.jsonl`. Runs that went on from each other make one curve: `FIRST:SECOND`."""
    out: Path
    """The picture."""
    names: tuple[str, ...] = ()
    """Titles, if not the folders' names."""


def read_losses(run: Path) -> list[tuple[int, float]]:
    """Each step of a run and its loss."""
    lines = [json.loads(line) for line in (run / "loss.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


def curve(runs: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses of runs in a row, as medians over equal parts: steps without a condition stand out."""
    joined: list[tuple[int, float]] = []
    for run in runs:
        before = joined[-1][0] if joined else 0
        joined += [(before + step, loss) for step, loss in read_losses(run)]
    pairs = np.array(joined)
    medians = np.array(
        [np.median(part, axis=0) for part in np.array_split(pairs, max(1, min(POINTS, len(pairs) // 10)))]
    )
    return medians[:, 0], medians[:, 1]


def main(config: Config) -> None:
    """Draw and write the picture."""
    chains = [[Path(each) for each in run.split(":")] for run in config.runs]
    names = config.names or tuple(chain[-1].name for chain in chains)
    figure, axes = plt.subplots(
        1, len(config.runs), figsize=(3.2 * len(config.runs), 2.6), squeeze=False, layout="constrained"
    )
    for axis, chain, name in zip(axes[0], chains, names, strict=True):
        steps, losses = curve(chain)
        axis.plot(steps, losses, linewidth=1.2)
        axis.set(title=name, xlabel="step", yscale="log")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0][0].set_ylabel("loss")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
