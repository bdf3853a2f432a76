"""The ruler finds what it was taught to find, and measures in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.policies.common.checkpoints import WeightsMissingError
from h2r_bench.training.data.frames import Frames
from h2r_bench.training.engine.loop import TrainingConfig
from h2r_bench.training.objectives.localizer_training import train_ruler
from h2r_bench.video_metrics.gripper_localizer import GripperLocalizer, load_localizer, off_by, tool_pixels

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (64, 64)


def marked(count: int) -> Frames:
    """Grey frames with a white square around the tool centre."""
    rng = np.random.default_rng(0)
    state = np.zeros((count, 10), np.float32)
    state[:, 0], state[:, 1] = rng.uniform(0.4, 0.6, count), rng.uniform(-0.15, 0.15, count)
    pictures = np.full((count, 64, 64, 3), 90, np.uint8)
    for picture, (x, y) in zip(pictures, tool_pixels(state, SIZE).round().astype(int), strict=True):
        picture[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 255
    arrays = {
        "state": state,
        "action": np.zeros((count, 7)),
        "hand_pose": np.zeros((count, 6)),
        "human_frame_index": np.arange(count),
    }
    return Frames(
        pictures,
        pictures,
        arrays,
        np.array([0, count]),
        [{"task": "pick_place", "cue": "scene", "instruction": "put it there"}],
    )


def test_it_learns_to_find_a_mark(tmp_path: Path) -> None:
    frames = marked(64)
    before = off_by(GripperLocalizer(), np.asarray(frames.robot), frames.state)
    ruler = train_ruler(frames, SIZE, TrainingConfig(steps=60, lr=0.01), 16, tmp_path)
    after = off_by(ruler, np.asarray(frames.robot), frames.state)
    assert np.median(after) < 0.2 * np.median(before)
    again = load_localizer(tmp_path)
    np.testing.assert_allclose(again.find(np.asarray(frames.robot)), ruler.find(np.asarray(frames.robot)))


def test_a_heat_map_with_one_peak_is_that_place() -> None:
    ruler = GripperLocalizer()
    heat = torch.full((1, 1, 16, 16), -50.0)
    heat[0, 0, 3, 7] = 50.0
    ruler.layers = torch.nn.Sequential(torch.nn.Identity())
    torch.testing.assert_close(ruler(heat), torch.tensor([[7 * 4 + 1.5, 3 * 4 + 1.5]]))


def test_a_missing_ruler_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"ruler\.safetensors"):
        load_localizer(tmp_path)


def test_the_shipped_ruler_finds_the_tool_in_frames_of_the_simulator() -> None:
    episode = record_episode("pick_place", 5)
    off = off_by(load_localizer(), np.asarray(episode.robot), episode.state)
    assert np.median(off) < 1.0
