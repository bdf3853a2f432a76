"""H.264 files to and from arrays of frames, by PyAV."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import UInt8Array

CRF = 18
"""Constant rate factor of x264: visually lossless; 0 is lossless, 51 the worst."""


def write_video(path: Path, frames: UInt8Array, rate_hz: float, crf: int = CRF) -> None:
    """Write `frames`, shape (T, H, W, 3) RGB with even H and W, as H.264 in yuv420p.

    One encoder thread, so that the file depends on the frames alone and workers do not crowd each other.
    """
    _, height, width, _ = frames.shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(rate_hz).limit_denominator(1001),
            options={"crf": str(crf), "preset": "veryfast"},
        )
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = width, height, "yuv420p", 1
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())


def read_video(path: Path) -> UInt8Array:
    """All frames of a video file, shape (T, H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    return np.stack(frames).astype(np.uint8, copy=False)
