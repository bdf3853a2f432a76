"""The VPM at its initial parameters, frozen: what the decoder alone makes of it (paper, section 5.3).

Only the VAE is trained, as the paper's initial parameters bring one along. All else follows from a seed, so
what is stored is that seed, the VAE, and a few of the values, by which another random generator would be
noticed. (Not a hash: a processor with wider vectors draws values that differ in their last digits.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from h2r_bench.policies.common.checkpoints import (
    WeightsDamagedError,
    check_shapes,
    load_weights,
    read_sizes,
    save_weights,
)
from h2r_bench.policies.common.config_json import from_json, to_json
from h2r_bench.policies.h2r.config import VPMConfig
from h2r_bench.policies.h2r.encoders.base import VPMEncoder, vpm_run
from h2r_bench.policies.h2r.vpm import VideoPredictionModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from h2r_bench.policies.h2r.config import H2RConfig
    from h2r_bench.policies.h2r.encoders.base import Sources

RECORD = "untrained.json"
LAST_DIGITS = 1e-5
"""What values may differ by from one processor to another."""


MAX_DRAWN = 4_000_000_000
"""Most parameters that are drawn from a seed; the paper's model has under half as many."""


@dataclass(frozen=True)
class Origin:
    """What the parameters of an untrained model follow from, apart from its VAE."""

    config: VPMConfig
    temporal: bool
    seeing: bool
    """Whether the behaviour extractor's projection is drawn from a Gaussian. At zero, as training starts with
    it, the human has no influence on the features at all."""
    seed: int

    def model(self) -> VideoPredictionModel:
        """The model, with an untrained VAE."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = VideoPredictionModel(self.config, temporal=self.temporal)
            if self.seeing:
                projection = model.behavior.projection
                nn.init.normal_(projection.weight, std=(9 * projection.in_channels) ** -0.5)
        return model.eval().requires_grad_(False)


def untrained(
    trained: VideoPredictionModel, *, seeing: bool, seed: int
) -> tuple[VideoPredictionModel, Origin]:
    """`trained` at initial parameters drawn from `seed`, VAE and CLIP as they are; and their origin.

    Raises ValueError for a model that is told the task.
    """
    if trained.config.language is not None:
        raise ValueError("only a model that is shown a human (train vpm) serves untrained")
    origin = Origin(trained.config, trained.temporal, seeing, seed)
    vpm = origin.model()
    vpm.vae.load_state_dict(trained.vae.state_dict())
    if trained.config.clip is not None:
        vpm.image_encoder.load_state_dict(trained.image_encoder.state_dict())
    return vpm, origin


class UntrainedEncoder(VPMEncoder):
    """Features of a VPM that was never trained."""

    own_run = False
    seeing: ClassVar[bool] = False

    def __init__(self, vpm: VideoPredictionModel, origin: Origin) -> None:
        super().__init__(vpm)
        self.origin = origin

    @classmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> Self:
        """With sizes and VAE of the run `sources.vpm`. Raises ValueError when there is none."""
        return cls(*untrained(VideoPredictionModel.load(vpm_run(sources)), seeing=cls.seeing, seed=seed))

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the VAE, and from what the rest follows."""
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.vpm.vae, folder / "vae.safetensors", dtype)
        record = {**to_json(self.origin), "drawn": drawn(self.vpm)}
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The same model again. Raises WeightsDamagedError when it does not come out the same."""
        path = folder / RECORD
        record = read_sizes(path)
        record.pop("sha256", None)  # what earlier versions compared
        wanted = record.pop("drawn", {})
        try:
            origin = from_json(Origin, record)
            with torch.device("meta"):
                outline = VideoPredictionModel(origin.config, temporal=origin.temporal)
        except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise WeightsDamagedError(f"{path} is damaged: {error}") from None
        check_shapes(outline.vae, folder / "vae.safetensors")
        if (count := sum(each.numel() for each in outline.parameters())) > MAX_DRAWN:
            raise WeightsDamagedError(f"{path} is damaged: it draws {count} parameters")
        vpm = origin.model()
        if not same_draw(drawn(vpm), wanted):
            raise WeightsDamagedError(
                f"{path}: this PyTorch draws other initial parameters from seed {origin.seed} than the "
                "one it was made with: train the decoder anew"
            )
        load_weights(vpm.vae, folder / "vae.safetensors")
        return cls(vpm, origin)


class SeeingUntrainedEncoder(UntrainedEncoder):
    """The same with a projection that lets the human through."""

    seeing = True


def drawn(vpm: VideoPredictionModel) -> dict[str, float]:
    """The last value of each of the parameters that are drawn, the VAE's apart."""
    return {
        name: round(float(value.flatten()[-1]), 7)
        for name, value in sorted(vpm.state_dict().items())
        if not name.startswith("vae.") and value.is_floating_point()
    }


def same_draw(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two draws are the same but for their last digits."""
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) < LAST_DIGITS for name in one)
