"""Modules that are stored as a config and a weight file of one name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from h2r_bench.policies.common.checkpoints import load_model, read_config, save_weights
from h2r_bench.policies.common.config_json import to_json

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class Stored(nn.Module):
    """A module whose constructor takes its config alone."""

    name: ClassVar[str]
    """Of its files, without ending."""
    kind: ClassVar[type]
    """Class of its config, a frozen dataclass."""
    config: Any

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `name`.json and `name`.safetensors, floating values as `dtype`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps(to_json(self.config), indent=1) + "\n")
        save_weights(self, folder / f"{self.name}.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The inverse of `save`, in float32. Raises WeightsMissingError or WeightsDamagedError."""
        sizes, weights = (folder / f"{cls.name}.{ending}" for ending in ("json", "safetensors"))
        config: Any = read_config(cls.kind, sizes)
        return load_model(sizes, lambda: cls(config), lambda model: {weights: model})
