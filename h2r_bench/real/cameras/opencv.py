"""Any UVC camera, network stream or video file, through OpenCV."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from h2r_bench.real.cameras.base import CameraError, VideoOverError
from h2r_bench.real.errors import MissingExtraError
from h2r_bench.types import UInt8Array


class OpenCVSource:
    """A device by number, a stream by address, or a file by path, played at its own rate."""

    def __init__(self, source: str = "0", size: tuple[int, int] = (1280, 720), rate_hz: float = 30.0) -> None:
        """Prepare; `size` (width, height) [pixels] and `rate_hz` [Hz] are asked of devices."""
        self._source = source
        self._size, self._rate_hz = size, rate_hz
        self._file = not source.isdigit() and "://" not in source
        self.live = source.isdigit()
        self._capture: Any = None
        self._cv: Any = None
        self._started_s, self._read = 0.0, 0

    def open(self) -> None:
        """Open it. Raises CameraError when there is nothing, MissingExtraError without OpenCV."""
        try:
            import cv2
        except ImportError:
            raise MissingExtraError("OpenCV (for --camera opencv)") from None
        if self._file and not Path(self._source).is_file():
            raise CameraError(f"--source {self._source}: no such video file, and no number of a camera")
        self._cv = cv2
        self._capture = cv2.VideoCapture(int(self._source) if self._source.isdigit() else self._source)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(f"no camera opens as --source {self._source}; see /dev/video* for the numbers")
        if self.live:
            self._ask_for_rate()
        if self._file:
            self._rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or self._rate_hz
        self._started_s, self._read = time.monotonic(), 0

    def grab(self) -> tuple[UInt8Array, float]:
        """The next picture (H, W, 3), RGB, and when it was taken [s]."""
        given, image = self._capture.read()
        if not given and self._file:
            raise VideoOverError(f"{self._source} is over after {self._read} frames")
        if not given:
            raise CameraError(f"camera {self._source} stopped: check its cable, then start again")
        time_s = time.monotonic()
        if self._file:
            time_s = self._started_s + self._read / self._rate_hz
            time.sleep(max(time_s - time.monotonic(), 0.0))
        self._read += 1
        return self._cv.cvtColor(image, self._cv.COLOR_BGR2RGB), time_s

    def close(self) -> None:
        """Let it go."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _ask_for_rate(self) -> None:
        """Ask the device for size and rate; it may choose others. One buffer only: old frames are stale."""
        cv, (width, height) = self._cv, self._size
        self._capture.set(cv.CAP_PROP_FOURCC, cv.VideoWriter_fourcc(*"MJPG"))
        self._capture.set(cv.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv.CAP_PROP_FPS, self._rate_hz)
        self._capture.set(cv.CAP_PROP_BUFFERSIZE, 1)
