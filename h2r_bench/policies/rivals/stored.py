"""Modules that are stored as a config and a weight file of one name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from h2r_bench.policies.h2r.config import from_json, to_json
from h2r_bench.policies.h2r.files import WeightsMissingError, load_weights, save_weights

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
        path = folder / f"{cls.name}.json"
        if not path.is_file():
            raise WeightsMissingError(f"{folder} holds no weights of this agent: {path.name} is missing")
        model = cls(from_json(cls.kind, json.loads(path.read_text())))
        load_weights(model, folder / f"{cls.name}.safetensors")
        return model.eval()
