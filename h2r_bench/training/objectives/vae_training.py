"""Train the VAE on the robot's frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from h2r_bench.policies.common.checkpoints import load_weights, save_weights
from h2r_bench.policies.common.config_json import from_json, to_json
from h2r_bench.policies.common.images import to_uint8, to_unit
from h2r_bench.policies.h2r.config import VAEConfig
from h2r_bench.policies.h2r.vae import LatentCoder, vae_loss
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig
from h2r_bench.training.engine.tensorboard import sheet
from h2r_bench.types import UInt8Array

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.h2r.config import VPMConfig
    from h2r_bench.training.data.frames import Frames


SHOWN = 4
"""Pictures of a sample."""


class VAELoss(nn.Module):
    """The VAE's loss on batches of images."""

    def __init__(self, coder: LatentCoder) -> None:
        super().__init__()
        self.coder = coder

    def forward(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """`images`: (N, H, W, 3) uint8."""
        unit = to_unit(images)
        config, (height, width) = self.coder.config, unit.shape[2:]
        shape = (len(unit), config.latent_channels, height // config.stride, width // config.stride)
        noise = randn_tensor(shape, generator=generator, device=unit.device)
        return vae_loss(self.coder, unit, noise)


def train_vae(config: VPMConfig, frames: Frames, loop: TrainingConfig, batch: int, out: Path) -> LatentCoder:
    """Train on batches of `batch` images and write `vae.json` and `vae.safetensors` into `out`."""
    torch.manual_seed(loop.seed)
    coder = LatentCoder(config.vae)

    def draw(rng: np.random.Generator) -> Batch:
        return (torch.from_numpy(frames.robot[np.sort(rng.integers(len(frames), size=batch))]),)

    @torch.no_grad()
    def sample() -> dict[str, UInt8Array]:
        some = torch.from_numpy(frames.robot[np.linspace(0, len(frames) - 1, SHOWN).astype(int)])
        device = next(coder.parameters()).device
        again = to_uint8(coder.decode(coder.encode(to_unit(some.to(device))))).cpu()
        return {"frames, reconstructions": sheet(some.numpy(), again.numpy())}

    Trainer(VAELoss(coder), loop, out).run(draw, "vae", sample)
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
    """The inverse of `save_vae`; also takes the VAE out of the weights of a VPM."""
    if (folder / "vae.json").is_file():
        sizes = json.loads((folder / "vae.json").read_text())
    else:
        sizes = json.loads((folder / "vpm.json").read_text())["config"]["vae"]
    coder = LatentCoder(from_json(VAEConfig, sizes))
    load_weights(coder, folder / "vae.safetensors")
    return coder.eval().requires_grad_(False)


def _pieces(index: np.ndarray, size: int) -> list[np.ndarray]:
    return [index[at : at + size] for at in range(0, len(index), size)]
