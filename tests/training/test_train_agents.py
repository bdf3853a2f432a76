"""Training commands of what acts, end to end on synthetic episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from h2r_bench import train
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.policies.common.checkpoints import WeightsDamagedError
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.config import PRESETS
from h2r_bench.policies.h2r.encoders import resnet
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.training.data.frames import load_frames
from h2r_bench.types import Demonstration, encode_instruction

from episodes import make_dataset, make_episode
from tiny import TINY
from tiny_agents import TINY_RESNET

TASKS = ("push_pull", "writing_play")
STEPS = 2


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    monkeypatch.setattr(resnet, "SIZES", TINY_RESNET)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "data", episodes=4, tasks=TASKS).root


@pytest.fixture(scope="module")
def vpm(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The run of a VPM, of two steps."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY)
        common = ("--data", data, "--preset", "tiny", "--steps", STEPS)
        assert run("vae", *common, "--out", out / "vae", "--batch", 4) == 0
        assert run("vpm", *common, "--out", out / "vpm", "--vae", out / "vae", "--clips", 2) == 0
    return out / "vpm"


def run(*words: object) -> int:
    try:
        return train.main([str(word) for word in words])
    except SystemExit as wrong_arguments:
        return int(wrong_arguments.code or 0)


@pytest.fixture(scope="module")
def vpp(vpm: Path, data: Path) -> Path:
    """The run of a VPM that is told the task, of two steps."""
    out = vpm.parent / "vpp"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY)
        common = ("--data", data, "--preset", "tiny", "--steps", STEPS)
        assert run("vpp", *common, "--out", out, "--vae", vpm.parent / "vae", "--clips", 2) == 0
    return out


def act(folder: Path, name: str, domain: str = "basic") -> np.ndarray:
    agent = AGENTS.get(name).load(folder)
    episode = make_episode(7)
    agent.reset(Demonstration(episode.human, 10.0, "", domain=domain), "", 0)
    clip = np.concatenate([episode.human] * 3)[:30]
    action: np.ndarray = agent.predict(
        {
            "image": episode.robot[0],
            "state": episode.state[0],
            "human_clip": clip,
            "instruction": encode_instruction(episode.instruction),
        }
    )[0]
    assert np.isfinite(action).all()
    return action


@pytest.mark.parametrize(
    ("encoder", "agent"),
    [
        ("vpm", "h2r"),
        ("vpp", "vpp"),
        ("untrained", "h2r_no_pretrain"),
        ("untrained_seeing", "h2r_no_pretrain_seeing"),
        ("resnet18", "human_decoder"),
        ("time", "blind"),
    ],
)
def test_a_decoder_for_each_domain(
    tmp_path: Path, data: Path, vpm: Path, vpp: Path, encoder: str, agent: str
) -> None:
    source = vpp if encoder == "vpp" else vpm
    behind = ("--vpm", source) if encoder in ("vpm", "vpp", "untrained", "untrained_seeing") else ()
    common = ("decoder", "--data", data, "--preset", "tiny", "--steps", STEPS, "--batch", 2, "--clips", 4)
    runs = [tmp_path / domain for domain in ("basic", "writing")]
    for out, task in zip(runs, TASKS, strict=True):
        assert run(*common, "--out", out, "--encoder", encoder, *behind, "--tasks", task) == 0
    packed = tmp_path / "packed"
    mine = ("--vpm", source) if encoder in ("vpm", "vpp") else ()
    assert run("pack", "--decoder", *runs, *mine, "--out", packed, "--execute", 2) == 0
    manifest = json.loads((packed / "manifest.json").read_text())
    assert manifest["domains"] == {"basic": ".", "writing": "writing"}
    assert {run["config"]["encoder"] for run in manifest["runs"][-2:]} == {encoder}
    assert not np.array_equal(act(packed, agent), act(packed, agent, "writing"))
    assert f"--decoder {runs[0]} {runs[1]}" in (packed / "README.md").read_text()
    if encoder.startswith("untrained"):
        assert not (packed / "st_unet.safetensors").exists()
    assert run("pack", "--decoder", runs[0], *mine, "--out", packed, "--execute", 2) == 0
    assert not (packed / "writing" / "decoder.safetensors").exists()


def test_a_decoder_goes_on_from_an_earlier_one(tmp_path: Path, data: Path, vpm: Path) -> None:
    common = ("decoder", "--data", data, "--preset", "tiny", "--batch", 2, "--clips", 4, "--vpm", vpm)
    mine, packed = ("--tasks", "push_pull"), tmp_path / "packed"
    still = ("--steps", 1, "--lr", 1e-9, "--lr-others", 1e-9, "--reader-share", 0)
    assert run(*common, *mine, "--steps", STEPS, "--out", tmp_path / "first") == 0
    assert run(*common, *mine, *still, "--out", tmp_path / "again", "--init", tmp_path / "first") == 0
    first, again = (ActionDecoder.load(tmp_path / name).state_dict() for name in ("first", "again"))
    for key, value in first.items():
        torch.testing.assert_close(value, again[key], atol=1e-5, rtol=0)
    assert run("pack", "--vpm", vpm, "--decoder", tmp_path / "again", "--out", packed, "--execute", 2) == 0
    readme = (packed / "README.md").read_text()
    assert readme.index(f"--out {tmp_path / 'first'}") < readme.index(f"--out {tmp_path / 'again'}")
    assert run(*common, *mine, *still, "--out", tmp_path / "third", "--init", packed) == 0
    commands = [
        each["command"] for each in json.loads((tmp_path / "third" / "run.json").read_text())["initial"]
    ]
    assert len(commands) == 1
    assert str(tmp_path / "again") in commands[0]
    assert run(*common, "--tasks", "writing_play", *still, "--out", tmp_path / "no", "--init", packed) == 2
    assert run(*common, *mine, *still, "--out", tmp_path / "no", "--init", tmp_path / "nowhere") == 2


def test_the_reader_learns_first_and_then_stays(tmp_path: Path, data: Path, vpm: Path) -> None:
    common = ("decoder", "--data", data, "--preset", "tiny", "--batch", 2, "--clips", 4, "--vpm", vpm)
    for steps in (4, 8):
        out = tmp_path / str(steps)
        split = ("--steps", steps, "--reader-share", 2 / steps, "--reader-batch", 3)
        assert run(*common, *split, "--out", out, "--tasks", "push_pull") == 0
        assert len((out / "reader" / "loss.jsonl").read_text().splitlines()) == 2
        assert len((out / "loss.jsonl").read_text().splitlines()) == steps - 2
    short, long = (ActionDecoder.load(tmp_path / str(steps)).former for steps in (4, 8))
    assert short.reader is not None
    assert long.reader is not None
    for key, value in short.reader.state_dict().items():
        assert torch.equal(value, long.reader.state_dict()[key]), key
    assert not torch.equal(short.project.weight, long.project.weight)


def test_an_encoder_learns_only_where_it_says_so(tmp_path: Path, data: Path) -> None:
    common = ("decoder", "--data", data, "--preset", "tiny", "--batch", 2, "--tasks", "push_pull")
    for steps in (1, 3):
        out = tmp_path / str(steps)
        assert run(*common, "--steps", steps, "--out", out, "--encoder", "resnet18") == 0
    before, after = (resnet.ResNetEncoder.load(tmp_path / str(steps)).state_dict() for steps in (1, 3))
    assert all(not torch.equal(value, after[key]) for key, value in before.items() if "weight" in key)


def test_an_encoder_that_learns_with_its_decoder_goes_on_with_it(tmp_path: Path, data: Path) -> None:
    common = ("decoder", "--data", data, "--preset", "tiny", "--batch", 2, "--encoder", "resnet18")
    first, still = tmp_path / "first", ("--steps", 1, "--lr", 1e-9, "--lr-others", 1e-9, "--warmup", 0)
    assert run(*common, "--tasks", "push_pull", "--steps", 2, "--out", first) == 0
    on = (*common, *still, "--tasks", "writing_play", "--init", first)
    assert run(*on, "--out", tmp_path / "on") == 0
    before, after = (
        dict(resnet.ResNetEncoder.load(each).named_parameters()) for each in (first, tmp_path / "on")
    )
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=0, atol=1e-6)
    assert run(*on, "--out", tmp_path / "no", "--imagenet", tmp_path) == 2


def test_pretrained_resnets_are_taken_over(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(5)
    model = transformers.ResNetModel(transformers.ResNetConfig(**TINY_RESNET))
    model.save_pretrained(tmp_path)
    made = resnet.ResNetEncoder.create(TINY, resnet.Sources(imagenet=str(tmp_path)), 0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, made.network.state_dict()[key])


def test_an_untrained_model_is_drawn_again_or_refused(tmp_path: Path, data: Path, vpm: Path) -> None:
    from h2r_bench.policies.h2r.encoders.base import Sources
    from h2r_bench.policies.h2r.encoders.untrained import RECORD, SeeingUntrainedEncoder

    made = SeeingUntrainedEncoder.create(TINY, Sources(vpm=vpm), 4)
    made.save(tmp_path)
    again = SeeingUntrainedEncoder.load(tmp_path)
    for key, value in made.vpm.state_dict().items():
        assert torch.equal(value, again.vpm.state_dict()[key])
    trained = VideoPredictionModel.load(vpm)
    assert torch.equal(again.vpm.vae.scale, trained.vae.scale)
    assert not torch.equal(again.vpm.s_unet.conv_in.weight, trained.s_unet.conv_in.weight)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps({**record, "seed": 5}))
    with pytest.raises(WeightsDamagedError, match="other initial parameters"):
        SeeingUntrainedEncoder.load(tmp_path)


def test_the_last_digits_of_a_draw_are_the_processors() -> None:
    from h2r_bench.policies.h2r.encoders.untrained import same_draw

    values = {"conv.weight": 0.1234567, "conv.bias": -0.5}
    assert same_draw(values, {name: value + 3e-7 for name, value in values.items()})
    assert not same_draw(values, {**values, "conv.bias": -0.501})
    assert not same_draw(values, {"conv.weight": 0.1234567})


def test_the_hand_tracker(tmp_path: Path, data: Path) -> None:
    common = ("--data", data, "--preset", "tiny", "--steps", 40, "--batch", 16, "--width", 16)
    assert run("hand", *common, "--out", tmp_path / "hand") == 0
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "hand" / "loss.jsonl").read_text().splitlines()
    ]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert run("pack", "--hand", tmp_path / "hand", "--out", tmp_path / "packed", "--execute", 4) == 0
    assert act(tmp_path / "packed", "hand_tracker").shape == (7,)
    assert f"pack --hand {tmp_path / 'hand'}" in (tmp_path / "packed" / "README.md").read_text()


def test_the_scene_reader_learns_the_path(tmp_path: Path, data: Path) -> None:
    common = ("--data", data, "--preset", "tiny", "--tasks", "push_pull", "--width", 16, "--batch", 8)
    assert run("scene", *common, "--steps", 120, "--out", tmp_path) == 0
    losses = [json.loads(line)["loss"] for line in (tmp_path / "loss.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_gallery(tmp_path: Path, data: Path, vpm: Path) -> None:
    common = ("--data", data, "--preset", "tiny", "--steps", STEPS, "--clips", 4, "--batch", 2)
    assert run("decoder", *common, "--out", tmp_path / "d", "--vpm", vpm, "--tasks", "push_pull") == 0
    assert run("pack", "--vpm", vpm, "--decoder", tmp_path / "d", "--out", tmp_path / "h2r") == 2
    agent = ("--vpm", vpm, "--decoder", tmp_path / "d", "--out", tmp_path / "h2r", "--execute", 2)
    assert run("pack", *agent) == 0
    scene = ("--data", data, "--preset", "tiny", "--tasks", "push_pull", "--width", 16, "--batch", 4)
    assert run("scene", *scene, "--steps", STEPS, "--out", tmp_path / "scene") == 0
    like = ("--scene", tmp_path / "scene")
    build = ("knn", "--data", data, "--agent", tmp_path / "h2r", *like, "--episodes", 2, "--votes", 1)
    assert run(*build, "--out", tmp_path / "knn", "--tasks", "push_pull") == 0
    knn = AGENTS.get("h2r_knn").load(tmp_path / "knn")
    assert sorted(entry.episode for entry in knn.retrievals["basic"].gallery.entries) == [0, 2]
    assert act(tmp_path / "knn", "h2r_knn").shape == (7,)
    assert run(*build, "--out", tmp_path / "other", "--tasks", "rotation") == 2
    assert run(*build, "--out", tmp_path / "other", "--tasks", "writing_play") == 2
    assert (
        run("decoder", *common, "--out", tmp_path / "e", "--vpm", vpm, "--tasks", "push_pull", "--seed", 1)
        == 0
    )
    assert (
        run("pack", "--vpm", vpm, "--decoder", tmp_path / "e", "--out", tmp_path / "h2r", "--execute", 2) == 0
    )
    with pytest.raises(WeightsDamagedError, match="made for other weights"):
        AGENTS.get("h2r_knn").load(tmp_path / "knn")


def test_a_gallery_of_another_domain_is_added(
    tmp_path: Path, data: Path, vpm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--data", data, "--preset", "tiny")
    decoder = ("decoder", *common, "--steps", STEPS, "--clips", 4, "--batch", 2, "--vpm", vpm)
    for task in TASKS:
        assert run(*decoder, "--out", tmp_path / task, "--tasks", task) == 0
        reader = ("scene", *common, "--steps", STEPS, "--width", 16, "--batch", 4, "--tasks", task)
        assert run(*reader, "--out", tmp_path / f"scene_{task}") == 0
    h2r, knn = tmp_path / "h2r", tmp_path / "knn"
    packing = ("pack", "--vpm", vpm, "--out", h2r, "--execute", 2, "--decoder")
    assert run(*packing, *(tmp_path / task for task in TASKS)) == 0

    def build(task: str, episodes: int = 2) -> int:
        mine = ("--tasks", task, "--scene", tmp_path / f"scene_{task}", "--episodes", episodes)
        return run("knn", "--data", data, "--agent", h2r, *mine, "--out", knn, "--votes", 1)

    def manifest() -> dict[str, Any]:
        read: dict[str, Any] = json.loads((knn / "manifest.json").read_text())
        return read

    assert build("push_pull") == 0
    basic = manifest()
    assert build("writing_play") == 0
    both = manifest()
    assert both["domains"] == {"basic": ".", "writing": "writing"}
    assert both["galleries"]["basic"] == basic["galleries"]["basic"]
    assert "--tasks writing_play" in both["galleries"]["writing"]["command"]
    assert both["galleries"]["writing"]["reader"][-1]["steps"] == STEPS
    assert both["files"].items() > basic["files"].items()
    assert not np.array_equal(act(knn, "h2r_knn"), act(knn, "h2r_knn", "writing"))
    # Made anew, a gallery replaces its own files alone.
    assert build("push_pull", episodes=1) == 0
    changed = {name for name, entry in manifest()["files"].items() if entry != both["files"][name]}
    assert changed == {"gallery.json", "gallery.mp4", "gallery.safetensors"}
    assert (
        run("knn", "--data", data, "--agent", h2r, "--out", h2r, "--scene", tmp_path / "scene_push_pull") == 2
    )
    assert "holds weights of another kind" in said(capsys)
    assert run(*packing, tmp_path / "push_pull") == 0
    assert build("writing_play") == 2
    assert "has no decoder for the domain writing" in said(capsys)
    assert build("push_pull") == 2
    assert "the gallery of writing of another agent" in said(capsys)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_clips_of_chosen_tasks_only(data: Path) -> None:
    frames = load_frames(data, (32, 32))
    frames.only(("writing_play",))
    clips = frames.clips(np.random.default_rng(0), 100, 4)
    assert {frames.tasks[row] for row in (clips.human // 12).ravel()} == {"writing_play"}
    assert (frames.steps(clips.human) == clips.human % 12).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tasks", "pik_place"), "Did you mean 'pick_place'"),
        (("--tasks", "rotation"), "no episodes of rotation, only of push_pull, writing_play"),
        (("--tasks", "push_pull", "writing_play"), "these are of basic and writing"),
        (("--encoder", "vpm"), "needs --vpm"),
        (("--encoder", "untrained"), "needs --vpm"),
    ],
)
def test_bad_decoder_input_is_named(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    common = ("decoder", "--data", data, "--out", tmp_path / "out", "--preset", "tiny", "--steps", 1)
    assert run(*common, "--encoder", "time", *words) == 2
    assert message in capsys.readouterr().err


def test_decoders_that_do_not_belong_together_are_refused(
    tmp_path: Path, data: Path, vpm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("decoder", "--data", data, "--preset", "tiny", "--steps", 1, "--batch", 2, "--clips", 2)
    runs = {"a": ("time", "push_pull"), "b": ("time", "push_pull"), "c": ("resnet18", "writing_play")}
    for name, (encoder, task) in runs.items():
        assert run(*common, "--out", tmp_path / name, "--encoder", encoder, "--tasks", task) == 0
    cases = {"ab": "one decoder for each training domain", "ac": "behind one and the same encoder"}
    for pair, message in cases.items():
        assert run("pack", "--out", tmp_path / "p", "--decoder", *(tmp_path / name for name in pair)) == 2
        assert message in capsys.readouterr().err
    assert run("pack", "--out", tmp_path / "p") == 2
    assert run("decoder", *common[1:], "--out", tmp_path / "v", "--vpm", vpm, "--tasks", "push_pull") == 0
    capsys.readouterr()
    assert run("pack", "--out", tmp_path / "p", "--decoder", tmp_path / "v") == 2
    assert "needs --vpm" in capsys.readouterr().err
