"""The training loop that every part shares: budget, learning rate, EMA, checkpoints, progress, log.

Hugging Face accelerate is underneath: the same command trains on a CPU, a GPU, several GPUs or several nodes
(`accelerate launch -m h2r_bench.train ...`), each process drawing batches of its own.

A step's randomness is keyed by the seed and the step, and everything else is in the checkpoint, so a run that
was interrupted gives the weights of one that was not (bit by bit, when its length is given in steps).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from h2r_bench import extras
from h2r_bench.datasets.lock import hold
from h2r_bench.ranges import Count, Index, NotNegative, Positive, Share
from h2r_bench.training.engine.interruption import Interrupt
from h2r_bench.training.engine.loss_curve import LOG
from h2r_bench.training.engine.muon import Muon
from h2r_bench.training.engine.tensorboard import TensorBoardLogger
from h2r_bench.types import UInt8Array

with extras.explained():
    from accelerate import Accelerator


class TrainingStoppedError(RuntimeError):
    """The loss is no longer a number; the last checkpoint is intact."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train."""

    steps: Count | None = None
    """Optimiser steps in all; the run is then reproducible bit by bit on one machine."""
    minutes: Positive | None = None
    """Or minutes of wall time in all [min]."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """What steps the weight matrices and convolutions; AdamW steps all other parameters."""
    lr: NotNegative = 0.02
    """Highest learning rate of weight matrices and convolutions, after the warm-up; it falls to a twentieth
    as a cosine. AdamW wants about 5e-4 here."""
    lr_others: NotNegative = 1e-3
    """The same for all other parameters (norms, biases, embeddings of one axis)."""
    warmup: Index = 20
    """Steps over which the learning rate rises from zero."""
    weight_decay: NotNegative = 0.01
    """AdamW's."""
    ema: Share = 0.99
    """Decay of the running mean of the weights, which is what is kept in the end."""
    clip: Positive = 1.0
    """Largest norm of the gradient."""
    checkpoint_minutes: Positive = 2.0
    """Time between checkpoints [min]."""
    seed: Index = 0
    """Of the initial weights, the batches and the noise."""
    precision: Literal["no", "tf32", "bf16", "fp16"] = "no"
    """Mixed precision. On CPUs `bf16` pays where there are instructions for it (AVX-512 BF16, AMX), elsewhere
    float32 is the fastest. `tf32` computes float32 products on a GPU's tensor cores: the fastest where
    networks are so small that each further operation counts."""
    cpu: bool = False
    """Train on the CPU even where there is a GPU."""

    def check(self) -> None:
        """Raises ValueError for a budget that makes no sense."""
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("say how long to train: --steps or --minutes, one of them")


Batch = tuple[Tensor, ...]
Draw = Callable[[np.random.Generator], Batch]
"""Draws a batch, its first axis the batch's, on the CPU."""
Sample = Callable[[], dict[str, UInt8Array]]
"""Pictures (H, W, 3) to look at, by name."""


