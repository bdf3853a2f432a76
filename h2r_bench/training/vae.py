"""Train the VAE on the robot's frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch

from h2r_bench.policies.h2r.config import VAEConfig, from_json, to_json
from h2r_bench.policies.h2r.files import load_weights, save_weights
from h2r_bench.policies.h2r.vae import LatentCoder, to_unit, vae_loss
from h2r_bench.training.loop import Loop, Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from h2r_bench.policies.h2r.config import VPMConfig
    from h2r_bench.training.frames import Frames


def train_vae(config: VPMConfig, frames: Frames, loop: Loop, batch: int, out: Path) -> LatentCoder:
    """Train on batches of `batch` images and write `vae.json` and `vae.safetensors` into `out`."""
    torch.manual_seed(loop.seed)
    coder = LatentCoder(config.vae)

    def loss_of(rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        images = to_unit(torch.from_numpy(frames.robot[np.sort(rng.integers(len(frames), size=batch))]))
        noise = torch.randn((batch, *config.latent_shape), generator=generator)
        return vae_loss(coder, images, noise)

    Trainer(coder, loop, out).run(loss_of, "vae")
    measure_scale(coder, frames)
    save_vae(coder, out)
    return coder


@torch.no_grad()
def measure_scale(coder: LatentCoder, frames: Frames, count: int = 512) -> None:
    """Set the scale that brings the latents of up to `count` frames to unit variance."""
    index = np.unique(np.linspace(0, len(frames) - 1, count).astype(int))
    parts = [coder.posterior(to_unit(torch.from_numpy(frames.robot[some])))[0] for some in _pieces(index, 64)]
    coder.scale.copy_(1.0 / torch.cat(parts).std())


def save_vae(coder: LatentCoder, out: Path) -> None:
    """Write `vae.json` and `vae.safetensors`."""
    (out / "vae.json").write_text(json.dumps(to_json(coder.config), indent=1) + "\n")
    save_weights(coder, out / "vae.safetensors")


def load_vae(folder: Path) -> LatentCoder:
    """The inverse of `save_vae`."""
    coder = LatentCoder(from_json(VAEConfig, json.loads((folder / "vae.json").read_text())))
    load_weights(coder, folder / "vae.safetensors")
    return coder.eval().requires_grad_(False)


def _pieces(index: np.ndarray, size: int) -> list[np.ndarray]:
    return [index[at : at + size] for at in range(0, len(index), size)]
