"""An Intel RealSense camera, colour only, through pyrealsense2."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from h2r_bench.real.cameras.base import CameraError
from h2r_bench.real.errors import MissingExtraError
from h2r_bench.types import UInt8Array

_WAIT_MS = 1000
_OLDEST_S = 1.0
"""A time stamp further back than this is of another clock, not of an old frame [s]."""


class RealSenseSource:
    """The camera with a serial number, or the only one there is."""

    live = True

    def __init__(self, serial: str = "", size: tuple[int, int] = (1280, 720), rate_hz: float = 30.0) -> None:
        """Prepare for `size` (width, height) [pixels] at `rate_hz` [Hz], the paper's by default."""
        self._serial, self._size, self._rate_hz = serial, size, rate_hz
        self._pipeline: Any = None

    def open(self) -> None:
        """Start streaming. Raises CameraError when there is no such camera, MissingExtraError."""
        try:
            import pyrealsense2 as rs
        except ModuleNotFoundError:
            raise MissingExtraError("pyrealsense2 (for --camera realsense)") from None
        except ImportError as error:
            raise CameraError(
                f"pyrealsense2 does not load ({error}); if that is libusb: apt install libusb-1.0-0"
            ) from None
        there = [each.get_info(rs.camera_info.serial_number) for each in rs.context().query_devices()]
        if not there:
            raise CameraError("no RealSense camera is connected: plug it into a USB 3 port")
        if self._serial and self._serial not in there:
            raise CameraError(f"no RealSense camera {self._serial}; connected: {', '.join(there)}")
        config = rs.config()
        if self._serial:
            config.enable_device(self._serial)
        config.enable_stream(rs.stream.color, *self._size, rs.format.rgb8, int(self._rate_hz))
        pipeline = rs.pipeline()
        try:
            pipeline.start(config)
        except RuntimeError as error:
            raise CameraError(f"RealSense: {error}; try a USB 3 port or a smaller --camera-size") from None
        self._pipeline = pipeline

    def grab(self) -> tuple[UInt8Array, float]:
        """The next picture (H, W, 3), RGB, and when it was taken [s]."""
        try:
            colour = self._pipeline.wait_for_frames(_WAIT_MS).get_color_frame()
        except RuntimeError as error:
            raise CameraError(f"RealSense stopped: {error}; check its cable, then start again") from None
        return np.array(colour.get_data(), np.uint8), _taken_s(colour.get_timestamp() / 1000)

    def close(self) -> None:
        """Stop streaming."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.stop()


def _taken_s(stamp_s: float) -> float:
    """The monotonic time [s] of a frame that the driver stamped `stamp_s` [s] after the epoch."""
    age = time.time() - stamp_s
    return time.monotonic() - (age if 0.0 <= age < _OLDEST_S else 0.0)
