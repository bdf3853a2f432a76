from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from h2r_bench.policies.baselines.xskill.agent import XSkillAgent
from h2r_bench.policies.baselines.xskill.model import XSkillModel, padded, sequence_starts
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.policies.common.checkpoints import WeightsDamagedError
from h2r_bench.training.objectives.auxiliary_head import AHEAD
from h2r_bench.training.objectives.xskill_training import XSkillLoss, XSkillRecipe, mixed
from h2r_bench.types import Demonstration

from episodes import make_episode
from tiny import TINY_XSKILL

POLICY = TINY_XSKILL.policy


def agent() -> XSkillAgent:
    torch.manual_seed(0)
    return XSkillAgent(SkillEncoder(TINY_XSKILL.skills), {"basic": XSkillModel(POLICY)}, execute=2)


def observation(seed: int = 0) -> dict[str, np.ndarray]:
    episode = make_episode(seed)
    clip = np.concatenate([episode.human] * 3)[:30]
    return {"image": episode.robot[0], "state": episode.state[0], "human_clip": clip}


def act(subject: XSkillAgent, video: np.ndarray) -> np.ndarray:
    subject.reset(Demonstration(video, 10.0, ""), "", 0)
    return np.asarray(subject.predict(observation())[0])


def test_the_whole_demonstration_is_watched() -> None:
    subject, video = agent(), make_episode(3).human
    end = video.copy()
    end[-1] = 0
    first = act(subject, video)
    np.testing.assert_array_equal(act(subject, video), first)
    assert not np.array_equal(act(subject, end), first)


def test_the_clip_of_the_observation_does_not_matter_then() -> None:
    subject, video = agent(), make_episode(3).human
    first = act(subject, video)
    subject.reset(Demonstration(video, 10.0, ""), "", 0)
    other = {**observation(), "human_clip": observation(9)["human_clip"]}
    np.testing.assert_array_equal(subject.predict(other)[0], first)


def test_without_a_demonstration_it_says_what_it_lacks() -> None:
    subject = agent()
    subject.reset(None, "", 0)
    with pytest.warns(UserWarning, match="knows the first 30 frames alone"):
        assert np.isfinite(subject.predict(observation())[0]).all()


def test_skills_of_another_width_are_refused() -> None:
    with pytest.raises(WeightsDamagedError, match="skills of width 8"):
        XSkillAgent(
            SkillEncoder(TINY_XSKILL.skills),
            {"basic": XSkillModel(replace(POLICY, skill_width=8))},
            execute=2,
        )


@pytest.mark.parametrize(
    ("length", "starts"), [(1, [0]), (9, [0, 4, 8]), (17, [0, 5, 11, 16]), (161, [0, 53, 107, 160])]
)
def test_a_long_video_is_read_at_equal_distances(length: int, starts: list[int]) -> None:
    assert sequence_starts(length, 4, 4) == starts


def test_what_fills_a_sequence_up_is_not_attended_to() -> None:
    torch.manual_seed(0)
    model = XSkillModel(POLICY).eval()
    seen = torch.randn(1, model.vision.width + 10)
    sequence, there = padded(torch.randn(5, POLICY.skill_width), POLICY.longest)
    assert there.tolist() == [True] * 5 + [False] * 3
    filled = sequence.clone()
    filled[5:] = 7.0
    due = model.alignment(seen, sequence[None], there[None])
    torch.testing.assert_close(model.alignment(seen, filled[None], there[None]), due)
    assert not torch.allclose(model.alignment(seen, sequence.flip(0)[None], there.flip(0)[None]), due)
    longer = torch.stack([sequence, torch.randn_like(sequence)])
    together = model.alignment(seen.expand(2, -1), longer, torch.stack([there, torch.ones_like(there)]))
    torch.testing.assert_close(together[:1], due)


