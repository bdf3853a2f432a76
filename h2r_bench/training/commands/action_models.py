"""Training commands of what acts: decoders behind any encoder, the hand tracker, the gallery of `h2r_knn`."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

from h2r_bench.policies.baselines.hand_tracker.config import HandConfig
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.agent import H2RAgent
from h2r_bench.policies.h2r.encoders.base import Sources, VideoEncoder
from h2r_bench.policies.h2r.encoders.catalog import find_encoder
from h2r_bench.policies.knn.frame_encoders import ClipDinoFrames, SceneReader, SceneReaderConfig, Towers
from h2r_bench.ranges import Count, Index, Share
from h2r_bench.training.commands.inputs import BASIC, domain_of, first_model, open_frames, preset
from h2r_bench.training.diagnostics.action_error import errors_of, open_agent
from h2r_bench.training.diagnostics.held_out import held_out_episodes
from h2r_bench.training.engine.loop import TrainingConfig
from h2r_bench.training.engine.run_metadata import RUN, earlier_runs, finish_run, finished, start_run
from h2r_bench.training.objectives.decoder_training import DecoderRecipe, fitted_config, train_decoder
from h2r_bench.training.objectives.hand_training import train_hand
from h2r_bench.training.objectives.knn_gallery import build_gallery
from h2r_bench.training.objectives.scene_training import train_scene
from h2r_bench.training.packaging.agent_weights import pack, pack_hand, pack_ruler
from h2r_bench.training.packaging.policy_weights import pack_policies

EncoderName = Literal["vpm", "vpp", "untrained", "untrained_seeing", "resnet18", "time"]


@dataclass(frozen=True)
class TrainDecoder:
    """The action decoder of one training domain, behind a video encoder."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    encoder: EncoderName = "vpm"
    """What turns the human's video into features: the trained VPM (`h2r`), one that is told the task instead
    (`vpp`), the VPM at its initial parameters without or with a view of the human (`h2r_no_pretrain`),
    ResNet18 (`human_decoder`), or the time alone (`blind`)."""
    vpm: Path | None = None
    """Run of the VPM, made by `vpm` or `vpp`: the encoder, or whose sizes and VAE an untrained one takes
    over."""
    init: Path | None = None
    """Decoder to go on from, behind an earlier encoder of the same sizes: a run, or the folder of a domain in
    an agent's weights. Its normalisation stays, and so does an encoder that was trained together with it."""
    imagenet: str | None = None
    """Folder or hub id of the ResNet18 to start from; without it the weights are random."""
    tasks: tuple[str, ...] = BASIC
    """Tasks whose episodes are learnt from, all of one training domain: the seen basic tasks, or writing_play
    for writing."""
    preset: str = "compact"
    """Sizes of the model."""
    recipe: tyro.conf.OmitArgPrefixes[DecoderRecipe] = field(default_factory=DecoderRecipe)
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        self.loop.check()
        if self.init and self.imagenet:
            raise ValueError("--imagenet or --init, one of them: both say where the ResNet18 starts")


@dataclass(frozen=True)
class TrainHand:
    """The hand tracker: one human frame to the tool pose, by the true hand poses."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    preset: str = "compact"
    """Sizes of the images."""
    tasks: tuple[str, ...] = ()
    """Tasks whose episodes are learnt from; all by default."""
    batch: Count = 32
    """Images in a batch."""
    width: Count = HandConfig.width
    """Channels of the network's maps."""
    repaint: Share = 0.0
    """Share of the images that are shown in other colours and surroundings, see `repainted`."""
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=lambda: TrainingConfig(lr=0.01))

    def __post_init__(self) -> None:
        self.loop.check()


