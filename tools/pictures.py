"""Draws the pictures of the documentation: `python tools/pictures.py`, or some of them by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.envs.scene.splits import HELD_OUT_AREA, TABLE_AREA
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation import runner
from h2r_bench.evaluation.film import TrialVideo, imagination_of
from h2r_bench.evaluation.log import TrialLog, log_path
from h2r_bench.evaluation.trial import run_trial
from h2r_bench.types import CONTROL_HZ, Episode, UInt8Array

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RESULTS = Path(__file__).parents[1] / "results"
SIDE = 200
"""Side of one frame of pairs.png [pixels]."""
SMALL = 128
"""Side of one frame of tasks.png [pixels]: what agents see."""
IMAGINED = ("push_pull", "pick_place", "rotation", "background_gen", "brand_new")
"""Tasks of imagined.webp ..."""
FIRST_SEED = 3_000_000_000
"""... each in the first episode that nothing was trained on."""
FAILED = ("push_pull", "rotation", "background_gen", "combination_gen")
"""Tasks of failures.webp, each with the first trial of its record that `h2r` failed."""
LABEL = 16
"""Height of a label [pixels]."""


@dataclass(frozen=True)
class Config:
    """Draw the pictures of the documentation."""

    names: tuple[str, ...] = ("pairs", "tasks", "positions", "imagined", "failures")
    """Which."""


def moments(episode: Episode, count: int) -> UInt8Array:
    """`count` frames spread over the episode, the human above the robot, side by side."""
    steps = np.linspace(0.12 * len(episode), 0.88 * len(episode), count).astype(int)
    return np.concatenate([np.concatenate(list(video[steps]), 1) for video in (episode.human, episode.robot)])


def pairs() -> UInt8Array:
    """Four plays, hand above robot."""
    plays = (
        ("pick_place", 9, "scene"),
        ("rotation", 11, "video"),
        ("push_pull", 12, "scene"),
        ("instance_gen", 9, "video"),
    )
    strips = [
        moments(record_episode(task, seed, cue=cue, image_size=(SIDE, SIDE), fine=True), 3)
        for task, seed, cue in plays
    ]
    return grid(strips, 2)


def tasks() -> UInt8Array:
    """Every task once, as agents see it: hand above robot, three moments each."""
    names = [name for name in TASKS.names() if not name.endswith("_pen_up")]
    strips = []
    for number, name in enumerate(track(names, "tasks")):
        episode = record_episode(name, 40 + number, cue="video" if number % 2 else "scene")
        strips.append(labelled(moments(episode, 3), name))
    return grid(strips, 3)


def labelled(picture: UInt8Array, text: str) -> UInt8Array:
    """The picture with a line of text above."""
    bar = Image.new("RGB", (picture.shape[1], LABEL), (255, 255, 255))
    ImageDraw.Draw(bar).text((2, 2), text, fill=(20, 20, 20), font=ImageFont.load_default(12))
    return np.concatenate([np.asarray(bar), picture])


def grid(pictures: list[UInt8Array], columns: int, gap: int = 6) -> UInt8Array:
    """Pictures of equal size in rows of `columns`, white between them."""
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = (height + gap) * (number // columns), (width + gap) * (number % columns)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def positions(scenes: int = 300) -> UInt8Array:
    """Where the moved object rests in training and in `position_gen`, seen from above."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    rng = np.random.default_rng(0)
    figure, axes = plt.subplots(figsize=(5.4, 4.2), dpi=120, layout="constrained")
    for area, color, label in (
        (TABLE_AREA, "#d7dde5", "where things rest"),
        (HELD_OUT_AREA, "#f6c9a8", "held out of training"),
    ):
        corner = (area.y[0], area.x[0])
        size = (area.y[1] - area.y[0], area.x[1] - area.x[0])
        axes.add_patch(Rectangle(corner, *size, color=color, label=label, lw=0))
    for name, color in (("pick_place", "#1f5fa8"), ("position_gen", "#c1440e")):
        spots = np.array([moved_from(name, rng) for _ in range(scenes)])
        axes.plot(spots[:, 1], spots[:, 0], ".", ms=3, color=color, label=f"moved object, {name}")
    axes.plot(0, 0.29, "k^", ms=9)
    axes.annotate("robot", (0.012, 0.287))
    axes.set(xlim=(0.26, -0.26), ylim=(0.27, 0.68), aspect="equal")
    axes.set(xlabel="y, to the robot's left [m]", ylabel="x, away from the robot [m]")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=8)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return picture


def moved_from(name: str, rng: np.random.Generator) -> tuple[float, float]:
    """Where the moved object of one scene of a task rests [m]."""
    scene, goal = TASKS.get(name).variant(rng, None).sample(rng, "scene")
    return scene.props[goal.subject].x, scene.props[goal.subject].y


def imagined() -> UInt8Array:
    """Clips (T, H, W, 3): of each task human, robot, and the shipped model's 1 and 30 steps side by side."""
    from h2r_bench.predict import PredictConfig
    from h2r_bench.training.diagnostics.prediction import film, imagine, load

    encoder, films = load(), []
    for task in track(IMAGINED, "imagining"):
        config = PredictConfig(task=task, seed=FIRST_SEED)
        episode = record_episode(task, config.seed, image_size=encoder.image_size)
        films.append(film(imagine(encoder, episode, config)))
    return np.concatenate(films, axis=1)


def failures() -> UInt8Array:
    """Clips (T, H, W, 3), twice as fast: trials that `h2r` fails, each human, robot and what was imagined."""
    films = [failure(task) for task in track(FAILED, "failures")]
    longest = max(map(len, films))
    films = [film + film[-1:] * (longest - len(film)) for film in films]
    return np.stack([grid(list(frames), 2) for frames in zip(*films, strict=True)][::2])


def failure(task: str) -> list[UInt8Array]:
    """Frames (H, W, 3) of the first recorded trial of `task` that `h2r` failed, run again."""
    config, agent = runner.prepare(runner.RunConfig(task=task, policy="h2r", video="all"))
    condition, film = runner.condition_of(config, agent), TrialVideo(imagination_of(agent))
    records = TrialLog(log_path(RESULTS, task, "h2r")).load()
    trial = next(
        each.trial for each in records if not each.success and each.key() == condition.key(each.trial)
    )
    env = runner.open_env(config, agent, runner.make_env)
    again = run_trial(env, agent, condition, trial, watch=film.add)
    env.close()
    title = f"{task}, trial {trial}: {again.failure or 'success'}"
    return [labelled(frame, title) for frame in film.frames]


PICTURES = {
    "pairs": pairs,
    "tasks": tasks,
    "positions": positions,
    "imagined": imagined,
    "failures": failures,
}


def write(name: str, picture: UInt8Array) -> None:
    """A picture (H, W, 3) as PNG, clips (T, H, W, 3) as a WebP that moves, into docs/images."""
    if picture.ndim == 3:
        iio.imwrite(IMAGES / f"{name}.png", picture)
        return
    first, *rest = (Image.fromarray(frame) for frame in picture)
    period_ms = round(1000 / CONTROL_HZ)
    first.save(
        IMAGES / f"{name}.webp",
        save_all=True,
        append_images=rest,
        duration=period_ms,
        loop=0,
        quality=55,
        method=6,
    )


def main() -> None:
    """Write the pictures to docs/images."""
    config = tyro.cli(Config, description=__doc__)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in config.names:
        write(name, PICTURES[name]())


if __name__ == "__main__":
    main()
