"""Paths in the picture: what they are, how they move with the picture, and what brings two together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.scene.arena import CAMERA_TARGET
from h2r_bench.policies.h2r.camera_alignment import warp
from h2r_bench.policies.knn.frame_encoders import PER_MOMENT, SceneReaderConfig, path_vector, places_of
from h2r_bench.policies.knn.path_alignment import path_offset
from h2r_bench.training.objectives.scene_training import moved_paths

from episodes import make_episode

SIZE = (64, 48)
MOMENTS = 4


def vector_of(places: np.ndarray, yaw: float = 0.0) -> torch.Tensor:
    """A path through `places` (MOMENTS, 2) with one yaw [rad]."""
    rest = np.tile([np.cos(yaw), np.sin(yaw), 1.0], (len(places), 1))
    return torch.from_numpy(np.concatenate([places, rest], 1).astype(np.float32).flatten())[None]


def spot(place: np.ndarray) -> torch.Tensor:
    """A picture (1, 1, H, W, 3) with a soft spot at `place` [half heights]."""
    width, height = SIZE
    x = (np.arange(width) - (width - 1) / 2) / (height / 2)
    y = (np.arange(height) - (height - 1) / 2) / (height / 2)
    far = (x[None, :] - place[0]) ** 2 + (y[:, None] - place[1]) ** 2
    image = np.repeat((250 * np.exp(-far / (2 * 0.08**2)))[..., None], 3, -1).astype(np.uint8)
    return torch.from_numpy(image)[None, None]


@pytest.mark.parametrize(
    "offset", [(0.1, -0.08, 0.0, 0.0), (0.0, 0.05, 0.1, -0.15), (-0.15, 0.1, -0.1, 0.15)]
)
def test_a_path_moves_with_its_picture(offset: tuple[float, ...]) -> None:
    place = np.array([0.3, -0.2])
    by = torch.tensor([offset], dtype=torch.float32)
    picture = warp(spot(place), by)[0, 0, ..., 0].double()
    width, height = SIZE
    share = picture / picture.sum()
    x = (torch.arange(width) - (width - 1) / 2) / (height / 2)
    y = (torch.arange(height) - (height - 1) / 2) / (height / 2)
    seen = [(share.sum(0) * x).sum().item(), (share.sum(1) * y).sum().item()]
    told = moved_paths(vector_of(np.tile(place, (MOMENTS, 1))), by)[0].numpy()
    np.testing.assert_allclose(places_of(told)[0], seen, atol=0.01)


offsets = st.tuples(*(st.floats(-reach, reach) for reach in (0.3, 0.3, 0.15, 0.2)))


@given(offsets, st.integers(0, 1000))
def test_what_moved_a_path_is_found_again(offset: tuple[float, ...], seed: int) -> None:
    there = np.random.default_rng(seed).uniform(-0.8, 0.8, (MOMENTS, 2))
    there[0], there[-1] = (-0.6, 0.4), (0.6, -0.4)  # a path that leads somewhere
    here = moved_paths(vector_of(there), torch.tensor([offset], dtype=torch.float32))[0].numpy()
    np.testing.assert_allclose(path_offset(places_of(here), there), offset, atol=0.03)


def test_a_path_on_one_spot_is_shifted_and_not_turned() -> None:
    there = np.tile([0.2, 0.1], (MOMENTS, 1))
    found = path_offset(there + np.array([0.1, -0.3]), there)
    np.testing.assert_allclose(found, [-0.1, 0.3, 0.0, 0.0], atol=0.05)


@given(st.floats(-0.2, 0.2), st.floats(-3, 3))
def test_a_turn_of_the_picture_turns_the_tool_and_keeps_its_length(turn: float, yaw: float) -> None:
    path = vector_of(np.zeros((MOMENTS, 2)), yaw)
    told = moved_paths(path, torch.tensor([[0.0, 0.0, 0.0, turn]]))[0].reshape(MOMENTS, PER_MOMENT)
    seen = np.arctan2(told[0, 3].item(), told[0, 2].item())
    assert np.cos(seen - yaw - np.arctan(turn)) == pytest.approx(1.0, abs=1e-5)


def test_a_path_vector_tells_where_the_tool_is_in_the_picture() -> None:
    episode = make_episode(0, steps=20)
    state = episode.state.copy()
    state[:, :3] = CAMERA_TARGET
    vector = path_vector(state, episode.action[:, 6], SceneReaderConfig(moments=MOMENTS), SIZE)
    assert vector.shape == (MOMENTS * PER_MOMENT,)
    np.testing.assert_allclose(places_of(vector), 0.0, atol=1e-6)
