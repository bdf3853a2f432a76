"""Train any learned part: `python -m h2r_bench.train frames|vae|vpm|vpp|decoder|hand|pack|... ...`.

Every run writes its resolved settings (`run.json`), its loss (`loss.jsonl`) and checkpoints into `--out`; the
same command goes on where an interrupted run stopped.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from h2r_bench import extras
from h2r_bench.cli import INTERRUPTED, parse, refused

if __name__ == "__main__":
    extras.leave_without("torch", "diffusers", "accelerate")

with extras.explained():
    from h2r_bench.training.commands.action_models import (
        BuildKNN,
        MeasureErrors,
        Pack,
        TrainDecoder,
        TrainHand,
        TrainScene,
        run_decoder,
        run_errors,
        run_hand,
        run_knn,
        run_pack,
        run_scene,
    )

from h2r_bench.training.commands.baselines import (
    TrainDiffusionPolicy,
    TrainXSkill,
    run_diffusion_policy,
    run_xskill,
)
from h2r_bench.training.commands.video_models import (
    ProbeVPM,
    TrainRuler,
    TrainVAE,
    TrainVPM,
    TrainVPP,
    run_probe,
    run_ruler,
    run_vae,
    run_vpm,
)
from h2r_bench.training.data.decode_videos import decode, decode_raw
from h2r_bench.training.engine.loop import TrainingStoppedError


@dataclass(frozen=True)
class DecodeFrames:
    """Decode a dataset's videos with several processes. The other commands do it by themselves, with one."""

    data: Path
    """Folder of the paired episodes."""
    raw: bool = False
    """Keep raw frames instead of JPEGs, for machines with memory for 100 kB a frame pair."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes decoding at the same time; two at most without --raw."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError("--workers is at least 1")


Job = (
    Annotated[DecodeFrames, tyro.conf.subcommand("frames")]
    | Annotated[TrainVAE, tyro.conf.subcommand("vae")]
    | Annotated[TrainVPM, tyro.conf.subcommand("vpm")]
    | Annotated[TrainVPP, tyro.conf.subcommand("vpp")]
    | Annotated[TrainDecoder, tyro.conf.subcommand("decoder")]
    | Annotated[TrainDiffusionPolicy, tyro.conf.subcommand("diffusion_policy")]
    | Annotated[TrainXSkill, tyro.conf.subcommand("xskill")]
    | Annotated[ProbeVPM, tyro.conf.subcommand("probe")]
    | Annotated[MeasureErrors, tyro.conf.subcommand("errors")]
    | Annotated[TrainRuler, tyro.conf.subcommand("ruler")]
    | Annotated[TrainHand, tyro.conf.subcommand("hand")]
    | Annotated[TrainScene, tyro.conf.subcommand("scene")]
    | Annotated[BuildKNN, tyro.conf.subcommand("knn")]
    | Annotated[Pack, tyro.conf.subcommand("pack")]
)


def run_frames(job: DecodeFrames, command: list[str]) -> None:
    """Decode the videos."""
    folder = (decode_raw if job.raw else decode)(job.data, job.workers)
    print(f"{sum(path.stat().st_size for path in folder.iterdir()) / 1e9:.1f} GB in {folder}")


RUNNERS: dict[type, Any] = {
    DecodeFrames: run_frames,
    TrainVAE: run_vae,
    TrainVPM: run_vpm,
    TrainVPP: run_vpm,
    TrainDecoder: run_decoder,
    TrainDiffusionPolicy: run_diffusion_policy,
    TrainXSkill: run_xskill,
    ProbeVPM: run_probe,
    MeasureErrors: run_errors,
    TrainRuler: run_ruler,
    TrainHand: run_hand,
    TrainScene: run_scene,
    BuildKNN: run_knn,
    Pack: run_pack,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    command = sys.argv[1:] if arguments is None else arguments
    try:
        job = parse(
            cast("type[Any]", Job), prog="python -m h2r_bench.train", description=__doc__, args=command
        )
        RUNNERS[type(job)](job, command)
    except (ValueError, OSError, ModuleNotFoundError, TrainingStoppedError) as error:
        return refused(error)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
