"""Training commands of the baselines, end to end on synthetic episodes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from h2r_bench import train
from h2r_bench.policies.baselines.diffusion_policy import config as diffusion_policy
from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.baselines.xskill import config as xskill
from h2r_bench.policies.baselines.xskill.model import XSkillModel
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.policies.h2r.config import PRESETS
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.training.data.frames import Frames, load_frames
from h2r_bench.training.engine.loop import Trainer, TrainingConfig
from h2r_bench.training.objectives.warm_start import start_from_told
from h2r_bench.training.objectives.xskill_training import SkillRecipe, draw_videos, robot_skills, train_skills
from h2r_bench.types import Demonstration, encode_instruction

from episodes import make_dataset, make_episode
from tiny import TINY, TINY_DIFFUSION_POLICY, TINY_XSKILL

TASKS = ("push_pull", "writing_play")
STEPS = 12
"""Of an episode."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    monkeypatch.setitem(diffusion_policy.PRESETS, "tiny", TINY_DIFFUSION_POLICY)
    monkeypatch.setitem(xskill.PRESETS, "tiny", TINY_XSKILL)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "data", episodes=4, tasks=TASKS).root


@pytest.fixture
def frames(data: Path) -> Frames:
    return load_frames(data, (32, 32))


def run(*words: object) -> int:
    try:
        return train.main([str(word) for word in words])
    except SystemExit as wrong_arguments:
        return int(wrong_arguments.code or 0)


def act(folder: Path, name: str, domain: str) -> np.ndarray:
    agent, episode = AGENTS.get(name).load(folder), make_episode(7)
    agent.reset(Demonstration(episode.human, 10.0, "", domain=domain), "", 0)
    words = encode_instruction(episode.instruction)
    observation = {"image": episode.robot[0], "state": episode.state[0], "instruction": words}
    action: np.ndarray = agent.predict({**observation, "human_clip": episode.human})[0]
    assert np.isfinite(action).all()
    return action


def check_packed(folder: Path, name: str, runs: list[Path]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["domains"] == {"basic": ".", "writing": "writing"}
    assert not np.array_equal(act(folder, name, "basic"), act(folder, name, "writing"))
    assert f"pack --policy {runs[0]} {runs[1]} --execute 2" in (folder / "README.md").read_text()


def test_diffusion_policy(tmp_path: Path, data: Path) -> None:
    runs = [tmp_path / task for task in TASKS]
    common = ("diffusion_policy", "--data", data, "--preset", "tiny", "--steps", 2, "--batch", 3)
    for out, task in zip(runs, TASKS, strict=True):
        assert run(*common, "--tasks", task, "--out", out) == 0
    record = json.loads((runs[0] / "run.json").read_text())
    assert (record["steps"], record["samples"]) == (2, 6)
    assert record["config"]["sizes"]["language"]["kind"] == "minilm"
    assert run("pack", "--policy", *runs, "--out", tmp_path / "packed", "--execute", 2) == 0
    check_packed(tmp_path / "packed", "diffusion_policy", runs)
    still = ("--lr", 1e-9, "--lr-others", 1e-9, "--weight-decay", 0)
    goes_on(runs[0], tmp_path / "again", (*common, *still, "--tasks", TASKS[0], "--init", runs[0]))
    packed = tmp_path / "packed" / "writing"
    goes_on(packed, tmp_path / "writing", (*common, *still, "--tasks", TASKS[1], "--init", packed))


def goes_on(first: Path, again: Path, command: tuple[object, ...]) -> None:
    """Check that `command`, which trains next to nothing, goes on from `first`, and says so."""
    assert run(*command, "--out", again) == 0
    name = next(path.name for path in again.glob("*.safetensors") if path.name != "skills.safetensors")
    one, other = (load_file(folder / name) for folder in (first, again))
    assert all(torch.allclose(value.float(), other[key], atol=1e-3) for key, value in one.items())
    (earlier,) = json.loads((again / "run.json").read_text())["initial"]
    assert earlier["steps"] == 2


def test_xskill(tmp_path: Path, data: Path) -> None:
    common = ("--data", data, "--preset", "tiny", "--steps", 2)
    skills = ("--videos", 2, "--moments", 7)
    assert run("xskill", *common, *skills, "--out", tmp_path / "skills") == 0
    assert json.loads((tmp_path / "skills" / "run.json").read_text())["samples"] == 4
    runs = [tmp_path / task for task in TASKS]
    second = ("xskill", *common, "--stage", 2, "--init", tmp_path / "skills", "--batch", 3)
    for out, task in zip(runs, TASKS, strict=True):
        assert run(*second, "--tasks", task, "--out", out) == 0
    assert run("pack", "--policy", *runs, "--out", tmp_path / "packed", "--execute", 2) == 0
    check_packed(tmp_path / "packed", "xskill", runs)
    one, other = (load_file(folder / "skills.safetensors") for folder in (tmp_path / "skills", runs[0]))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    still = ("--lr", 1e-9, "--lr-others", 1e-9, "--weight-decay", 0)
    goes_on(
        runs[0], tmp_path / "again", (*second, *still, "--tasks", TASKS[0], "--policy", tmp_path / "packed")
    )
    more = ("xskill", *common, *skills, *still, "--init", tmp_path / "skills", "--out", tmp_path / "more")
    assert run(*more) == 0
    assert len(json.loads((tmp_path / "more" / "run.json").read_text())["initial"]) == 1
    assert run("xskill", *common, "--policy", runs[0], "--out", tmp_path / "wrong") == 2


def test_xskill_starts_from_diffusion_policy(tmp_path: Path, data: Path) -> None:
    common = ("--data", data, "--preset", "tiny", "--tasks", TASKS[0], "--steps", 2, "--batch", 3)
    still = ("--lr", 1e-9, "--lr-others", 1e-9, "--weight-decay", 0)
    told, skills, out = (tmp_path / name for name in ("told", "skills", "out"))
    assert run("diffusion_policy", *common, "--out", told) == 0
    first = ("xskill", *common[:6], "--steps", 2, "--videos", 2, "--moments", 7)
    assert run(*first, "--out", skills) == 0
    second = ("xskill", *common, *still, "--stage", 2, "--init", skills, "--told", told)
    assert run(*second, "--out", out) == 0
    (earlier,) = json.loads((out / "run.json").read_text())["initial"]
    assert "diffusion_policy" in earlier["command"]
    assert run(*first, "--told", told, "--out", tmp_path / "wrong") == 2
    assert run(*second[:-1], skills, "--out", tmp_path / "other") == 2


@pytest.mark.parametrize("skill_width", [TINY_XSKILL.policy.skill_width, TINY_DIFFUSION_POLICY.word_width])
def test_what_starts_from_diffusion_policy_acts_as_if_nothing_were_said(skill_width: int) -> None:
    torch.manual_seed(0)
    told = DiffusionPolicyModel(TINY_DIFFUSION_POLICY).eval()
    model = XSkillModel(replace(TINY_XSKILL.policy, skill_width=skill_width)).eval()
    for each in (told, model):
        each.normalizer.fit(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], np.float32))
    told.words.bias.data.zero_()
    start_from_told(model, told)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    state = np.tile(make_episode(3).state[0], (2, 1))
    noise = torch.randn(2, TINY_XSKILL.policy.unet.chunk, 10)
    skills, there = torch.randn(2, 4, skill_width), torch.ones(2, 4, dtype=torch.bool)
    silence = torch.zeros(2, told.config.language.width)
    expected = told.act(images, state, silence, noise)
    np.testing.assert_allclose(model.act(images, state, skills, there, noise), expected, atol=1e-5)
    larger = replace(TINY_XSKILL.policy, state_dim=11)
    with pytest.raises(ValueError, match="state_dim differs"):
        start_from_told(XSkillModel(larger), told)


