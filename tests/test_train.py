from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from h2r_bench import train
from h2r_bench.datasets.lock import hold
from h2r_bench.policies.h2r.agent import H2RAgent
from h2r_bench.policies.h2r.config import PRESETS
from h2r_bench.training.data.frames import MAX_LAG, load_frames
from h2r_bench.training.engine.loop import Trainer, TrainingConfig, TrainingStoppedError

from episodes import make_dataset, make_episode
from tiny import TINY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data").root


def run(*words: object) -> int:
    try:
        return train.main([str(word) for word in words])
    except SystemExit as wrong_arguments:
        return int(wrong_arguments.code or 0)


def test_every_stage_end_to_end(tmp_path: Path, data: Path) -> None:
    vae, one, two, decoder, out = (tmp_path / name for name in ("vae", "one", "two", "decoder", "packed"))
    common = ("--data", data, "--preset", "tiny", "--steps", 3)
    batch = ("--clips", 2, "--frames", 4)
    assert run("vae", *common, "--out", vae, "--batch", 4) == 0
    assert run("vpm", *common, "--out", one, "--vae", vae, *batch) == 0
    assert run("vpm", *common, "--out", two, "--stage", 2, "--init", one, *batch) == 0
    assert run("decoder", *common, "--out", decoder, "--vpm", two, "--clips", 6, "--batch", 3) == 0
    assert (
        run("probe", "--data", data, "--held", data, "--vpm", two, "--out", two, "--clips", 8, "--steps", 5)
        == 0
    )
    assert json.loads((two / "probe.json").read_text())["held"]["frames"] == 32
    sight = ("--held", data, "--features", "resnet18", "--out", out / "sight", "--clips", 8, "--steps", 2)
    assert run("probe", "--data", data, "--vpm", two, *sight) == 0
    assert json.loads((out / "sight" / "probe.json").read_text())["held"]["frames"] == 32
    assert run("pack", "--vpm", two, "--decoder", decoder, "--out", out, "--execute", 2) == 0

    agent = H2RAgent.from_pretrained(out)
    episode = make_episode()
    observation = {"image": episode.robot[0], "state": episode.state[0], "human_clip": episode.human}
    assert agent.predict(observation)[0].shape == (7,)
    assert agent.world == 1
    assert [entry["steps"] for entry in agent.manifest["runs"]] == [3, 3, 3, 2]
    assert agent.manifest["runs"][-1]["reader"]["steps"] == 1
    assert [len(entry["losses"]["loss"]) for entry in agent.manifest["runs"]] == [3, 3, 3, 2]
    readme = (out / "README.md").read_text()
    assert f"| `{decoder}`, frame reader | 1 |" in readme
    assert f"python -m h2r_bench.train vpm --data {data}" in readme
    assert "python -m h2r_bench.collect" in readme
    assert len((one / "loss.jsonl").read_text().splitlines()) == 3


def test_stage_two_trains_the_temporal_layers_alone(tmp_path: Path, data: Path) -> None:
    vae, one, two = (tmp_path / name for name in ("vae", "one", "two"))
    common = ("--data", data, "--preset", "tiny", "--steps", 2, "--out")
    run("vae", *common, vae)
    run("vpm", *common, one, "--vae", vae, "--clips", 2)
    run("vpm", *common, two, "--stage", 2, "--init", one, "--clips", 2, "--frames", 4)
    before, after = (load_file(folder / "st_unet.safetensors") for folder in (one, two))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    new = [name for name in after if name not in before]
    assert new
    assert all("motion_modules" in name for name in new)


def test_a_second_stage_goes_on_from_earlier_temporal_layers_and_a_first_leaves_them_out(
    tmp_path: Path, data: Path
) -> None:
    vae, one, two, three, four = (tmp_path / name for name in ("vae", "one", "two", "three", "four"))
    common = ("--data", data, "--preset", "tiny", "--clips", 2, "--frames", 4, "--repaint", 0.5, "--out")
    run("vae", "--data", data, "--preset", "tiny", "--steps", 1, "--out", vae)
    assert run("vpm", *common, one, "--vae", vae, "--steps", 1) == 0
    assert run("vpm", *common, two, "--stage", 2, "--init", one, "--steps", 3, "--lr", 0.1) == 0
    again = ("--stage", 2, "--init", one, "--temporal", two, "--steps", 1, "--lr", 1e-9, "--lr-others", 1e-9)
    assert run("vpm", *common, three, *again) == 0
    earlier, later = (load_file(folder / "st_unet.safetensors") for folder in (two, three))
    assert all(torch.allclose(value, later[name], atol=1e-6) for name, value in earlier.items())
    assert run("vpm", *common, four, "--stage", 2, "--init", one, "--temporal", one, "--steps", 1) == 2
    assert run("vpm", *common, four, "--init", two, "--steps", 1, "--compare", "--same-view") == 0
    shown = [json.loads((folder / "vpm.json").read_text())["config"] for folder in (two, four)]
    assert [config["same_view"] for config in shown] == [False, True]
    assert not any("motion_modules" in name for name in load_file(four / "st_unet.safetensors"))


