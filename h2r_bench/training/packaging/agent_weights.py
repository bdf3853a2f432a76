"""Bring trained parts together as the weights of an agent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import h2r_bench
from h2r_bench.policies.common.checkpoints import MANIFEST, write_manifest
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.encoders.catalog import find_encoder
from h2r_bench.training.commands.inputs import BASIC, domain_of
from h2r_bench.training.engine.run_metadata import READER, finished, history, unfolded

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 15_000_000
"""Largest weight file that may ship [bytes]."""
ASSETS = Path(h2r_bench.__file__).resolve().parent / "assets"
"""Where the weights lie that ship."""
Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class DecoderRun:
    """The run of a decoder that is to be packed."""

    folder: Path
    runs: Runs
    """It and those before it, oldest first."""

    @classmethod
    def open(cls, folder: Path) -> DecoderRun:
        """Read its record. Raises DatasetError for a run that did not finish."""
        return cls(folder, finished(folder))

    @property
    def encoder(self) -> str:
        """Name of the encoder that it was trained behind."""
        return str(self.runs[-1]["config"].get("encoder", "vpm"))

    @property
    def behind(self) -> tuple[Any, ...]:
        """What tells the encoder that it was trained behind from others."""
        kind, seed = find_encoder(self.encoder), self.runs[-1]["config"]["loop"]["seed"]
        drawn = not kind.own_run and not kind.trained_with_decoder
        return (self.encoder, self.runs[:-1], seed if drawn else None)

    @property
    def domain(self) -> str:
        """Training domain of its tasks."""
        return domain_of(self.runs[-1]["config"].get("tasks", BASIC))


def pack(decoders: Sequence[Path], vpm: Path | None, execute: int, out: Path) -> list[str]:
    """Write float16 weights, `manifest.json` and `README.md` into `out`; returns the names of the files.

    Args:
        decoders: runs of decoders behind one encoder, each of another training domain.
        vpm: run of the VPM, where that is the encoder.
        execute: actions of a chunk that are executed before the next one is predicted.
        out: folder of the weights; what an older manifest lists there is replaced.
    """
    opened = [DecoderRun.open(folder) for folder in decoders]
    _check(opened, vpm)
    loaded = [ActionDecoder.load(run.folder) for run in opened]
    check_execute(execute, min(decoder.config.chunk for decoder in loaded))
    clear(out)
    domains = {run.domain: "." if run is opened[0] else run.domain for run in opened}
    kind = find_encoder(opened[0].encoder)
    if not kind.trained_with_decoder:
        kind.load(vpm if kind.own_run and vpm else opened[0].folder).save(out, torch.float16)
    for run, decoder in zip(opened, loaded, strict=True):
        place = out / domains[run.domain]
        decoder.save(place, torch.float16)
        if kind.trained_with_decoder:
            kind.load(run.folder).save(place, torch.float16)
    runs = merged([run.runs for run in opened])
    facts = {"encoder": opened[0].encoder, "domains": domains, **facts_of(runs, execute)}
    title = f"an agent behind the video encoder `{opened[0].encoder}`"
    return seal(out, facts, runs, title, _pack_command(runs, out))


def seal(out: Path, facts: dict[str, Any], runs: Runs, title: str, command: str) -> list[str]:
    """Write manifest and README for all that lies in `out`, packed by `command`; returns its files' names."""
    files = (path for path in out.rglob("*") if path.suffix in (".json", ".safetensors"))
    names = sorted(str(path.relative_to(out)) for path in files if path.name != MANIFEST)
    if ASSETS in out.resolve().parents:
        check_sizes(out, names)
    write_manifest(out, facts, names)
    (out / "README.md").write_text(_readme(out, runs, names, title, command))
    return names


def check_execute(execute: int, chunk: int) -> None:
    """Raise ValueError when a chunk of so many actions has not as many to execute."""
    if not 1 <= execute <= chunk:
        raise ValueError(f"--execute is between 1 and the chunk of {chunk} actions, got {execute}")


def check_sizes(out: Path, names: Sequence[str]) -> None:
    """Raise ValueError for a file that is too large to ship."""
    for name in names:
        if (out / name).stat().st_size > LIMIT:
            raise ValueError(f"{out / name} is larger than {LIMIT} bytes and must not ship")


def pack_hand(regressor: Path, execute: int, out: Path) -> list[str]:
    """The same for the hand tracker's run `regressor`."""
    from h2r_bench.policies.baselines.hand_tracker.model import HandRegressor

    runs = finished(regressor)
    clear(out)
    HandRegressor.load(regressor).save(out, torch.float16)
    title = "an agent that reads the hand's pose from single frames"
    return seal(out, facts_of(runs, execute), runs, title, _pack_command(runs, out))