def test_human_and_robot_videos_are_not_paired(
    tmp_path: Path, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 draws of one video each from four episodes about a quarter are of the same episode, not all."""
    drawn: list[tuple[int, int]] = []
    index = {frames.human[row].tobytes(): row for row in range(len(frames))}
    robots = {frames.robot[row].tobytes(): row for row in range(len(frames))}

    def look(self: Trainer, draw: object, title: str) -> None:
        for seed in range(64):
            human, _, robot, _ = draw(np.random.default_rng(seed))  # type: ignore[operator]
            first, second = index[human[0, 0].numpy().tobytes()], robots[robot[0, 0].numpy().tobytes()]
            drawn.append((first // STEPS, second // STEPS))

    monkeypatch.setattr(Trainer, "run", look)
    train_skills(
        SkillEncoder(TINY_XSKILL.skills),
        frames,
        TrainingConfig(steps=1),
        SkillRecipe(videos=1, moments=5),
        tmp_path,
    )
    same = sum(human == robot for human, robot in drawn)
    assert 4 <= same <= 32
    assert len(set(drawn)) > 8


def test_videos_stay_in_their_episode_and_end_with_its_last_frame(frames: Frames) -> None:
    drawn, windows = draw_videos(frames, np.random.default_rng(0), 50, 9, 2)
    assert (drawn // STEPS == drawn[:, :1] // STEPS).all()
    assert set((drawn[:, 0] % STEPS).tolist()) == {0}
    assert (drawn[:, -1] % STEPS == STEPS - 1).all()
    # Of the seven windows those count that begin before the last frame, at steps 0, 2, 4 and so on.
    assert set(windows.tolist()) == {min(7, STEPS // 2)}
    shorter, windows = draw_videos(frames, np.random.default_rng(0), 200, 3, 2)
    assert set(windows.tolist()) == {1}
    assert set((shorter[:, 0] % STEPS).tolist()) == set(range(8))
    assert (np.diff(shorter, axis=1) == 2).all()


def test_the_robots_skills_are_those_of_its_own_videos(tmp_path: Path, frames: Frames) -> None:
    torch.manual_seed(0)
    encoder = SkillEncoder(TINY_XSKILL.skills)
    frames.only(("writing_play",))
    skills = robot_skills(encoder, frames, tmp_path)
    assert skills.shape == (2 * STEPS, 16)
    video = np.asarray(frames.robot[frames.chosen[STEPS:]])
    read = encoder.read(video, range(STEPS)).numpy()
    np.testing.assert_allclose(skills[STEPS:], read, atol=5e-3)


def test_the_video_model_that_is_told_goes_through_both_stages(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--data", data, "--preset", "tiny", "--steps", 2)
    assert run("vae", *common, "--out", tmp_path / "vae", "--batch", 2) == 0
    assert run("vpp", *common, "--out", tmp_path / "one", "--vae", tmp_path / "vae", "--clips", 2) == 0
    second = ("--stage", 2, "--init", tmp_path / "one", "--clips", 2, "--frames", 4)
    assert run("vpp", *common, *second, "--out", tmp_path / "two") == 0
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["config"]["sizes"]["language"]["kind"] == "minilm"
    assert run("vpm", *common, *second, "--out", tmp_path / "wrong") == 2
    assert "vpm is shown a human" in capsys.readouterr().err
    assert (
        run("decoder", *common, "--encoder", "vpm", "--vpm", tmp_path / "two", "--out", tmp_path / "d") == 2
    )
    assert "needs a model that is shown a human" in capsys.readouterr().err


def test_the_video_model_that_is_told_may_start_from_one_that_is_shown(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--data", data, "--preset", "tiny", "--steps", 1)
    assert run("vae", *common, "--out", tmp_path / "vae", "--batch", 2) == 0
    assert run("vpm", *common, "--out", tmp_path / "one", "--vae", tmp_path / "vae", "--clips", 2) == 0
    second = ("--stage", 2, "--init", tmp_path / "one", "--clips", 2, "--frames", 4)
    assert run("vpm", *common, *second, "--out", tmp_path / "two") == 0
    told = ("vpp", *common, "--unets", tmp_path / "two", "--clips", 2, "--lr", 0, "--lr-others", 0)
    assert run(*told, "--out", tmp_path / "told") == 0
    shown, model = (VideoPredictionModel.load(tmp_path / name) for name in ("two", "told"))
    assert model.config.language is not None
    assert not model.temporal
    theirs = shown.state_dict()
    carried = [name for name in model.state_dict() if not name.startswith("words.")]
    assert {name.split(".")[0] for name in carried} == {"vae", "s_unet", "st_unet"}
    for name in carried:
        torch.testing.assert_close(model.state_dict()[name], theirs[name])
    record = json.loads((tmp_path / "told" / "run.json").read_text())
    assert [Path(each["config"]["out"]).name for each in record["before"]] == ["vae", "one", "two"]
    again = ("vpp", *common, "--out", tmp_path / "again", "--clips", 2)
    assert run(*again, "--unets", tmp_path / "told") == 2
    assert "go on from it with --init" in capsys.readouterr().err
    assert run(*again, "--unets", tmp_path / "two", "--vae", tmp_path / "vae") == 2
    assert "--unets" in capsys.readouterr().err
    later = ("--temporal", tmp_path / "two", "--init", tmp_path / "told", "--frames", 4, "--lr", 0)
    assert run("vpp", *common, "--stage", 2, "--out", tmp_path / "b", *later, "--lr-others", 0) == 0
    both = VideoPredictionModel.load(tmp_path / "b").state_dict()
    for name in set(theirs) & set(both):
        torch.testing.assert_close(both[name], theirs[name])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("diffusion_policy", "--preset", "tinny"), "Did you mean 'tiny'"),
        (
            ("diffusion_policy", "--preset", "tiny", "--tasks", "push_pull", "writing_play"),
            "basic and writing",
        ),
        (("xskill", "--preset", "tiny", "--stage", "2"), "needs --init"),
        (("xskill", "--preset", "compact"), "the model reads"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert run(*words, "--data", data, "--out", tmp_path / "out", "--steps", 1) == 2
    assert message in capsys.readouterr().err


def test_policies_that_do_not_belong_together_are_refused(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("diffusion_policy", "--data", data, "--preset", "tiny", "--steps", 1, "--batch", 2)
    for out in ("a", "b"):
        assert run(*common, "--tasks", "push_pull", "--out", tmp_path / out) == 0
    packed = ("pack", "--out", tmp_path / "p", "--execute", 2, "--policy")
    assert run(*packed, tmp_path / "a", tmp_path / "b") == 2
    assert "one policy for each training domain" in capsys.readouterr().err
    assert (
        run("xskill", *common[1:5], "--steps", 1, "--videos", 1, "--moments", 7, "--out", tmp_path / "s") == 0
    )
    assert run(*packed, tmp_path / "s") == 2
    assert "is the run of no policy" in capsys.readouterr().err
    assert run(*packed, tmp_path / "a", "--hand", tmp_path / "b") == 2
