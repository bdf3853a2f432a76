from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from h2r_bench.policies.common.normalizer import Normalizer
from h2r_bench.training.data.frames import load_frames
from h2r_bench.training.objectives.auxiliary_head import AHEAD, Readout, actions_ahead
from h2r_bench.training.objectives.diffusion_policy_training import fit

from episodes import make_dataset


def test_actions_ahead_stay_in_their_episode(tmp_path: Path) -> None:
    frames = load_frames(make_dataset(tmp_path / "data", episodes=2).root, (32, 32))
    normalizer = Normalizer()
    fit(normalizer, frames)
    length = int(frames.starts[1])
    rows = np.array([0, length - 1, length])
    ahead = normalizer.to_action(actions_ahead(normalizer, frames, rows))
    assert ahead.shape == (3, len(AHEAD), 7)
    for row, first in zip(ahead, rows, strict=True):
        last = frames.starts[1 + (first >= length)] - 1
        wanted = frames.action[np.minimum(first + np.array(AHEAD), last)]
        np.testing.assert_allclose(row[:, :3], wanted[:, :3], atol=1e-4)


def test_the_readout_is_right_where_its_layers_are() -> None:
    torch.manual_seed(0)
    readout, seen = Readout(6, 10), torch.randn(4, 6)
    said = readout.layers(seen).view(4, len(AHEAD), 10).detach()
    assert readout(seen, said) == 0
    assert readout(seen, said + 0.3) > 0.2