@dataclass(frozen=True)
class TrainScene:
    """The scene reader: the first robot frame to the path of the tool, by which `h2r_knn` compares scenes."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    preset: str = "compact"
    """Sizes of the images."""
    tasks: tuple[str, ...] = BASIC
    """Tasks whose episodes are learnt from."""
    batch: Count = 32
    """Images in a batch."""
    width: Count = SceneReaderConfig.width
    """Channels of the network's maps."""
    repaint: Share = 0.0
    """Share of the images in other colours and surroundings, see `repainted`."""
    init: Path | None = None
    """Reader to go on from: a run, or the folder of a gallery. Layers of another shape start anew."""
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=lambda: TrainingConfig(lr=0.01))

    def __post_init__(self) -> None:
        self.loop.check()


@dataclass(frozen=True)
class BuildKNN:
    """The gallery of `h2r_knn`: first robot frames as vectors, and the human videos to follow.

    It is one for each training domain: that of another is added to those in `out`.
    """

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of the weights."""
    agent: Path | None = None
    """Weights of the `h2r` that acts; the shipped one by default."""
    scene: Path | None = None
    """Run of a scene reader, by which robot frames are compared; without it CLIP and DINOv2 do, as in the
    paper."""
    towers: tyro.conf.OmitArgPrefixes[Towers] = field(default_factory=Towers)
    tasks: tuple[str, ...] = BASIC
    """Tasks whose episodes are kept, all of one training domain."""
    episodes: Count = 150
    """Episodes to keep, in equal shares of the tasks: those that lie farthest from each other."""
    votes: Count = 5
    """Nearest episodes that vote for the task."""

    def __post_init__(self) -> None:
        if min(self.episodes, self.votes) < 1:
            raise ValueError("--episodes and --votes are at least 1")


@dataclass(frozen=True)
class MeasureErrors:
    """How many millimetres the chunks of an agent are off on held-out episodes."""

    policy: str = "h2r"
    """Agent, by name: any that predicts chunks."""
    weights: Path | None = None
    """Folder of its weights, as `pack` writes it; without it those it ships with."""
    out: Path | None = None
    """Folder to write errors.json into."""
    tasks: tuple[str, ...] = BASIC
    """Tasks whose held-out episodes are recorded and measured, each by itself; all of one training domain."""
    episodes: Count = 20
    """Held-out episodes of each task."""
    moments: Count = 10
    """Chunks that are measured of each episode, from its beginning on."""
    seed: Index = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if min(self.episodes, self.moments) < 1 or self.seed < 0:
            raise ValueError("--episodes and --moments are at least 1, --seed at least 0")


@dataclass(frozen=True)
class Pack:
    """Bring trained parts together as the weights of an agent (float16, manifest, README)."""

    out: Path
    """Folder of the weights."""
    decoder: tuple[Path, ...] = ()
    """Runs of decoders behind one encoder, each of another training domain."""
    vpm: Path | None = None
    """Run of the VPM, where that is the encoder."""
    hand: Path | None = None
    """Run of a hand tracker, instead of decoders."""
    policy: tuple[Path, ...] = ()
    """Runs of Diffusion Policy, or of XSkill's second stage, each of another training domain, instead of
    decoders."""
    ruler: Path | None = None
    """Run of a ruler, which measures what is imagined, instead of an agent's parts."""
    execute: Count = 8
    """Actions of a chunk that are executed before the next one is predicted."""

    def __post_init__(self) -> None:
        if [bool(each) for each in (self.decoder, self.policy, self.hand, self.ruler)].count(True) != 1:
            raise ValueError(
                "pack --decoder RUN..., --policy RUN..., --hand RUN, or --ruler RUN: one of them"
            )


def run_decoder(job: TrainDecoder, command: list[str]) -> None:
    """Train a decoder."""
    domain_of(job.tasks)
    sizes = preset(job.preset)
    encoder = _encoder_of(job)
    config = fitted_config(sizes.decoder, encoder)
    initial = earlier_runs(job.init, job.tasks) if job.init else []
    decoder = first_model(ActionDecoder, config, job.init, job.loop.seed)
    start_run(job.out, job, to_json(config), command, job.vpm, initial)
    frames = open_frames(job.data, encoder.image_size, job.tasks)
    train_decoder(decoder, encoder, frames, job.loop, job.recipe, job.out)
    finish_run(job.out)


