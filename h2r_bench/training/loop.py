"""The training loop that every part shares: budget, learning rate, EMA, checkpoints, progress, log.

A step's randomness is keyed by the seed and the step, and everything else is in the checkpoint, so a run that
was interrupted gives the weights of one that was not (bit by bit, when its length is given in steps).
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn


class TrainingStoppedError(RuntimeError):
    """The loss is no longer a number; the last checkpoint is intact."""


@dataclass(frozen=True)
class Loop:
    """How long and how fast to train."""

    steps: int | None = None
    """Optimiser steps in all; the run is then reproducible bit by bit on one machine."""
    minutes: float | None = None
    """Or minutes of wall time in all [min]."""
    lr: float = 5e-4
    """Highest learning rate, after the warm-up; it falls to a twentieth as a cosine."""
    warmup: int = 20
    """Steps over which the learning rate rises from zero."""
    weight_decay: float = 0.01
    """AdamW's."""
    ema: float = 0.99
    """Decay of the running mean of the weights, which is what is kept in the end."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    checkpoint_minutes: float = 2.0
    """Time between checkpoints [min]."""
    seed: int = 0
    """Of the initial weights, the batches and the noise."""

    def check(self) -> None:
        """Raises ValueError for a budget that makes no sense."""
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("say how long to train: --steps or --minutes, one of them")
        short = (self.steps is not None and self.steps < 1) or (
            self.minutes is not None and self.minutes <= 0
        )
        if short or self.seed < 0:
            raise ValueError("--steps is at least 1, --minutes above 0, --seed at least 0")


class Trainer:
    """Trains the parameters of `module` that want gradients, and leaves their EMA in it."""

    def __init__(self, module: nn.Module, loop: Loop, out: Path) -> None:
        self.module = module
        self.loop = loop
        self.out = out
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=loop.lr, weight_decay=loop.weight_decay, betas=(0.9, 0.98)
        )
        self.ema = {name: p.detach().clone() for name, p in self.trained.items()}
        self.step = 0
        self.seconds = 0.0

    def run(self, loss_of: Callable[[np.random.Generator, torch.Generator], Tensor], title: str) -> None:
        """Step until the budget is spent; `loss_of` draws a batch and noise from the generators given."""
        self.out.mkdir(parents=True, exist_ok=True)
        self._resume()
        self.module.train()
        log = self._log()
        before, saved = time.monotonic() - self.seconds, self.seconds
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"))
        with log, Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            bar = progress.add_task(title, total=1.0, loss="")
            smooth: float | None = None
            while self.fraction() < 1.0:
                loss = self._advance(loss_of)
                smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
                self.seconds = time.monotonic() - before
                rate = self.optimizer.param_groups[0]["lr"]
                log.write(
                    json.dumps({"step": self.step, "loss": loss, "lr": rate, "seconds": self.seconds}) + "\n"
                )
                progress.update(bar, completed=self.fraction(), loss=f"step {self.step}  loss {smooth:.4f}")
                if self.seconds - saved > 60 * self.loop.checkpoint_minutes:
                    log.flush()
                    self.save()
                    saved = self.seconds
        self.save()
        self._keep_ema()

    def fraction(self) -> float:
        """The part of the budget that is spent, 0..1."""
        spent = self.step / self.loop.steps if self.loop.steps else 0.0
        if self.loop.minutes:
            spent = self.seconds / (60 * self.loop.minutes)
        return min(1.0, spent)

    def _advance(self, loss_of: Callable[[np.random.Generator, torch.Generator], Tensor]) -> float:
        key = np.random.SeedSequence((self.loop.seed, self.step))
        loss = loss_of(
            np.random.default_rng(key), torch.Generator().manual_seed(int(key.generate_state(1)[0]))
        )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingStoppedError(
                f"loss is {value} at step {self.step}; the last checkpoint in {self.out} stays"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.loop.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.step()
        self.step += 1
        self._update_ema()
        return value

    def _rate(self) -> float:
        rise = min(1.0, (self.step + 1) / max(1, self.loop.warmup))
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * self.fraction()))
        return self.loop.lr * rise * fall

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.loop.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.values()), list(self.trained.values()), 1 - decay)

    @torch.no_grad()
    def _keep_ema(self) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(self.ema[name])
        self.module.eval()

    @property
    def checkpoint(self) -> Path:
        """Folder of the last checkpoint."""
        return self.out / "checkpoint"

    def save(self) -> None:
        """Write the checkpoint beside the old one, then swap."""
        staged, old = self.out / "checkpoint.new", self.out / "checkpoint.old"
        for folder in (staged, old):
            shutil.rmtree(folder, ignore_errors=True)
        staged.mkdir(parents=True)
        tensors = {f"model.{name}": p.detach().contiguous() for name, p in self.trained.items()}
        tensors |= {f"ema.{name}": value.contiguous() for name, value in self.ema.items()}
        save_file(tensors, staged / "weights.safetensors")
        torch.save(self.optimizer.state_dict(), staged / "optimizer.pt")
        (staged / "progress.json").write_text(json.dumps({"step": self.step, "seconds": self.seconds}))
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
        self.optimizer.load_state_dict(torch.load(found / "optimizer.pt", weights_only=True))
        progress = json.loads((found / "progress.json").read_text())
        self.step, self.seconds = int(progress["step"]), float(progress["seconds"])

    def _log(self) -> TextIO:
        """The loss log, open at its end, without lines beyond the checkpoint."""
        path = self.out / "loss.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        path.write_text("".join(lines[: self.step]))
        return path.open("a")
