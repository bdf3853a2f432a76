from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from h2r_bench.policies.baselines.xskill.augmentation import distorted
from h2r_bench.policies.baselines.xskill.skill_encoder import (
    PrototypeConfig,
    SkillEncoder,
    sinkhorn,
    swapped_prediction,
    time_contrast,
)
from h2r_bench.training.objectives.xskill_training import SkillLoss

from episodes import make_episode
from tiny import TINY_XSKILL

CONFIG = TINY_XSKILL.skills


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoder() -> SkillEncoder:
    torch.manual_seed(0)
    return SkillEncoder(CONFIG).eval()


@pytest.mark.parametrize(("windows", "prototypes"), [(60, 6), (5, 20), (64, 64)])
def test_sinkhorn_assigns_every_window_once_and_uses_all_prototypes(windows: int, prototypes: int) -> None:
    scores = torch.rand(windows, prototypes, generator=noise()) * 2 - 1
    assigned = sinkhorn(scores, 0.05, 50)
    assert (assigned >= 0).all()
    torch.testing.assert_close(assigned.sum(1), torch.ones(windows))
    even = torch.full((prototypes,), windows / prototypes)
    torch.testing.assert_close(assigned.sum(0), even, rtol=0.05, atol=0.05)


def test_sinkhorn_keeps_every_prototype_busy_where_all_windows_favour_one() -> None:
    scores = torch.zeros(40, 4)
    scores[:, 0] = 1.0
    assigned = sinkhorn(scores, 0.03, 3)
    assert assigned.sum(0).max() < 11
    assert (scores / 0.1).softmax(1).sum(0).max() > 39


def test_sinkhorn_prefers_what_is_alike_and_carries_no_gradient() -> None:
    scores = torch.eye(5).requires_grad_()
    assigned = sinkhorn(scores, 0.03, 3)
    assert torch.equal(assigned.argmax(1), torch.arange(5))
    assert not assigned.requires_grad


def test_views_that_agree_have_the_lower_loss() -> None:
    config = PrototypeConfig(count=8)
    scores = torch.eye(8).repeat(4, 1)
    same = swapped_prediction(scores, scores, config)
    assert same < swapped_prediction(scores, scores.roll(1, 0), config)


def test_the_contrast_in_time_wants_neighbours_alike() -> None:
    steady = torch.stack([torch.linspace(0, 1, 12).cos(), torch.linspace(0, 1, 12).sin()], 1) * 3
    shuffled = steady[torch.randperm(12, generator=noise())]
    all_of_it = torch.tensor([12])
    losses = [time_contrast(each[None], all_of_it, 0.1, 1, 4, noise(1)) for each in (steady, shuffled)]
    assert losses[0] < losses[1]
    with pytest.raises(ValueError, match="more than 4 windows"):
        time_contrast(steady[None, :4], torch.tensor([4]), 0.1, 1, 4, noise())


@pytest.mark.parametrize("counted", [1, 3, 9])
def test_windows_that_do_not_count_change_no_contrast(counted: int) -> None:
    """Neither as what is contrasted nor as what it is contrasted with."""
    scores = torch.rand(2, 12, 5, generator=noise())
    other = scores.clone()
    other[0, counted:] = torch.rand(12 - counted, 5, generator=noise(2))

    def losses(first: int) -> list[Tensor]:
        windows = torch.tensor([first, 12])
        return [time_contrast(each, windows, 0.1, 2, 3, noise(1)) for each in (scores, other)]

    one, same = losses(counted)
    torch.testing.assert_close(one, same)
    assert one.isfinite()
    one, another = losses(12)
    assert one != another


def test_a_window_is_its_first_and_last_frame() -> None:
    video, skills = make_episode(1).human, encoder()
    read = skills.read(video, [0, 2, 4])
    assert read.shape == (3, CONFIG.width)
    torch.testing.assert_close(read.square().mean(1), torch.ones(3))
    changed = video.copy()
    changed[1] = 0
    torch.testing.assert_close(skills.read(changed, [0, 2, 4]), read)
    changed[2] = 0
    again = skills.read(changed, [0, 2, 4])
    assert not torch.allclose(again[:2], read[:2])
    torch.testing.assert_close(again[2], read[2])


def test_beyond_the_end_the_last_frame_repeats() -> None:
    video, skills = make_episode(1).human, encoder()
    longer = np.concatenate([video, video[-1:].repeat(3, 0)])
    torch.testing.assert_close(skills.read(video, [10, 11]), skills.read(longer, [10, 11]))


def test_each_body_is_balanced_by_itself() -> None:
    skills = encoder()
    human, robot = (torch.randint(0, 256, (2, 7, 32, 32, 3), dtype=torch.uint8) for _ in range(2))
    together, windows = noise(3), torch.tensor([5, 3])
    one = skills.video_loss(human, windows, together)
    other = skills.video_loss(robot, windows, together)
    both = SkillLoss(skills)(human, windows, robot, windows, generator=noise(3))
    torch.testing.assert_close(both, one + other)
    one.backward()
    assert skills.prototypes.grad is not None
    assert skills.token.grad is not None


def test_a_last_frame_that_repeats_is_no_window() -> None:
    """What stands behind the windows that count changes nothing, prototypes included."""
    skills = encoder()
    video = torch.randint(0, 256, (1, 7, 32, 32, 3), dtype=torch.uint8)
    other = video.clone()
    other[:, 5:] = 0  # of windows 3 and 4
    windows = torch.tensor([3])
    one, same = (skills.video_loss(each, windows, noise(3)) for each in (video, other))
    torch.testing.assert_close(one, same)
    assert skills.video_loss(other, torch.tensor([4]), noise(3)) != one


def test_views_of_a_video_differ_and_its_frames_are_distorted_alike() -> None:
    videos = torch.randint(0, 256, (1, 1, 32, 32, 3), dtype=torch.uint8).expand(2, 3, -1, -1, -1)
    views = distorted(videos, (28, 28), noise())
    assert views.shape == (2, 3, 3, 28, 28)
    torch.testing.assert_close(views[:, 0], views[:, 2])
    assert not torch.allclose(views[0], views[1])
    assert torch.equal(views, distorted(videos, (28, 28), noise()))