class Trainer:
    """Trains the parameters of `loss` that want gradients, and leaves their EMA in it.

    `loss` is a module around what is trained: its `forward(*batch, generator=...)` gives the loss.
    """

    def __init__(self, loss: nn.Module, loop: TrainingConfig, out: Path) -> None:
        self.loss = loss
        self.loop = loop
        self.out = out
        self.trained = {name: p for name, p in loss.named_parameters() if p.requires_grad}
        self.optimizers = make_optimizers(list(self.trained.values()), loop)
        self.ema = {name: p.detach().clone() for name, p in self.trained.items()}
        self.step = 0
        self.seconds = 0.0
        self.samples = 0
        """Rows of the batches of all steps so far, in all processes: images, clips, or pairs."""
        self.waited = 0.0
        """Time that steps waited for their batch [s]."""
        self.main = True
        """Whether this process is the one that writes."""
        self._lr = 0.0

    def run(self, draw: Draw, title: str, sample: Sample | None = None) -> None:
        """Step until the budget is spent. The next batch is drawn while a step computes.

        Raises DatasetError while another process trains in the same folder. Ctrl-C and SIGTERM end it after
        the step, with a checkpoint, as KeyboardInterrupt.
        """
        self._resume()
        self._prepare()
        with hold(self.out) if self.main else nullcontext(), Interrupt() as interrupt:
            self._run(draw, title, sample, interrupt)

    def _run(self, draw: Draw, title: str, sample: Sample | None, interrupt: Interrupt) -> None:
        self.loss.train()
        board = TensorBoardLogger(self.out, self.main)
        before, saved = time.monotonic() - self.seconds, self.seconds
        with self._log() as log, self._bar() as bar, ThreadPoolExecutor(1, initializer=_one_thread) as ahead:
            job = bar.add_task(title, total=1.0, loss="")
            smooth, coming = math.nan, ahead.submit(self._draw, draw, self.step)
            while self.fraction() < 1.0:
                batch = self._wait_for(coming)
                coming = ahead.submit(self._draw, draw, self.step + 1)
                loss = self._advance(batch)
                smooth = loss if math.isnan(smooth) else 0.95 * smooth + 0.05 * loss
                self.seconds = time.monotonic() - before
                record = {"step": self.step, "loss": loss, "lr": self._lr, "seconds": self.seconds}
                log.write(json.dumps(record) + "\n")
                board.scalars(self.step, loss=loss, lr=self._lr)
                bar.update(job, completed=self.fraction(), loss=f"step {self.step}  loss {smooth:.4f}")
                if interrupt.asked:
                    log.flush()
                    self.save()
                    raise KeyboardInterrupt
                if self.seconds - saved > 60 * self.loop.checkpoint_minutes:
                    log.flush()
                    self.save()
                    board.pictures(self.step, sample)
                    saved = self.seconds
        self.save()
        self._keep_ema()
        board.pictures(self.step, sample)
        board.close()

    def _prepare(self) -> None:
        """Place everything where it is trained."""
        fast = self.loop.precision == "tf32"
        torch.set_float32_matmul_precision("high" if fast else "highest")
        mixed = "no" if fast else self.loop.precision
        self.accelerator = Accelerator(mixed_precision=mixed, cpu=self.loop.cpu)
        self.main = self.accelerator.is_main_process
        if self.accelerator.num_processes > 1 and self.loop.steps is None:
            raise ValueError("several processes need --steps: their clocks differ")
        if self.main:
            self.out.mkdir(parents=True, exist_ok=True)
        self.loss.to(self.accelerator.device)
        self.ema = {name: value.to(self.accelerator.device) for name, value in self.ema.items()}
        self._prepared, *self._steppers = self.accelerator.prepare(self.loss, *self.optimizers)

    def _key(self, step: int) -> np.random.SeedSequence:
        """What all randomness of a step follows from; processes after the first have their own."""
        rank = self.accelerator.process_index
        return np.random.SeedSequence((self.loop.seed, step, *([rank] if rank else [])))

    def _draw(self, draw: Draw, step: int) -> Batch:
        return draw(np.random.default_rng(self._key(step)))

    def _wait_for(self, coming: Future[Batch]) -> Batch:
        started = time.monotonic()
        batch = coming.result()
        self.waited += time.monotonic() - started
        return tuple(each.to(self.accelerator.device) for each in batch)

    def _bar(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
        return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not self.main)

    def fraction(self) -> float:
        """The part of the budget that is spent, 0..1."""
        spent = self.step / self.loop.steps if self.loop.steps else 0.0
        if self.loop.minutes:
            spent = self.seconds / (60 * self.loop.minutes)
        return min(1.0, spent)

    def _advance(self, batch: Batch) -> float:
        """One optimiser step; returns the loss."""
        generator = torch.Generator().manual_seed(int(self._key(self.step).generate_state(1)[0]))
        with self.accelerator.autocast():
            loss = self._prepared(*batch, generator=generator)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingStoppedError(
                f"loss is {value} at step {self.step}; the last checkpoint in {self.out} stays"
            )
        for stepper in self._steppers:
            stepper.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.trained.values(), self.loop.clip)
        self._lr = self.loop.lr * self._pace()
        for stepper in self._steppers:
            for group in stepper.param_groups:
                group["lr"] = group["highest"] * self._pace()
            stepper.step()
        self.step += 1
        self.samples += len(batch[0]) * self.accelerator.num_processes
        self._update_ema()
        return value

    def _pace(self) -> float:
        """The learning rate as a part of its highest value."""
        rise = min(1.0, (self.step + 1) / max(1, self.loop.warmup))
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * self.fraction()))
        return rise * fall

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.loop.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.values()), list(self.trained.values()), 1 - decay)

    @torch.no_grad()
    def _keep_ema(self) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(self.ema[name])
        self.loss.to("cpu").eval()

    @property
    def checkpoint(self) -> Path:
        """Folder of the last checkpoint."""
        return self.out / "checkpoint"

    def save(self) -> None:
        """Write the checkpoint beside the old one, then swap."""
        if not self.main:
            return
        staged, old = self.out / "checkpoint.new", self.out / "checkpoint.old"
        for folder in (staged, old):
            shutil.rmtree(folder, ignore_errors=True)
        staged.mkdir(parents=True)
        tensors = {f"model.{name}": p.detach().contiguous() for name, p in self.trained.items()}
        tensors |= {f"ema.{name}": value.contiguous() for name, value in self.ema.items()}
        tensors |= {f"buffer.{name}": b.contiguous() for name, b in self.loss.named_buffers()}
        save_file(tensors, staged / "weights.safetensors")
        torch.save([each.state_dict() for each in self.optimizers], staged / "optimizer.pt")
        progress = {
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "waited": self.waited,
        }
        (staged / "progress.json").write_text(json.dumps(progress))
        if self.checkpoint.exists():
            self.checkpoint.rename(old)
        staged.rename(self.checkpoint)
        shutil.rmtree(old, ignore_errors=True)

    @torch.no_grad()
    def _resume(self) -> None:
        found = next((f for f in (self.checkpoint, self.out / "checkpoint.old") if f.is_dir()), None)
        if found is None:
            return
        tensors = load_file(found / "weights.safetensors")
        for name, parameter in self.trained.items():
            parameter.copy_(tensors[f"model.{name}"])
            self.ema[name].copy_(tensors[f"ema.{name}"])
        for name, buffer in self.loss.named_buffers():
            buffer.copy_(tensors.get(f"buffer.{name}", buffer))
        states = torch.load(found / "optimizer.pt", weights_only=True)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        progress = json.loads((found / "progress.json").read_text())
        self.step, self.seconds = int(progress["step"]), float(progress["seconds"])
        self.waited = float(progress["waited"])
        self.samples = int(progress.get("samples", 0))

    def _log(self) -> TextIO:
        """The loss log, open at its end, without lines beyond the checkpoint."""
        if not self.main:
            return Path(os.devnull).open("w")
        path = self.out / LOG
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        path.write_text("".join(lines[: self.step]))
        return path.open("a")


def device_for(loop: TrainingConfig) -> torch.device:
    """Where frozen networks compute what is trained on."""
    return torch.device("cuda" if torch.cuda.is_available() and not loop.cpu else "cpu")


def _one_thread() -> None:
    """Let what the calling thread computes use no other cores: they are the step's own."""
    torch.set_num_threads(1)


def make_optimizers(parameters: list[nn.Parameter], loop: TrainingConfig) -> list[torch.optim.Optimizer]:
    """One for weights of two or more axes, one for the others; each only where there are any."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    adamw = partial(torch.optim.AdamW, weight_decay=loop.weight_decay, betas=(0.9, 0.98), fused=True)
    muon = partial(Muon, weight_decay=loop.weight_decay)
    first = muon if loop.optimizer == "muon" else adamw
    return [
        make([{"params": some, "highest": lr}], lr=lr)
        for make, some, lr in ((first, matrices, loop.lr), (adamw, others, loop.lr_others))
        if some
    ]
