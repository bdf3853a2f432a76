"""How far an agent's chunks are from the expert's in episodes that nothing was trained on.

What the agent would do in the states that the expert was in: perception and decoding alone, no control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from h2r_bench.policies.catalog import find_agent
from h2r_bench.policies.common.chunking import ChunkingAgent
from h2r_bench.types import CONTROL_HZ, GRIPPER_OPENS_ABOVE, Demonstration, encode_instruction

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from h2r_bench.types import Episode, Float32Array


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
    chunks: int


def open_agent(name: str, weights: Path | None) -> ChunkingAgent:
    """The agent called `name`, which has to predict chunks; without `weights` with those it ships with.

    Raises UnknownNameError, WeightsMissingError, WeightsDamagedError, or ValueError for any other agent.
    """
    kind = find_agent(name).find()
    if not issubclass(kind, ChunkingAgent):
        raise ValueError(f"{name} predicts no chunks of actions, so there is nothing to measure")
    agent: ChunkingAgent = kind.from_pretrained(weights)
    return agent


def errors_of(
    agent: ChunkingAgent, episodes: Iterable[Episode], moments: int, domain: str, seed: int
) -> ChunkErrors:
    """What the chunks of `agent` are off at `moments` of each episode, spread evenly from its first on.

    The episodes are of training domain `domain`; `seed` is that of each trial. Raises UnknownDomainError.
    """
    made, wanted = [], []
    for episode in episodes:
        demonstration = Demonstration(episode.human, CONTROL_HZ, episode.instruction, domain=domain)
        agent.reset(demonstration, episode.instruction, seed)
        for step in np.unique(np.linspace(0, len(episode) - 1, moments + 1).round().astype(int)[:-1]):
            seen = {
                "image": episode.robot[step],
                "state": episode.state[step],
                "human_clip": demonstration.clip(step),
                "instruction": encode_instruction(episode.instruction),
            }
            made.append(agent.plan(seen, int(step)))
            wanted.append(episode.action[np.minimum(step + np.arange(agent.chunk), len(episode) - 1)])
    return compare(np.stack(made), np.stack(wanted))


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
        chunks=len(made),
    )
