from __future__ import annotations

import json
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from h2r_bench import predict
from h2r_bench.datasets.h264 import read_video
from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.policies.common.config import MINILM
from h2r_bench.policies.h2r.encoders.base import LanguageVPMEncoder
from h2r_bench.policies.h2r.language_conditioning import conditioning as guide
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.training.diagnostics import prediction
from h2r_bench.types import encode_instruction
from h2r_bench.video_metrics.similarity import likeness

from tiny import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def test_likeness_of_known_clips() -> None:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    same = likeness(clip, clip)
    assert same.psnr == 100.0
    assert same.ssim == pytest.approx(1.0)
    # An error of 10 everywhere: 20 log10(255 / 10).
    flat = np.full_like(clip, 100)
    assert likeness(flat + 10, flat).psnr == pytest.approx(28.13, abs=0.01)
    assert likeness(255 - clip, clip).ssim < 0
    with pytest.raises(ValueError, match="equal shape"):
        likeness(clip, clip[:2])


def test_the_command_writes_picture_film_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    VideoPredictionModel(TINY.vpm).save(tmp_path / "vpm")
    arguments = [
        "--weights",
        str(tmp_path / "vpm"),
        "--out",
        str(tmp_path),
        "--steps",
        "1",
        "2",
        "--episodes",
        "2",
    ]
    assert predict.main(arguments) == 0
    told = capsys.readouterr().out
    assert "1 step " in told
    assert prediction.STAYS in told
    first = (tmp_path / "pick_place_0.png").read_bytes()
    assert iio.imread(tmp_path / "pick_place_0.png").shape[0] == 4 * 32
    assert read_video(tmp_path / "pick_place_0.mp4").shape == (TINY.vpm.frames, 32, 4 * 32, 3)
    record = json.loads((tmp_path / "pick_place_0.json").read_text())
    assert record["episodes"] == 2
    assert record["2 steps"]["psnr"] > 0
    assert predict.main(arguments) == 0
    assert (tmp_path / "pick_place_0.png").read_bytes() == first


def test_a_model_that_is_told_the_task_is_shown_without_a_human(tmp_path: Path) -> None:
    told = VideoPredictionModel(TINY.vpm).with_words(MINILM)
    told.save(tmp_path / "vpm")
    words = ["--weights", str(tmp_path / "vpm"), "--out", str(tmp_path), "--steps", "1"]
    assert predict.main(words) == 0
    assert iio.imread(tmp_path / "pick_place_0.png").shape[0] == 2 * 32
    encoder = prediction.load(tmp_path / "vpm")
    assert isinstance(encoder, LanguageVPMEncoder)
    seen: list[Tensor] = []
    encoder.vpm.generate = lambda guide, *_: seen.append(guide) or torch.zeros(1, 4, 32, 32, 3)  # type: ignore[method-assign]
    episode = record_episode("pick_place", 0, image_size=(32, 32))
    prediction.imagine(encoder, episode, prediction.PredictConfig(steps=(1,)))
    wanted = guide(MINILM, encode_instruction(episode.instruction)[None], np.arange(4)[None])
    torch.testing.assert_close(seen[0], wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "pick_plaice"], "Did you mean 'pick_place'"),
        (["--steps", "0"], "at least 1"),
        (["--start", "1.5"], "share of the episode"),
        (["--weights", "/nowhere"], "/nowhere"),
        (["--policy", "blind"], "blind has no video prediction model"),
        (["--policy", "vppp"], "Did you mean 'vpp'"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    try:
        status = predict.main([*words, "--out", str(tmp_path)])
    except SystemExit as wrong_arguments:
        status = int(str(wrong_arguments.code))
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())
