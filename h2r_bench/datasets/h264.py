"""H.264 files to and from arrays of frames, by PyAV; frame i of a file is shown at i / rate exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from h2r_bench.types import UInt8Array

CRF = 18
"""Constant rate factor of x264: visually lossless; 0 is lossless, 51 the worst."""
KEY_EVERY = 10
"""Frames between two that can be decoded without the ones before: what a random clip costs extra, at most."""


def write_video(path: Path, frames: UInt8Array, rate_hz: float, crf: int = CRF) -> None:
    """Write `frames`, shape (T, H, W, 3) RGB with even H and W, as H.264 in yuv420p.

    One encoder thread, so that the file depends on the frames alone and workers do not crowd each other. No
    frame refers to a later one, so files of equal size can be joined packet by packet.
    """
    _, height, width, _ = frames.shape
    # Without mbtree the bytes of a file depend on its frames alone, in small pictures too.
    options = {"crf": str(crf), "preset": "veryfast", "bf": "0", "g": str(KEY_EVERY)}
    options["x264-params"] = "mbtree=0"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_rate(rate_hz), options=options)
        stream.width, stream.height, stream.pix_fmt, stream.thread_count = width, height, "yuv420p", 1
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())


def join_videos(parts: Sequence[Path], path: Path, rate_hz: float) -> None:
    """Write the videos `parts` one after another to `path`, without encoding them again.

    They must come from `write_video` with equal sizes and rates.
    """
    with av.open(str(path), "w", format="mp4") as target:
        stream, frames = None, 0
        for part in parts:
            with av.open(str(part)) as source:
                if stream is None:
                    stream = target.add_stream_from_template(source.streams.video[0])
                    stream.time_base = source.streams.video[0].time_base
                frames = _append(source, target, stream, frames, rate_hz)


def _append(
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    stream: av.VideoStream,
    frames: int,
    rate_hz: float,
) -> int:
    """Mux all packets of `source` after the `frames` that are there; returns how many there are then."""
    for packet in source.demux(video=0):
        if packet.size == 0:
            continue
        # One packet is one frame, in order: there are no frames that refer to later ones.
        packet.pts = packet.dts = round(frames / (_rate(rate_hz) * _known(packet.time_base)))
        packet.stream = stream
        target.mux(packet)
        frames += 1
    return frames


def read_video(path: Path, start: int = 0, count: int | None = None) -> UInt8Array:
    """Frames `start` .. `start + count` of a video file, all from `start` on without `count`.

    Returns shape (T, H, W, 3) uint8 RGB; T is less than `count` where the file ends.

    Raises OSError where there is no such file or it is no video.
    """
    try:
        return _decode(path, start, count)
    except av.FFmpegError as error:
        raise OSError(f"{path} is no whole video: {error}") from None


def _decode(path: Path, start: int, count: int | None) -> UInt8Array:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        unit = _known(stream.average_rate) * _known(stream.time_base)
        if start:
            container.seek(round(start / unit), stream=stream)
        frames: list[UInt8Array] = []
        # One for all frames: a new one for each, with a pool of threads, takes ten times as long as this.
        colors = av.video.reformatter.VideoReformatter()
        for frame in container.decode(stream):
            number = round((frame.pts or 0) * unit)
            if count is not None and number >= start + count:
                break
            if number >= start:
                pixels = colors.reformat(frame, format="rgb24", threads=1).to_ndarray()
                frames.append(pixels.astype(np.uint8, copy=False))
    return np.stack(frames) if frames else np.zeros((0, 0, 0, 3), np.uint8)


def _known(value: Fraction | None) -> Fraction:
    if value is None:
        raise OSError("a video without a rate")
    return value


def _rate(rate_hz: float) -> Fraction:
    return Fraction(rate_hz).limit_denominator(1001)
