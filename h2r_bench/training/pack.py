"""Bring trained parts together as the weights of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.files import write_manifest
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.training.record import history

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 15_000_000
"""Largest weight file that may ship [bytes]."""


def pack(vpm: Path, decoder: Path, execute: int, out: Path) -> list[str]:
    """Write float16 weights, `manifest.json` and `README.md` into `out`; returns the names of the files."""
    VideoPredictionModel.load(vpm).save(out, torch.float16)
    ActionDecoder.load(decoder).save(out, torch.float16)
    weights = sorted(path.name for path in out.glob("*.safetensors"))
    names = [*weights, "decoder.json", "vpm.json"]
    for name in names:
        if (out / name).stat().st_size > LIMIT:
            raise ValueError(f"{out / name} is larger than {LIMIT} bytes and must not ship")
    runs = history(decoder)
    data = runs[-1]["data"]
    facts = {"execute": execute, "world": data["world"], "data": data, "runs": runs}
    write_manifest(out, facts, names)
    (out / "README.md").write_text(_readme(out, runs, names))
    return names


def _readme(out: Path, runs: list[dict[str, Any]], names: list[str]) -> str:
    sizes = "\n".join(f"| `{name}` | {(out / name).stat().st_size / 1e6:.1f} MB |" for name in names)
    took = "\n".join(f"| `{run['config']['out']}` | {run['steps']} | {run['minutes']:.1f} |" for run in runs)
    commands = "\n".join([_collect(runs[-1]), *(run["command"] for run in runs), _pack_command(runs, out)])
    return f"""# Weights of the Human2Robot agent, compact preset

Trained from scratch by the commands below on {runs[-1]["data"]["episodes"]} paired episodes of world
version {runs[-1]["data"]["world"]} (data seed {runs[-1]["data"]["seed"]}). Floating values are float16.
`manifest.json` has the SHA-256 of every file and the resolved settings of every run.

```
{commands}
```

| run | steps | minutes |
|---|---|---|
{took}

| file | size |
|---|---|
{sizes}
"""


def _collect(run: dict[str, Any]) -> str:
    data = run["data"]
    recipe, (width, height) = data["recipe"], data["image_size"]
    return (
        f"python -m h2r_bench.collect --out {run['config']['data']}"
        f" --episodes {data['episodes']} --seed {data['seed']}"
        f" --size {width}x{height} --tasks {' '.join(recipe.get('tasks', []))}"
        f" --shifted {recipe.get('shifted')} --cue-video {recipe.get('cue_video')}"
    )


def _pack_command(runs: list[dict[str, Any]], out: Path) -> str:
    last = runs[-1]["config"]
    return f"python -m h2r_bench.train pack --vpm {last['vpm']} --decoder {last['out']} --out {out}"