@pytest.mark.parametrize("checkpoint", ["last", "swap", "signal"])
def test_resuming_gives_the_weights_of_an_uninterrupted_run(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: str
) -> None:
    def command(out: str) -> tuple[object, ...]:
        return (
            "vae",
            "--data",
            data,
            "--preset",
            "tiny",
            "--steps",
            6,
            "--batch",
            4,
            "--out",
            tmp_path / out,
        )

    assert run(*command("whole")) == 0
    advance = Trainer._advance

    def interrupted(self: Trainer, batch: tuple[torch.Tensor, ...]) -> float:
        if checkpoint == "signal":
            if self.step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return advance(self, batch)
        if self.step == 3:
            self.save()
        if self.step == 4:
            raise KeyboardInterrupt
        return advance(self, batch)

    monkeypatch.setattr(Trainer, "_advance", interrupted)
    assert run(*command("parts")) == 130
    if checkpoint == "signal":
        progress = json.loads((tmp_path / "parts" / "checkpoint" / "progress.json").read_text())
        assert progress["step"] == 3
    monkeypatch.setattr(Trainer, "_advance", advance)
    if checkpoint == "swap":
        (tmp_path / "parts" / "checkpoint").rename(tmp_path / "parts" / "checkpoint.old")
    assert run(*command("parts")) == 0
    whole, parts = (load_file(tmp_path / name / "vae.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "parts" / "loss.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    class NoNumber(torch.nn.Linear):
        def forward(self, batch: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
            return super().forward(batch).sum() * float("nan")

    trainer = Trainer(NoNumber(1, 1), TrainingConfig(steps=3), tmp_path)
    trainer.save()
    with pytest.raises(TrainingStoppedError, match="step 0"):
        trainer.run(lambda _: (torch.ones(1, 1),), "test")
    assert (tmp_path / "checkpoint" / "weights.safetensors").is_file()


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path, data: Path) -> None:
    words = ("vae", "--preset", "tiny", "--data", data, "--out", tmp_path / "vae", "--steps", 1, "--cpu")
    with hold(tmp_path / "vae"):
        assert run(*words) == 2
    assert not (tmp_path / "vae" / "checkpoint").exists()
    assert run(*words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vae", "--preset", "compakt", "--steps", "1"), "Did you mean 'compact'"),
        (("vae", "--preset", "compact", "--steps", "1"), "holds images of"),
        (("vae", "--preset", "tiny"), "how long to train"),
        (("vae", "--preset", "tiny", "--steps", "0"), "--steps must be at least 1"),
        (("vpm", "--steps", "1"), "needs --vae"),
        (("vpm", "--steps", "1", "--stage", "2"), "needs --init"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert run(*words, "--data", data, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_a_run_goes_on_only_with_the_same_settings(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("vae", "--data", data, "--preset", "tiny", "--out", tmp_path / "vae")
    assert run(*common, "--steps", 1) == 0
    assert run(*common, "--steps", 2) == 0
    assert run(*common, "--steps", 2, "--lr", "0.1") == 2
    assert "other settings (loop)" in capsys.readouterr().err


def test_clips_are_in_time_and_stay_in_their_episode(data: Path) -> None:
    frames = load_frames(data, (32, 32))
    clips = frames.clips(np.random.default_rng(0), 200, 4)
    np.testing.assert_array_equal(clips.human, clips.robot)
    assert (np.diff(clips.human, axis=1) <= 1).all()
    assert (clips.human // 12 == clips.reference[:, None] // 12).all()
    lag = clips.human[:, 0] - clips.reference
    assert set(lag) == set(range(MAX_LAG + 1))
    assert (np.diff(frames.actions_after(np.array([11]), 4), axis=1) == 0).all()
    spread = frames.clips(np.random.default_rng(0), 200, 4, span=8)
    assert (spread.ahead[:, 0] == 0).all()
    assert set(spread.ahead[:, 1:].ravel()) == set(range(8))
    ahead = frames.clips(np.random.default_rng(0), 200, 4, span=8, max_lag=0, now=False)
    assert set(ahead.ahead.ravel()) == set(range(1, 8))
    assert (ahead.reference <= ahead.robot[:, 0]).all()


def test_clips_of_a_share_begin_early(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h2r_bench.training.data.frames.EARLY", 3)  # episodes here have 12 frames
    frames = load_frames(data, (32, 32))
    for share, expected in ((0.0, 0.25), (0.5, 0.625), (1.0, 1.0)):
        begin = frames.clips(np.random.default_rng(0), 4000, 2, max_lag=0, early=share).reference % 12
        assert (begin < 3).mean() == pytest.approx(expected, abs=0.05)


def test_videos_are_decoded_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_frames(data, (32, 32))
    monkeypatch.setattr("h2r_bench.training.data.frames.write_pictures", None)
    np.testing.assert_array_equal(load_frames(data, (32, 32)).robot[:], first.robot[:])
