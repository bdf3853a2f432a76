"""How alike two videos are: PSNR and SSIM, frame by frame, by scikit-image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench import extras
from h2r_bench.types import FloatArray, UInt8Array


@dataclass(frozen=True)
class Likeness:
    """How alike a predicted clip and the true one are."""

    psnr: float
    """Peak signal-to-noise ratio, mean over frames [dB]; identical frames count as 100."""
    ssim: float
    """Structural similarity, mean over frames, at most 1."""


IDENTICAL_PSNR = 100.0


def likeness(predicted: UInt8Array, true: UInt8Array) -> Likeness:
    """Compare two clips of shape (T, H, W, 3).

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
        ValueError: the shapes differ.
    """
    with extras.explained():
        from skimage.metrics import structural_similarity
    if predicted.shape != true.shape or predicted.ndim != 4:
        raise ValueError(
            f"clips of equal shape (T, H, W, 3) are compared, got {predicted.shape}, {true.shape}"
        )
    similar = [
        structural_similarity(a, b, channel_axis=-1, data_range=255)
        for a, b in zip(predicted, true, strict=True)
    ]
    return Likeness(float(psnr(predicted, true).mean()), float(np.mean(similar)))


def psnr(predicted: UInt8Array, true: UInt8Array) -> FloatArray:
    """Peak signal-to-noise ratio of each frame (T,) [dB]."""
    error = (predicted.astype(float) - true).reshape(len(true), -1)
    mean = np.square(error).mean(1)
    floor = 255.0**2 / 10 ** (IDENTICAL_PSNR / 10)
    return 10 * np.log10(255.0**2 / np.maximum(mean, floor))
