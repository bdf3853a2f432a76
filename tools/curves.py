"""Draws the loss curves behind trained weights: `python tools/curves.py --weights DIR... --out FILE`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import tyro

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter, MaxNLocator

from h2r_bench.policies.common.checkpoints import MANIFEST
from h2r_bench.training.engine.run_metadata import LOSSES, finished, unfolded

COLUMNS = 3
"""Panels side by side."""


@dataclass(frozen=True)
class Config:
    """Draw the loss of each trained part over the samples it has seen, one panel a part.

    All runs of a part are one curve, each beginning where the one before has ended. Runs whose losses were
    not kept count with their samples; where these were not counted either, the curve begins at zero after
    them.
    """

    weights: tuple[Path, ...]
    """Folders of an agent's weights, or of finished runs."""
    out: Path
    """The picture."""


@dataclass(frozen=True)
class Curve:
    """The loss of one part."""

    title: str
    samples: np.ndarray
    """Seen so far."""
    loss: np.ndarray


def curves_of(folder: Path) -> list[Curve]:
    """The curves of all parts of the weights or of the run in `folder` whose losses were kept."""
    packed = folder / MANIFEST
    runs = json.loads(packed.read_text())["runs"] if packed.is_file() else finished(folder)
    parts: dict[str, list[dict[str, Any]]] = {title_of(run): [] for run in runs}
    for run in unfolded(runs):
        # What a part only started from, such as another agent's, is drawn with that agent.
        of_part = parts.get(title_of(run), [])
        if run not in of_part:
            of_part.append(run)
    curves = {title: over_samples(of_part) for title, of_part in parts.items()}
    return [Curve(title, *curve) for title, curve in curves.items() if len(curve[0])]


def over_samples(runs: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Samples seen so far and loss of `runs`, oldest first, with a gap (NaN) after each."""
    seen, samples_of, losses = 0.0, [np.empty(0)], [np.empty(0)]
    for run in runs:
        samples, kept = run.get("samples") or 0, run.get(LOSSES)
        if samples and kept:
            steps = np.asarray(kept["step"], dtype=float)
            samples_of.append(np.append(seen + steps * samples / run["steps"], np.nan))
            losses.append(np.append(np.asarray(kept["loss"], dtype=float), np.nan))
        seen += samples
    return np.concatenate(samples_of), np.concatenate(losses)


def title_of(run: dict[str, Any]) -> str:
    """What a run trained: the command's first word, its stage, and its tasks if they are not the default."""
    words = shlex.split(run["command"])[3:]
    config = run["config"]
    stage = f", stage {config['stage']}" if config.get("stage") else ""
    tasks = f", {' '.join(config['tasks'])}" if "--tasks" in words else ""
    return f"{words[0]}{stage}{tasks}"


def main(config: Config) -> None:
    """Draw and write the picture. Raises SystemExit where no losses were kept."""
    curves = [each for folder in config.weights for each in curves_of(folder)]
    if not curves:
        raise SystemExit(f"no losses were kept with {', '.join(map(str, config.weights))}")
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 2.6 * rows), squeeze=False, layout="constrained"
    )
    for axis in grid.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, each in zip(grid.flat, curves, strict=False):
        axis.plot(each.samples, each.loss, linewidth=1.2)
        axis.set(xlabel="samples seen", ylabel="loss", yscale="log")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.set_title(each.title, fontsize=9)
        axis.grid(visible=True, which="both", alpha=0.25)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(config.out, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