def test_the_loss_reaches_alignment_policy_and_vision() -> None:
    torch.manual_seed(0)
    model, batch = XSkillModel(POLICY), 3
    sequence, there = padded(torch.randn(5, 16), POLICY.longest)
    loss = XSkillLoss(model, XSkillRecipe())(
        torch.randint(0, 256, (batch, 32, 32, 3), dtype=torch.uint8),
        torch.rand(batch, 10),
        sequence.expand(batch, -1, -1),
        there.expand(batch, -1),
        torch.randn(batch, 16),
        torch.rand(batch, 4, 10),
        torch.rand(batch, len(AHEAD), 10),
        generator=torch.Generator().manual_seed(0),
    )
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_naming_skills_does_not_shape_what_is_seen() -> None:
    """Of the losses only acting, and the readout beside it, reach the visual encoder."""
    torch.manual_seed(0)
    model = XSkillModel(POLICY)
    loss = XSkillLoss(model, XSkillRecipe(readout_weight=0.0))
    model.policy.loss = lambda *_: torch.zeros(())  # type: ignore[method-assign]
    sequence, there = padded(torch.randn(5, 16), POLICY.longest)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    batch = (torch.rand(2, 10), sequence.expand(2, -1, -1), there.expand(2, -1), torch.randn(2, 16))
    rest = (torch.rand(2, 4, 10), torch.rand(2, len(AHEAD), 10))
    loss(images, *batch, *rest, generator=torch.Generator().manual_seed(0)).backward()
    assert all(parameter.grad is not None for parameter in model.alignment.parameters())
    assert not any(each.grad is not None and each.grad.any() for each in model.vision.parameters())


def test_mixed_skills_keep_their_size_and_resemble_another_video() -> None:
    skills = torch.randn(64, 40, 256, generator=torch.Generator().manual_seed(1))
    there = torch.ones(64, 40, dtype=torch.bool)
    assert mixed(skills, there, 0.0, torch.Generator()) is skills
    torch.testing.assert_close(mixed(skills[:1], there[:1], 2.0, torch.Generator()), skills[:1])
    both = mixed(skills, there, 2.0, torch.Generator().manual_seed(0))
    assert both.var().item() == pytest.approx(1.0, abs=0.05)
    own, other = (both * skills).mean((1, 2)), (both * skills.roll(1, 0)).mean((1, 2))
    assert own.min() < 0.55 < 0.95 < own.max()  # 1 / sqrt(1 + 2^2) where most is mixed in
    torch.testing.assert_close(own**2 + other**2, torch.ones(64), atol=0.2, rtol=0.0)


def test_beyond_the_end_of_either_video_nothing_is_mixed() -> None:
    lengths = torch.tensor([4, 9, 6])
    there = torch.arange(10) < lengths[:, None]
    skills = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(1)) * there[..., None]
    both = mixed(skills, there, 2.0, torch.Generator().manual_seed(0))
    assert not both[~there].any()
    torch.testing.assert_close(both[1, 4:], skills[1, 4:])  # the other, 0, has 4 skills
    assert not torch.allclose(both[1, :4], skills[1, :4])


def test_the_policy_learns_from_what_the_alignment_says() -> None:
    torch.manual_seed(0)
    model = XSkillModel(POLICY)
    sequence, there = padded(torch.randn(5, 16), POLICY.longest)
    shapes = (torch.rand(1, 10), sequence[None], there[None])
    rest = (torch.rand(1, 4, 10), torch.rand(1, len(AHEAD), 10))
    image = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    losses = []
    loss = XSkillLoss(model, XSkillRecipe(readout_weight=0.0))
    model.alignment.forward = lambda *_: torch.ones(1, 16)  # type: ignore[method-assign]
    for due in (torch.ones(1, 16), torch.full((1, 16), 3.0)):
        losses.append(loss(image, *shapes, due, *rest, generator=torch.Generator().manual_seed(0)))
    # Another skill that is due changes the alignment's loss alone: (3 - 1)^2.
    assert (losses[1] - losses[0]).item() == pytest.approx(4.0, abs=1e-4)
