"""How fast clips come from disk, and the share of a training step that is spent waiting for data."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch.utils.data import DataLoader

from h2r_bench.datasets.clips import ClipDataset
from h2r_bench.policies.h2r.config import COMPACT
from h2r_bench.policies.h2r.vpm import VideoPredictionModel


@dataclass(frozen=True)
class Config:
    """Measure reading against training."""

    data: Path
    """Folder of the dataset."""
    clips: int = 400
    """Clips to read."""
    frames: int = 16
    workers: int = 1
    """Processes that read; 0 reads in the training process."""
    batch: int = 4
    """Clips in a training step of the compact VPM's second stage."""
    steps: int = 12


def main() -> None:
    """Print the figures as one JSON line."""
    config = tyro.cli(Config, description=__doc__)
    dataset = ClipDataset(config.data, count=config.clips, frames=config.frames)
    started = time.perf_counter()
    for item in DataLoader(dataset, batch_size=None, num_workers=config.workers):
        last = item
    rate = config.clips / (time.perf_counter() - started)
    model = VideoPredictionModel(COMPACT.vpm).with_temporal_layers()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((config.batch, config.frames, *COMPACT.vpm.latent_shape), generator=generator)
    loader = iter(DataLoader(dataset, batch_size=config.batch, num_workers=config.workers))
    waits, steps = [], []
    for _ in range(config.steps):
        begun = time.perf_counter()
        batch = next(loader)
        got = time.perf_counter()
        model.loss(batch["human"], batch["robot"][:, 0], latents[:, 0], latents, generator).backward()
        waits.append(got - begun)
        steps.append(time.perf_counter() - begun)
    report = {
        "clip_pairs_per_second": round(rate, 1),
        "frame_pairs_per_second": round(rate * config.frames, 1),
        "step_seconds": round(statistics.median(steps), 3),
        "share_waiting": round(float(np.sum(waits[1:]) / np.sum(steps[1:])), 4),
        "shape": list(last["human"].shape),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
