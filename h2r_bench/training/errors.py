"""How far a decoder agent's chunks are from the expert's on clips that nothing was trained on.

What the agent would do in the states that the expert was in: perception and decoding alone, no control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy.spatial.transform import Rotation

from h2r_bench.policies.h2r.agent import load_heads
from h2r_bench.policies.h2r.encoders import Sight
from h2r_bench.policies.h2r.files import read_manifest
from h2r_bench.training.decoder import draw_clips, look
from h2r_bench.types import GRIPPER_OPENS_ABOVE

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.h2r.agent import Head
    from h2r_bench.training.frames import Clips, Frames
    from h2r_bench.types import Float32Array

PIECE = 8
"""Clips that the encoder sees at once."""


@dataclass(frozen=True)
class ChunkErrors:
    """Errors of the actions of all chunks; medians, where nothing else is said."""

    position_mm: float
    """Distance of the target position from the expert's [mm]."""
    axes_mm: tuple[float, float, float]
    """Error along x, y and z [mm]."""
    first_mm: float
    """Distance in the first half of each chunk, which is what is carried out [mm]."""
    rotation_deg: float
    """Angle between the target orientation and the expert's [degrees]."""
    gripper: float
    """Share of the actions whose gripper command is the expert's."""
    clips: int


def open_head(folder: Path, domain: str) -> Head:
    """The decoder of training domain `domain` in the weights `folder`, and its encoder.

    Raises WeightsDamagedError, or ValueError when the weights have none for the domain.
    """
    heads = load_heads(folder, read_manifest(folder))
    if domain not in heads:
        raise ValueError(f"{folder} has decoders for {', '.join(sorted(heads))}, none for {domain}")
    heads[domain].encoder.eval()
    return heads[domain]


def errors_of(head: Head, frames: Frames, clips: int, seed: int, title: str) -> ChunkErrors:
    """What the chunks of `head` are off on `clips` clips of `frames`, drawn as for training."""
    drawn = draw_clips(head.encoder, frames, np.random.default_rng((seed, 78)), clips)
    starts = track(range(0, clips, PIECE), title, console=Console(stderr=True))
    parts = [_chunks(head, frames, drawn[at : at + PIECE], seed + at) for at in starts]
    made = np.concatenate(parts)
    wanted = frames.actions_after(drawn.robot[:, 0], made.shape[1])
    return compare(made, wanted)


def compare(made: Float32Array, wanted: Float32Array) -> ChunkErrors:
    """The errors of chunks `made` (N, chunk, 7) beside `wanted`."""
    off = 1e3 * (made[..., :3] - wanted[..., :3])
    distance = np.linalg.norm(off, axis=-1)
    turned, meant = (Rotation.from_rotvec(each[..., 3:6].reshape(-1, 3)) for each in (made, wanted))
    same = (made[..., 6] > GRIPPER_OPENS_ABOVE) == (wanted[..., 6] > GRIPPER_OPENS_ABOVE)
    x, y, z = np.median(np.abs(off), axis=(0, 1)).tolist()
    return ChunkErrors(
        position_mm=float(np.median(distance)),
        axes_mm=(x, y, z),
        first_mm=float(np.median(distance[:, : max(1, made.shape[1] // 2)])),
        rotation_deg=float(np.median(np.degrees((turned.inv() * meant).magnitude()))),
        gripper=float(same.mean()),
        clips=len(made),
    )


@torch.no_grad()
def _chunks(head: Head, frames: Frames, drawn: Clips, seed: int) -> Float32Array:
    """The chunks (B, chunk, 7) of the clips `drawn`."""
    count = len(drawn.reference)
    generators = [torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(count)]
    features = head.encoder(Sight(*look(head.encoder, frames, drawn), generators))
    config = head.decoder.config
    noise = torch.stack([torch.randn(config.chunk, config.action_dim, generator=each) for each in generators])
    return head.decoder.act(features, frames.state[drawn.reference], noise)