def _encoder_of(job: TrainDecoder) -> VideoEncoder:
    """A new encoder, or the one that was trained together with the decoder that `job` goes on from."""
    kind = find_encoder(job.encoder)
    if job.init and kind.trained_with_decoder:
        return kind.load(job.init)
    return kind.create(preset(job.preset), Sources(job.vpm, job.imagenet), job.loop.seed)


def run_hand(job: TrainHand, command: list[str]) -> None:
    """Train the hand tracker's regressor."""
    config = HandConfig(image_size=preset(job.preset).vpm.image_size, width=job.width)
    start_run(job.out, job, to_json(config), command, None)
    frames = open_frames(job.data, config.image_size, job.tasks)
    train_hand(config, frames, job.loop, job.batch, job.out, job.repaint)
    finish_run(job.out)


def run_scene(job: TrainScene, command: list[str]) -> None:
    """Train the scene reader."""
    config = SceneReaderConfig(image_size=preset(job.preset).vpm.image_size, width=job.width)
    start_run(job.out, job, to_json(config), command, None)
    frames = open_frames(job.data, config.image_size, job.tasks)
    train_scene(config, frames, job.loop, job.batch, job.out, job.repaint, job.init)
    finish_run(job.out)


def run_knn(job: BuildKNN, command: list[str]) -> None:
    """Build the gallery."""
    inner = H2RAgent.from_pretrained(job.agent)
    encoder = SceneReader.load(job.scene) if job.scene else ClipDinoFrames(job.towers)
    facts: dict[str, Any] = {"command": "python -m h2r_bench.train " + shlex.join(command)}
    if job.scene and (job.scene / RUN).is_file():
        facts["reader"] = finished(job.scene)
    names = build_gallery(
        job.data,
        job.agent or H2RAgent.folder(),
        inner,
        encoder,
        towers=None if job.scene else to_json(job.towers),
        tasks=job.tasks,
        episodes=job.episodes,
        votes=job.votes,
        facts=facts,
        out=job.out,
    )
    size = sum((job.out / name).stat().st_size for name in names)
    print(f"{len(names)} files in {job.out}, {size / 1e6:.1f} MB")


def run_errors(job: MeasureErrors, command: list[str]) -> None:
    """Print how far the chunks are off, and write it to `out`/errors.json."""
    agent, domain = open_agent(job.policy, job.weights), domain_of(job.tasks)
    found = {}
    for task in job.tasks:
        episodes = held_out_episodes(task, job.episodes, agent.image_size)
        found[task] = errors = errors_of(agent, episodes, job.moments, domain, job.seed)
        x, y, z = errors.axes_mm
        print(
            f"{task:16} position {errors.position_mm:.1f} mm (x {x:.1f}, y {y:.1f}, z {z:.1f}; "
            f"first half {errors.first_mm:.1f}), rotation {errors.rotation_deg:.1f} degrees, "
            f"gripper {errors.gripper:.1%}"
        )
    if job.out:
        job.out.mkdir(parents=True, exist_ok=True)
        record = {"command": shlex.join(command), **{task: asdict(each) for task, each in found.items()}}
        (job.out / "errors.json").write_text(json.dumps(record, indent=1) + "\n")


def run_pack(job: Pack, command: list[str]) -> None:
    """Write the weights of an agent."""
    if job.hand:
        names = pack_hand(job.hand, job.execute, job.out)
    elif job.ruler:
        names = pack_ruler(job.ruler, job.out)
    elif job.policy:
        names = pack_policies(job.policy, job.execute, job.out)
    else:
        names = pack(job.decoder, job.vpm, job.execute, job.out)
    print(f"{len(names)} files in {job.out}")
