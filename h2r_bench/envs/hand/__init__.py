"""A kinematic human hand with its arm: one smooth skin that follows the tool pose, invisible to physics."""

from h2r_bench.envs.hand.attach import HAND_GROUP, attach_hand
from h2r_bench.envs.hand.hand_model import HandModel, HandPose, turned_is_natural
from h2r_bench.envs.hand.style import SIZES, SLEEVES, TONES, HandStyle

__all__ = [
    "HAND_GROUP",
    "SIZES",
    "SLEEVES",
    "TONES",
    "HandModel",
    "HandPose",
    "HandStyle",
    "attach_hand",
    "turned_is_natural",
]
