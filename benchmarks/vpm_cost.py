"""What the video prediction model costs: parameters, time of a clip, memory, and training beside a bare UNet.

Every measurement runs in a fresh process, with random weights: float16 on a GPU, float32 on a CPU (training:
bfloat16 autocast on a GPU). One JSON line each, with device, threads and the machine's load at the start.
What does not fit in memory is left out, with a line that says so.

- `parameters`: by part, in millions.
- `features`: seconds until the features of one clip are there, after one denoising step, and peak memory.
- `generate`: the same for one predicted clip after `--steps` denoising steps, decoded. Peaks include weights
  and (on a CPU) the process itself; they do not depend on the number of steps.
- `train`: training clips a second, T-layers and everything else trained; and two ratios to the bare
  `UNetMotionModel` of the same size forward and backward, in turns in one process: of our forward and
  backward (S-UNet, reference attention, behaviour extractor, image encoder, loss), and of a whole step (with
  clipping, optimiser and EMA). Latents are computed once per dataset and are not part of it.

Wall time is stretched by whatever else runs. `cpu_seconds`, summed over threads, is not (with one thread it
is the wall time of a free core), so on a CPU the ratios are of CPU time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor, nn

from h2r_bench.policies.h2r.config import PRESETS, VPMConfig
from h2r_bench.policies.h2r.unets import build_spatial, build_spatial_temporal
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.registry import UnknownNameError
from h2r_bench.training.engine.loop import Trainer, TrainingConfig
from h2r_bench.training.objectives.vpm_training import Objective, VPMLoss

Measure = Literal["parameters", "features", "generate", "train"]


@dataclass(frozen=True)
class Config:
    """Measure the cost of presets."""

    presets: tuple[str, ...] = ("compact", "paper")
    measures: tuple[Measure, ...] = ("parameters", "features", "generate", "train")
    rounds: int = 5
    """Rounds; the median counts."""
    warm_up: int = 1
    """Rounds before those that count."""
    steps: int = 30
    """Denoising steps of `generate`."""
    clips: int = 2
    """Clips in a batch of `train`."""
    keep_free_gb: float = 4.0
    """Memory that others keep; a measurement that would take more, or does, ends [GB]."""
    alone: bool = False
    """Measure the one preset and measure in this process (what the fresh processes are told)."""


CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPE = torch.float16 if CUDA else torch.float32
NEEDS = {"parameters": 0.0, "features": 1.2, "generate": 1.2, "train": 6.0}
"""Memory that a measurement takes at least, as a multiple of the weights."""


def parameters(config: VPMConfig) -> dict[str, float]:
    """Millions of parameters by part."""
    with torch.device("meta"):
        model = VideoPredictionModel(config, temporal=True)
    temporal = [value for name, value in model.st_unet.named_parameters() if "motion_modules" in name]
    parts = {name: list(part.parameters()) for name, part in model.named_children()}
    sizes = {**{name: _millions(values) for name, values in parts.items()}, "t_layers": _millions(temporal)}
    sizes["st_unet"] = round(sizes["st_unet"] - sizes["t_layers"], 3)
    return {**sizes, "all": _millions(list(model.parameters()))}


def features(config: VPMConfig, options: Config) -> dict[str, float]:
    """Median time of the features of one clip."""
    model, (human, robot) = _model(config), _clip(config)
    return _per_clip(lambda: model.features(human, robot, torch.Generator().manual_seed(0)), options)


def generate(config: VPMConfig, options: Config) -> dict[str, float]:
    """Median time of one generated clip."""
    model, (human, robot) = _model(config), _clip(config)

    def make() -> Tensor:
        return model.generate(human, robot, torch.Generator().manual_seed(0), options.steps)

    return {"steps": options.steps, **_per_clip(make, options)}


def train(config: VPMConfig, options: Config) -> dict[str, float]:
    """Clips a second, and what a step costs beside the bare UNet."""
    torch.manual_seed(0)
    objective = Objective(clips=options.clips, frames=config.frames, drop=0.0)
    loss = VPMLoss(VideoPredictionModel(config, temporal=True), objective)
    loop = TrainingConfig(steps=1_000_000, precision="bf16" if CUDA else "no")
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(loss, loop, Path(folder))
        trainer._prepare()  # The loop itself draws batches and writes; a step of it is what is timed here.
        batch, bare = _batch(config, options.clips), Bare(config).to(DEVICE)
        jobs: tuple[Callable[[], Any], ...] = (
            lambda: _backward(loss, lambda: loss(*batch, generator=torch.Generator().manual_seed(0))),
            lambda: _backward(bare, lambda: bare(batch[-1])),
            lambda: trainer._advance(batch),
        )
        rounds = [[_seconds(job) for job in jobs] for _ in range(options.warm_up + options.rounds)][
            options.warm_up :
        ]
    ours, theirs, step = ([each[job] for each in rounds] for job in range(3))
    return {
        "clips": options.clips,
        "clips_per_second": round(options.clips / statistics.median(each.wall for each in step), 3),
        "clips_per_cpu_second": round(options.clips / statistics.median(each.cpu for each in step), 3),
        "forward_backward_ratio": _ratio(ours, theirs),
        "step_ratio": _ratio(step, theirs),
    }


class Bare(nn.Module):
    """The ST-UNet as diffusers has it: no reference, no behaviour, no embedding."""

    def __init__(self, config: VPMConfig) -> None:
        super().__init__()
        self.channels = config.latent_shape[0] * (1 + config.reference_input)
        spatial = build_spatial(config, reference_input=config.reference_input)
        self.unet = build_spatial_temporal(config, spatial)
        self.token_dim = config.unet.token_dim

    def forward(self, latents: Tensor) -> Tensor:
        """Mean square of what comes out for noise in the shape of `latents` (B, F, c, h, w)."""
        batch, frames, _, height, width = latents.shape
        noise = torch.randn(batch, self.channels, frames, height, width, device=latents.device)
        token = torch.zeros(batch * frames, 1, self.token_dim, device=latents.device)
        out: Tensor = self.unet(noise, torch.full((batch,), 500, device=latents.device), token).sample
        return out.square().mean()


def measure(name: str, what: Measure, options: Config) -> dict[str, Any]:
    """One measurement in this process."""
    config = PRESETS[name].vpm
    sizes = parameters(config)
    facts = {
        "preset": name,
        "measure": what,
        "device": torch.cuda.get_device_name() if CUDA else "cpu",
        "dtype": ("bfloat16 autocast" if CUDA else "float32") if what == "train" else str(DTYPE)[6:],
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }
    wanted = NEEDS[what] * sizes["all"] * 1e6 * torch.finfo(DTYPE).bits / 8e9
    free = _free_gb()
    if wanted + options.keep_free_gb > free and not CUDA:
        return {**facts, "left_out": f"takes {wanted:.0f} GB or more, {free:.0f} GB are free"}
    threading.Thread(target=_guard, args=(facts, options.keep_free_gb), daemon=True).start()
    if what == "parameters":
        return {**facts, **sizes}
    return {**facts, **MEASURES[what](config, options)}


MEASURES: dict[str, Callable[[VPMConfig, Config], dict[str, float]]] = {
    "features": features,
    "generate": generate,
    "train": train,
}


def _model(config: VPMConfig) -> VideoPredictionModel:
    """A model whose weights are drawn when all of it is built: memory never holds more than them."""
    with torch.device("meta"):
        model = VideoPredictionModel(config, temporal=True)
    model = model.requires_grad_(False).eval().to(DTYPE).to_empty(device=DEVICE)
    for parameter in model.parameters():
        parameter.normal_(std=0.02)
    for buffer in model.buffers():  # Scales and positions; those of whole numbers count from nought.
        counts = torch.arange(buffer.numel()).view(buffer.shape)
        buffer.copy_(torch.ones_like(counts) if buffer.is_floating_point() else counts)
    # The noise schedule is no buffer.
    model.scheduler = type(model.scheduler).from_config(model.scheduler.config)
    return model


def _clip(config: VPMConfig) -> tuple[Tensor, Tensor]:
    """A human clip (1, F, H, W, 3) and a robot image (1, H, W, 3)."""
    width, height = config.image_size
    human = torch.randint(0, 256, (1, config.frames, height, width, 3), dtype=torch.uint8, device=DEVICE)
    return human, human[:, 0]


def _batch(config: VPMConfig, clips: int) -> tuple[Tensor, ...]:
    human = torch.cat([_clip(config)[0] for _ in range(clips)])
    latents = torch.randn(clips, config.frames, *config.latent_shape, device=DEVICE)
    return human, human[:, 0], latents[:, 0], latents


def _backward(module: nn.Module, loss: Callable[[], Tensor]) -> None:
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=CUDA):
        value = loss()
    value.backward()
    module.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Seconds:
    """How long something took."""

    wall: float
    """Wall time [s]."""
    cpu: float
    """CPU time of all threads [s]."""


def _per_clip(job: Callable[[], Any], options: Config) -> dict[str, float]:
    _reset_peak()
    times = [_seconds(job) for _ in range(options.warm_up + options.rounds)][options.warm_up :]
    return {
        "seconds_per_clip": round(statistics.median(each.wall for each in times), 3),
        "cpu_seconds": round(statistics.median(each.cpu for each in times), 3),
        "peak_gb": _peak(),
    }


def _seconds(job: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    if CUDA:
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _ratio(ours: list[Seconds], theirs: list[Seconds]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return round(statistics.median((a.wall / b.wall if CUDA else a.cpu / b.cpu) for a, b in pairs), 3)


def _millions(values: list[nn.Parameter]) -> float:
    return round(sum(value.numel() for value in values) / 1e6, 3)


def _gigabytes(sizes: Any) -> float:
    return round(sum(sizes) / 1e9, 3)


def _reset_peak() -> None:
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Peak since the last reset: of the GPU's allocator, or of the whole process [GB]."""
    if CUDA:
        return _gigabytes([torch.cuda.max_memory_allocated()])
    lines = Path("/proc/self/status").read_text().splitlines()
    return _gigabytes([1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])])


def _free_gb() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) / 1e9


def _guard(facts: dict[str, Any], keep_free_gb: float) -> None:
    """End the process when others run out of memory."""
    while _free_gb() > keep_free_gb:
        time.sleep(0.2)
    print(json.dumps({**facts, "left_out": f"less than {keep_free_gb:g} GB stayed free"}), flush=True)
    os._exit(3)


def main() -> None:
    """Print one JSON line for each preset and measure."""
    config = tyro.cli(Config, description=__doc__)
    for name in config.presets:
        if name not in PRESETS:
            raise UnknownNameError("preset", name, list(PRESETS))
    if config.alone:
        print(json.dumps(measure(config.presets[0], config.measures[0], config)))
        return
    common = [f"--{key}={getattr(config, key)}" for key in ("rounds", "steps", "clips")]
    common += [f"--warm-up={config.warm_up}", f"--keep-free-gb={config.keep_free_gb}"]
    for name in config.presets:
        for what in config.measures:
            told = ["--presets", name, "--measures", what, "--alone", *common]
            subprocess.run([sys.executable, __file__, *told], check=False)


if __name__ == "__main__":
    main()
