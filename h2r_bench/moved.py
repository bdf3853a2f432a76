"""Where modules were in version 0.1: by their old names they are found for one version, with a warning.

A module that is new should import from the new place; nothing in the package imports from an old one.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

MODULES: dict[str, tuple[str, ...]] = {
    "chunks": ("evaluation.latency", "evaluation.action_queue"),
    "datasets.alignment": ("datasets.hand_robot_alignment",),
    "datasets.layout": ("datasets.lerobot_format",),
    "datasets.page": ("datasets.html_summary",),
    "datasets.video": ("datasets.h264",),
    "envs.control": ("motion", "envs.robot.control"),
    "envs.gl": ("envs.rendering.gl",),
    "policies.chunking": ("policies.common.chunking",),
    "policies.h2r.files": ("policies.common.checkpoints",),
    "policies.hand_tracker": ("policies.baselines.hand_tracker.agent",),
    "policies.language": ("policies.common.language",),
    "policies.remote": ("remote.client",),
    "protocol": ("remote.messages",),
    "rotations": ("geometry",),
    "ruler": ("video_metrics.gripper_localizer",),
    "serving": ("remote.server",),
    "trials": ("evaluation.trial", "evaluation.log"),
    "video": ("evaluation.film",),
    "wire": ("remote.wire",),
}
"""Old module to where its names are now, all below the package."""
NAMES = {
    "ChunkPlayer": "ActionQueue",
    "Due": "ChunkRequest",
    "LateAgent": "DelayedAgent",
    "Plan": "ChunkState",
    "Rows": "ObservationBatch",
    "Ruler": "GripperLocalizer",
    "load_ruler": "load_localizer",
}
"""Old name to new one, of what these modules hold."""


class MovedModule(ModuleType):
    """Stands where a module was and hands out what has become of its names."""

    def __getattr__(self, name: str) -> Any:
        """What `name` is called now. Raises AttributeError for a name that is gone."""
        if name.startswith("__"):
            raise AttributeError(name)
        for place in MODULES[self.__name__.removeprefix(f"{__package__}.")]:
            module = importlib.import_module(f"{__package__}.{place}")
            for candidate in (name, NAMES.get(name, name)):
                if hasattr(module, candidate):
                    told = f"{self.__name__}.{name} is now {module.__name__}.{candidate}"
                    warnings.warn(told, DeprecationWarning, stacklevel=2)
                    return getattr(module, candidate)
        raise AttributeError(f"{self.__name__} has moved, and {name!r} is gone")


class MovedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by the names that they had; asked only for what is nowhere else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The stand-in of `fullname`, if that is where a module was."""
        if fullname.removeprefix(f"{__package__}.") not in MODULES or not fullname.startswith(
            f"{__package__}."
        ):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The stand-in."""
        return MovedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def install() -> None:
    """Let old names be found. Calling it again changes nothing."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedFinder())
