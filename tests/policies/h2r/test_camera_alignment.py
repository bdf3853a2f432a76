from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from h2r_bench.envs.demonstration.paired_scenes import CameraNoise
from h2r_bench.envs.demonstration.recording import draw_episode, record_episode
from h2r_bench.envs.scene.arena import project
from h2r_bench.policies.common.chunking import ChunkRequest
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.agent import OFFSET, H2RAgent, Head
from h2r_bench.policies.h2r.camera_alignment import estimate_similarity, in_robot_view, warp
from h2r_bench.policies.h2r.encoders.base import VPMEncoder
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.training.diagnostics.held_out import frames_of

from episodes import make_episode
from tiny import TINY

SIZES = ((128, 128), (424, 240), (32, 32))
NOWHERE = torch.zeros(1, 4)


def table(size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """A picture (1, H, W, 3) of clouds and grain."""
    width, height = size
    noise = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 3, cells, cells, generator=noise), (height, width), mode="bicubic")
        for cells in (4, 9, 17, 31)
    ]
    picture = torch.stack(layers).mean(0).clamp(0, 1)
    return (255 * picture).round().to(torch.uint8).movedim(1, -1)


def seen_from(picture: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
    return warp(picture[:, None], apart)[:, 0]


def inverse(apart: torch.Tensor) -> torch.Tensor:
    right, down, zoom, turn = apart[0].tolist()
    matrix = torch.tensor([[1 + zoom, -turn], [turn, 1 + zoom]]).inverse()
    back = -matrix @ torch.tensor([right, down])
    return torch.tensor([[*back.tolist(), float(matrix[0, 0]) - 1, float(matrix[1, 0])]])


@settings(max_examples=25, deadline=None)
@given(
    right=st.floats(-0.12, 0.12),
    down=st.floats(-0.12, 0.12),
    zoom=st.floats(-0.02, 0.02),
    turn=st.floats(-0.02, 0.02),
    size=st.sampled_from(SIZES[:2]),
)
def test_a_picture_that_was_moved_is_found(
    right: float, down: float, zoom: float, turn: float, size: tuple[int, int]
) -> None:
    apart = torch.tensor([[right, down, zoom, turn]])
    robot = table(size)
    human = seen_from(robot, inverse(apart))
    found = estimate_similarity(human, robot)
    half_a_pixel = 1 / 128
    assert (found - apart).abs()[0, :2].max() < half_a_pixel
    assert (found - apart).abs()[0, 2:].max() < 2 * half_a_pixel


@pytest.mark.parametrize("size", SIZES)
def test_of_the_same_view_nothing_is_moved(size: tuple[int, int]) -> None:
    picture = table(size)
    assert estimate_similarity(picture, picture).abs().max() < 1e-3
    torch.testing.assert_close(seen_from(picture, NOWHERE), picture)


def test_where_there_is_nothing_to_see_nothing_is_moved() -> None:
    black = torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    assert estimate_similarity(black, black).abs().max() == 0
    assert estimate_similarity(black, table((128, 128))).isfinite().all()


def test_hand_arm_and_what_was_put_elsewhere_do_not_count() -> None:
    apart = torch.tensor([[0.05, -0.06, 0.0, 0.0]])
    robot = table((128, 128))
    human = seen_from(robot, inverse(apart))
    human[:, :40, 50:80] = torch.tensor([120, 80, 60], dtype=torch.uint8)
    human[:, 70:85, 30:45] = torch.tensor([200, 20, 20], dtype=torch.uint8)
    robot[:, :30, 35:90] = 240
    robot[:, 72:87, 40:55] = torch.tensor([200, 20, 20], dtype=torch.uint8)
    assert (estimate_similarity(human, robot) - apart).abs().max() < 0.01


def test_a_batch_is_found_as_its_members_are() -> None:
    robot = torch.cat([table((128, 128), seed) for seed in range(3)])
    human = torch.roll(robot, (2, -3), (1, 2))
    together = estimate_similarity(human, robot)
    for row in range(3):
        alone = estimate_similarity(human[row : row + 1], robot[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("task", ["push_pull", "pick_place", "background_gen", "brand_new"])
def test_cameras_of_the_world_are_found_to_half_a_pixel(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point of the table, in the human's picture after moving it, is where the robot sees it."""
    seed, turn = 3_100_000_000, np.array([0.012, -0.012, 0.004])
    monkeypatch.setattr(CameraNoise, "sample", lambda _rng: CameraNoise(np.zeros(3), turn))
    episode = record_episode(task, seed)
    monkeypatch.undo()
    assert not np.allclose(draw_episode(task, seed).pair.camera.turn, turn)
    human, robot = (torch.from_numpy(each[:1].copy()) for each in (episode.human, episode.robot))
    found = estimate_similarity(human, robot)[0].numpy()
    # A camera that turns about itself moves every point alike, whatever its depth.
    across, down = np.meshgrid([0.38, 0.48, 0.58], [-0.15, 0.0, 0.15])
    points = np.stack([across, down, np.zeros_like(across)], -1).reshape(-1, 3)
    pixels = project(points, (128, 128))
    middle = (pixels - 63.5) / 64
    right, low, zoom, roll = found
    shown = np.stack(
        [
            middle[:, 0] * (1 + zoom) - middle[:, 1] * roll + right,
            middle[:, 1] * (1 + zoom) + middle[:, 0] * roll + low,
        ],
        -1,
    )
    humans = (project(points, (128, 128), turn=turn) - 63.5) / 64
    assert np.linalg.norm((middle - humans) * 64, axis=1).mean() > 3
    assert np.linalg.norm((shown - humans) * 64, axis=1).mean() < 0.5


def test_frames_move_each_clip_by_its_own_episode() -> None:
    episodes = [make_episode(seed, size=(32, 32)) for seed in range(3)]
    frames = frames_of(episodes)
    index = np.stack([frames.starts[:3], frames.starts[:3] + 1], 1)
    np.testing.assert_array_equal(frames.human_clips(index, same_view=False).numpy(), frames.human[index])
    clips = frames.human_clips(index, same_view=True)
    assert frames.offsets.shape == (3, 4)
    for row, episode in enumerate(episodes):
        human = torch.from_numpy(episode.human[:2].copy())
        apart = estimate_similarity(human[:1], torch.from_numpy(episode.robot[:1].copy()))
        wanted = warp(human[None], apart)[0].numpy()
        whole = in_robot_view(human, human[0], torch.from_numpy(episode.robot[0].copy()))
        np.testing.assert_array_equal(whole.numpy(), wanted)
        assert np.abs(clips[row].numpy().astype(int) - wanted).max() <= 1


# --- the agent -------------------------------------------------------------------------------------------


def agent() -> H2RAgent:
    torch.manual_seed(0)
    vpm = VideoPredictionModel(replace(TINY.vpm, same_view=True), temporal=True).eval().requires_grad_(False)
    torch.nn.init.normal_(vpm.behavior.projection.weight, std=0.1)
    return H2RAgent({"basic": Head(VPMEncoder(vpm), ActionDecoder(TINY.decoder))}, execute=2)


def observation(apart: torch.Tensor, seed: int = 0) -> dict[str, Any]:
    """Human and robot at one table, the human's camera standing apart."""
    robot = table((32, 32), seed)
    clip = warp(robot[:, None].repeat(1, 30, 1, 1, 1), inverse(apart))
    state = np.float32([0.5, 0, 0.1, 1, 0, 0, 0, 1, 0, 1])
    return {"image": robot[0].numpy(), "human_clip": clip[0].numpy(), "state": state}


def test_the_agent_sees_the_human_as_the_robots_camera_would(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, apart, shown = agent(), torch.tensor([[0.12, -0.1, 0.0, 0.0]]), []
    encoder = subject.heads["basic"].encoder
    forward = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda sight: shown.append(sight.human) or forward(sight))
    subject.predict(observation(apart))
    inside = slice(6, -6)
    off = shown[0][0, :, inside, inside].int() - torch.from_numpy(observation(apart)["image"][inside, inside])
    raw = observation(apart)["human_clip"][0, inside, inside].astype(int) - observation(apart)["image"][
        inside, inside
    ].astype(int)
    assert off.abs().float().mean() < 0.5 * np.abs(raw).mean()


def test_the_offset_is_that_of_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later hand and arm may cover what tells; and each environment of a batch has its own."""
    subject, seen = agent(), []
    predict_chunks = subject.predict_chunks

    def watched(due: ChunkRequest) -> Any:
        seen.append(due.memory[OFFSET].copy())
        return predict_chunks(due)

    monkeypatch.setattr(subject, "predict_chunks", watched)
    first, second = torch.tensor([[0.1, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, -0.1, 0.0, 0.0]])
    rows = [observation(first), observation(second, seed=1)]
    batch = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    later = {**batch, "human_clip": np.zeros_like(batch["human_clip"])}
    _, state = subject.predict(batch)
    for step in range(1, 4):
        begins = np.array([step == 2, False])
        _, state = subject.predict(batch if begins[0] else later, state, begins)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_allclose(seen[0][:, 0], [0.1, 0.0], atol=0.03)
    np.testing.assert_allclose(seen[0][:, 1], [0.0, -0.1], atol=0.03)
    subject.reset(None, "", 0)
    subject.predict({key: value[1:] for key, value in batch.items()})
    np.testing.assert_allclose(seen[2][0], seen[0][1], atol=1e-5)
