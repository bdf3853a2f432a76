"""The cameras: each driver is an extra of its own and loads when it is asked for."""

from h2r_bench.real.cameras.base import Camera, CameraError, Frame, StaleFrameError, VideoOverError
from h2r_bench.real.cameras.catalog import CAMERAS, CameraConfig, make_camera
from h2r_bench.real.cameras.view import View

__all__ = [
    "CAMERAS",
    "Camera",
    "CameraConfig",
    "CameraError",
    "Frame",
    "StaleFrameError",
    "VideoOverError",
    "View",
    "make_camera",
]
