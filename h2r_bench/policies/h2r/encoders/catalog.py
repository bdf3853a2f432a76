"""Video encoders by the name that commands and manifests know. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from h2r_bench.registry import Registry

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.encoders.base import VideoEncoder

ENCODERS: Registry[str] = Registry("video encoder")
"""Names to classes, as "module:Class" in this package."""
for _name, _target in {
    "vpm": "base:VPMEncoder",
    "vpp": "base:LanguageVPMEncoder",
    "untrained": "untrained:UntrainedEncoder",
    "untrained_seeing": "untrained:SeeingUntrainedEncoder",
    "resnet18": "resnet:ResNetEncoder",
    "time": "elapsed_time:TimeEncoder",
}.items():
    ENCODERS.add(_name, _target)


def find_encoder(name: str) -> type[VideoEncoder]:
    """The encoder called `name`. Raises UnknownNameError."""
    module, _, class_name = ENCODERS.get(name).partition(":")
    found: type[VideoEncoder] = getattr(importlib.import_module(f"{__package__}.{module}"), class_name)
    return found
