"""Start XSkill's policy from Diffusion Policy's: what is seen and done is the same, what is told is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
    from h2r_bench.policies.baselines.xskill.model import XSkillModel

CONTEXT_READERS = ("film.1.weight", "guess.0.weight")
"""Ends of the names of the denoiser's weights that read the context, which comes last in what they read."""


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
        # By name and not by shape: words and skill may be equally wide.
        reads_context = name.endswith(CONTEXT_READERS)
        ours.copy_(_without_words(theirs[name], model, told) if reads_context else theirs[name])


def _without_words(theirs: Tensor, model: XSkillModel, told: DiffusionPolicyModel) -> Tensor:
    """A weight (rows, time or nothing + image + words + state) as (rows, the first two + state + skill)."""
    words, state = told.config.word_width, told.config.state_dim
    skill = model.config.skill_width
    before, seen = theirs[:, : -words - state], theirs[:, -state:]
    return torch.cat([before, seen, theirs.new_zeros((len(theirs), skill))], dim=1)
