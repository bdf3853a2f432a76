"""Start XSkill's policy from Diffusion Policy's: what is seen and done is the same, what is told is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from h2r_bench.policies.rivals.diffusion_policy import DiffusionPolicyModel
    from h2r_bench.policies.rivals.xskill import XSkillModel


def start_from_told(model: XSkillModel, told: DiffusionPolicyModel) -> None:
    """Give `model` the visual encoder, the denoiser and the range of positions of `told`.

    Layers that read the context lose the columns of the words and read nothing, at first, from the skill.
    The alignment stays as it is. Raises ValueError for other sizes.
    """
    for part in ("vision", "unet", "state_dim"):
        if getattr(told.config, part) != getattr(model.config, part):
            raise ValueError(f"--told holds a Diffusion Policy of other sizes: its {part} differs")
    model.normalizer.load_state_dict(told.normalizer.state_dict())
    model.vision.load_state_dict(told.vision.state_dict())
    theirs = told.policy.state_dict()
    for name, ours in model.policy.state_dict().items():
        value = theirs[name]
        ours.copy_(value if value.shape == ours.shape else _without_words(value, ours, model, told))


def _without_words(theirs: Tensor, ours: Tensor, model: XSkillModel, told: DiffusionPolicyModel) -> Tensor:
    """Columns of (time or nothing, image, words, state) as (time or nothing, image, state, skill)."""
    words, state = told.config.word_width, told.config.state_dim
    skill = model.config.skill_width
    before, seen = theirs[:, : -words - state], theirs[:, -state:]
    assert before.shape[1] + state + skill == ours.shape[1]
    return torch.cat([before, seen, theirs.new_zeros((len(theirs), skill))], dim=1)
