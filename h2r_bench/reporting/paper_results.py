"""Table 1 of the Human2Robot paper as data: success rates [%] of 20 trials a cell on the authors' robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TRIALS = 20
"""Trials behind each of the paper's cells."""


@dataclass(frozen=True)
class Half:
    """One half of Table 1."""

    key: str
    title: str
    columns: Mapping[str, str]
    """Task to heading, in the paper's order."""
    average: bool
    """Whether the paper prints an average."""


BASIC = Half(
    "basic",
    "Basic tasks",
    {"push_pull": "push & pull", "pick_place": "pick & place", "rotation": "rotation"},
    average=True,
)
GENERALIZATION = Half(
    "generalization",
    "Generalization",
    {
        "appearance_gen": "appearance",
        "position_gen": "position",
        "instance_gen": "instance",
        "background_gen": "background",
        "combination_gen": "combination",
        "brand_new": "brand-new",
    },
    average=False,
)
HALVES = (BASIC, GENERALIZATION)

TITLES: Mapping[str, str] = {**BASIC.columns, **GENERALIZATION.columns}
"""Task to the paper's name of it."""

LABELS: Mapping[str, str] = {
    "diffusion_policy": "Diffusion Policy",
    "xskill": "XSkill",
    "vpp": "VPP",
    "human_decoder": "Action decoder with human video",
    "h2r_no_pretrain": "H2R without pretraining",
    "h2r_knn": "H2R with KNN",
    "h2r": "H2R",
}
"""Policy to the paper's name of it, in the paper's order."""


def _half(half: Half, **rates: tuple[int, ...]) -> dict[tuple[str, str], int]:
    """(policy, task) to rate [%] from one tuple a policy, in the order of the columns."""
    return {
        (policy, task): rate
        for policy, values in rates.items()
        for task, rate in zip(half.columns, values, strict=True)
    }


RATES: Mapping[tuple[str, str], int] = {
    **_half(
        BASIC,
        diffusion_policy=(50, 20, 15),
        xskill=(70, 40, 50),
        vpp=(95, 70, 75),
        human_decoder=(50, 10, 10),
        h2r_no_pretrain=(20, 10, 0),
        h2r_knn=(90, 75, 80),
        h2r=(100, 90, 95),
    ),
    **_half(
        GENERALIZATION,
        xskill=(0, 20, 0, 0, 0, 0),
        vpp=(80, 50, 0, 0, 0, 0),
        h2r=(100, 80, 70, 80, 50, 70),
    ),
}
"""(policy, task) to success rate [%]; what the paper did not measure is missing."""

AVERAGES: Mapping[str, int] = {
    "diffusion_policy": 28,
    "xskill": 53,
    "vpp": 80,
    "human_decoder": 23,
    "h2r_no_pretrain": 10,
    "h2r_knn": 82,
    "h2r": 95,
}
"""Policy to the average over the basic tasks as the paper rounds it [%]."""
