"""What a user may ask of the environment: its options and actions, checked, and its preset without images."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from h2r_bench.envs.tasks import CUES
from h2r_bench.types import ACTION_DIM, INSTRUCTION_BYTES, Float32Array, state_space

MAX_SHIFT_CM = 10.0
"""Larger layout shifts would leave the table [cm]."""
MAX_PROPS = 4
"""Most props in a scene: the size of the state preset's `props`."""

ObservationPreset = Literal["image", "state"]
RewardKind = Literal["sparse", "dense"]
RENDER_MODES = ("rgb_array", "human")


def checked_options(options: dict[str, Any] | None) -> tuple[int | None, int | None]:
    """The trial's index and the episode's seed, where they are given. Raises ValueError for anything else."""
    given = dict(options or {})
    numbers = given.pop("trial", None), given.pop("episode", None)
    if given:
        raise ValueError(f"reset takes the options 'trial' and 'episode', got {', '.join(sorted(given))}")
    for name, number in zip(("trial", "episode"), numbers, strict=True):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise ValueError(f"the option {name!r} is a number from 0, got {number!r}")
    return numbers


def checked_action(action: ArrayLike) -> Float32Array:
    """`action` as an array, shape (7,). Raises ValueError for another shape, or what is not finite."""
    array = np.asarray(action, np.float32)
    if array.shape != (ACTION_DIM,):
        raise ValueError(f"an action has shape ({ACTION_DIM},), got {array.shape}")
    if not all(map(math.isfinite, array.tolist())):
        raise ValueError(f"an action must be finite, got {array}")
    return array


def check_arguments(
    cue: str, shift_cm: float, image_size: tuple[int, int], obs: str, reward: str, render_mode: str | None
) -> None:
    """Raise ValueError for a value that `TabletopEnv` does not know or take."""
    if cue not in CUES:
        raise ValueError(f"cue must be one of {', '.join(CUES)}, got {cue!r}")
    if not 0.0 <= shift_cm <= MAX_SHIFT_CM:
        raise ValueError(f"shift_cm must lie in 0..{MAX_SHIFT_CM:g}, got {shift_cm}")
    if len(image_size) != 2 or min(image_size) < 16:
        raise ValueError(f"image_size is (width, height) of at least 16 pixels, got {image_size}")
    if obs not in ("image", "state"):
        raise ValueError(f"obs must be 'image' or 'state', got {obs!r}")
    if reward not in ("sparse", "dense"):
        raise ValueError(f"reward must be 'sparse' or 'dense', got {reward!r}")
    if render_mode not in (None, *RENDER_MODES):
        raise ValueError(f"render_mode must be None, 'rgb_array' or 'human', got {render_mode!r}")


def state_preset_space() -> spaces.Dict:
    """Observation space of the preset without images."""
    return spaces.Dict(
        {
            "state": state_space(),
            "props": spaces.Box(-10.0, 10.0, (MAX_PROPS, 4), np.float32),
            "goal": spaces.Box(-10.0, 10.0, (3,), np.float32),
            "instruction": spaces.Box(0, 255, (INSTRUCTION_BYTES,), np.uint8),
        }
    )