def pack_ruler(run: Path, out: Path) -> list[str]:
    """The same for the run of a ruler, which acts in nothing and measures predictions."""
    from h2r_bench.video_metrics.gripper_localizer import load_localizer, save_localizer

    runs = finished(run)
    clear(out)
    save_localizer(load_localizer(run), out, torch.float16)
    facts = {key: value for key, value in facts_of(runs, 1).items() if key != "execute"}
    title = "a ruler: it finds the tool centre in pictures of the robot"
    return seal(out, facts, runs, title, f"python -m h2r_bench.train pack --ruler {run} --out {out}")


def facts_of(runs: Runs, execute: int) -> dict[str, Any]:
    """What a manifest says of how the weights came about."""
    data = runs[-1]["data"]
    return {"execute": execute, "world": data["world"], "data": data, "runs": runs}


def _check(opened: Sequence[DecoderRun], vpm: Path | None) -> None:
    """Raise ValueError for decoders that do not belong together."""
    first = opened[0]
    domains = [run.domain for run in opened]
    if len(set(domains)) != len(domains):
        raise ValueError(f"one decoder for each training domain: these are of {', '.join(domains)}")
    if any(run.behind != first.behind for run in opened):
        raise ValueError("the decoders were not trained behind one and the same encoder")
    if not find_encoder(first.encoder).own_run:
        return
    if vpm is None:
        raise ValueError("pack needs --vpm, the run behind which the decoders were trained")
    if _settings(history(vpm)) != _settings(first.runs[:-1]):
        raise ValueError(f"{first.folder} was trained behind another VPM than {vpm}")


def _settings(runs: Runs) -> list[Any]:
    """What tells VPMs apart: how each run behind one was set, and how long it took."""
    return [(run["config"], run["data"], run.get("steps")) for run in runs]


def clear(out: Path) -> None:
    """Remove what an older manifest lists."""
    if (out / MANIFEST).is_file():
        for name in json.loads((out / MANIFEST).read_text())["files"]:
            (out / name).unlink(missing_ok=True)


def merged(histories: Sequence[Runs]) -> Runs:
    """All runs, each once, oldest first."""
    runs: Runs = []
    for each in histories:
        runs += [run for run in each if run not in runs]
    return runs


def _readme(out: Path, runs: Runs, names: list[str], title: str, command: str) -> str:
    sizes = "\n".join(f"| `{name}` | {(out / name).stat().st_size / 1e6:.1f} MB |" for name in names)
    took = "\n".join(row for run in unfolded(runs) for row in _took(run))
    commands = "\n".join([_collect(runs[-1]), *(run["command"] for run in unfolded(runs)), command])
    return f"""# Weights of {title}

Trained by the commands below on {runs[-1]["data"]["episodes"]} paired episodes of world
version {runs[-1]["data"]["world"]} (data seed {runs[-1]["data"]["seed"]}). Floating values are float16.
`manifest.json` has the SHA-256 of every file and the resolved settings of every run.

```
{commands}
```

| run | steps | samples | minutes |
|---|---|---|---|
{took}

| file | size |
|---|---|
{sizes}
"""


def _took(run: dict[str, Any]) -> list[str]:
    """Rows of a table: what the run took, its frame reader first."""
    name = f"`{run['config']['out']}`"
    parts = [(f"{name}, frame reader", run[READER])] if READER in run else []
    return [
        f"| {title} | {part['steps']} | {part.get('samples', '')} | {part['minutes']:.1f} |"
        for title, part in [*parts, (name, run)]
    ]


def _collect(run: dict[str, Any]) -> str:
    data = run["data"]
    recipe, (width, height) = data["recipe"], data["image_size"]
    return (
        f"python -m h2r_bench.collect --out {run['config']['data']}"
        f" --episodes {data['episodes']} --seed {data['seed']}"
        f" --size {width}x{height} --tasks {' '.join(recipe.get('tasks', []))}"
        f" --shifted {recipe.get('shifted')} --cue-video {recipe.get('cue_video')}"
    )


def _pack_command(runs: Runs, out: Path) -> str:
    configs = [run["config"] for run in runs]
    decoders = [config for config in configs if "encoder" in config]
    if not decoders:
        return f"python -m h2r_bench.train pack --hand {configs[-1]['out']} --out {out}"
    vpm = next(
        (f" --vpm {config['vpm']}" for config in decoders if find_encoder(config["encoder"]).own_run), ""
    )
    folders = " ".join(config["out"] for config in decoders)
    return f"python -m h2r_bench.train pack{vpm} --decoder {folders} --out {out}"
