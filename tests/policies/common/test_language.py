from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from h2r_bench.policies.common import language
from h2r_bench.policies.common.config import CLIP_TEXT, MINILM, LanguageConfig
from h2r_bench.policies.common.language import SentenceEncoder, sentence_encoder
from h2r_bench.types import encode_instruction

from folders import sentence_folder

if TYPE_CHECKING:
    from pathlib import Path

PUSH, PULL, PLACE = (
    "Push the cup onto the red mat.",
    "Pull the cup onto the red mat.",
    "Put the pen on the plate.",
)


def test_minilm_tells_instructions_apart() -> None:
    encoder = sentence_encoder(MINILM)
    push, pull, place = encoder.embed([PUSH, PULL, PLACE])
    assert push.shape == (384,)
    torch.testing.assert_close(push.norm(), torch.tensor(1.0))
    assert push @ pull > push @ place
    assert (push - pull).norm() > 0.1


def test_a_sentence_does_not_depend_on_those_beside_it() -> None:
    alone = SentenceEncoder(MINILM).embed([PUSH])[0]
    assert torch.equal(SentenceEncoder(MINILM).embed([PLACE, "x", PUSH])[2], alone)
    codes = np.stack([encode_instruction(text) for text in (PLACE, PUSH)])
    for observed in (codes, torch.from_numpy(codes)):
        assert torch.equal(SentenceEncoder(MINILM).embed_codes(observed)[1], alone)


def test_a_sentence_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(language, "_tower", lambda *_: lambda text: calls.append(text) or torch.ones(384))
    encoder = SentenceEncoder(MINILM)
    encoder.embed([PUSH, PULL, PUSH])
    encoder.embed([PULL])
    assert calls == [PUSH, PULL]


@pytest.mark.parametrize("kind", ["minilm", "clip"])
def test_towers_are_read_from_folders(tmp_path: Path, kind: str) -> None:
    sentence_folder(tmp_path, kind)
    vectors = SentenceEncoder(LanguageConfig(kind, str(tmp_path), 12)).embed(["push it", "pull it"])  # type: ignore[arg-type]
    assert vectors.shape == (2, 12)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert not torch.equal(vectors[0], vectors[1])
    with pytest.raises(ValueError, match="embeds in 12 dimensions, 384 are wanted"):
        SentenceEncoder(LanguageConfig(kind, str(tmp_path))).embed(["push it"])  # type: ignore[arg-type]


def test_the_extra_that_brings_all_of_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    language._tower.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"h2r-bench\[language\]"):
        SentenceEncoder(MINILM).load()


def test_the_papers_encoder_is_that_of_clip_vit_l_14() -> None:
    assert (CLIP_TEXT.kind, CLIP_TEXT.width) == ("clip", 768)
