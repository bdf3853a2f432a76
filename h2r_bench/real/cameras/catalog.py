"""The cameras by name, and what the command line says of them. Nothing of a driver is imported before use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from h2r_bench.ranges import Pixels, Range
from h2r_bench.real.cameras.base import Camera
from h2r_bench.real.cameras.latest_frame import LatestFrame
from h2r_bench.real.cameras.view import View
from h2r_bench.registry import Registry

DEFAULT_VIEW = Path("lab/view.json")
"""Where `python -m h2r_bench.real.aim` saves what the agents see of the camera's frame."""


@dataclass(frozen=True)
class CameraConfig:
    """Which camera, and what of it the agents see."""

    camera: str = "opencv"
    """Name of a kind of camera: opencv, realsense."""
    source: str = "0"
    """opencv: number of the camera, path of a video file or address of a stream. realsense: serial number."""
    camera_size: tuple[Pixels, Pixels] = (1280, 720)
    """Width and height asked of the camera [pixels]."""
    camera_rate: Annotated[float, Range(1.0, 1000.0)] = 30.0
    """Rate asked of the camera [Hz]."""
    view: Path = DEFAULT_VIEW
    """The view saved by `python -m h2r_bench.real.aim`."""


CAMERAS: Registry[Callable[[CameraConfig], Camera]] = Registry("camera")


def make_camera(config: CameraConfig) -> Camera:
    """The camera, not yet opened. Raises UnknownNameError."""
    return CAMERAS.get(config.camera)(config)


def load_view(config: CameraConfig) -> View:
    """What the agents see of the frame. Raises SetupError when the camera was never aimed."""
    return View.load(config.view)


def _opencv(config: CameraConfig) -> Camera:
    from h2r_bench.real.cameras.opencv import OpenCVSource

    source = OpenCVSource(config.source, config.camera_size, config.camera_rate)
    return LatestFrame(f"opencv {config.source}", source)


def _realsense(config: CameraConfig) -> Camera:
    from h2r_bench.real.cameras.realsense import RealSenseSource

    serial = "" if config.source == "0" else config.source
    source = RealSenseSource(serial, config.camera_size, config.camera_rate)
    return LatestFrame(f"realsense {serial}".strip(), source)


CAMERAS.add("opencv", _opencv)
CAMERAS.add("realsense", _realsense)
