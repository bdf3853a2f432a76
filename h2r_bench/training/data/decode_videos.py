"""Decode the videos of a dataset before anything is trained on them: with several processes, once for all."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track

from h2r_bench.datasets import EpisodeStore
from h2r_bench.datasets.lock import hold
from h2r_bench.training.data.frames import VIDEOS, compress, frames_folder, raw_path

if TYPE_CHECKING:
    from pathlib import Path


def decode(data: Path, workers: int) -> Path:
    """Keep the frames of dataset `data` as JPEGs, as the first training would: a process for each video.

    Returns the folder they are in. Raises DatasetError.
    """
    store = EpisodeStore.open(data)
    folder = frames_folder(data, len(store))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(VIDEOS)), mp_context=context) as pool:
        list(pool.map(_compress, [data] * len(VIDEOS), VIDEOS))
    return folder


def _compress(data: Path, name: str) -> None:
    store = EpisodeStore.open(data)
    ticks = iter(track(range(len(store)), f"decoding {name}", console=Console(stderr=True)))

    def tick() -> None:
        next(ticks, None)

    compress(store, frames_folder(data, len(store)), (name,), tick)


def decode_raw(data: Path, workers: int) -> Path:
    """Keep all frames of dataset `data` uncompressed; returns the folder they are in.

    A random frame then costs a copy instead of a decoded JPEG, and all processes on a machine share one page
    cache. At 128x128 a million frames fill 49 GB. Raises DatasetError, also while another process decodes.
    """
    store = EpisodeStore.open(data)
    folder = frames_folder(data, len(store))
    with hold(folder):
        _decode_missing(data, store, folder, workers)
    return folder


def _decode_missing(data: Path, store: EpisodeStore, folder: Path, workers: int) -> None:
    """The videos that are not in `folder` yet."""
    width, height = store.meta.image_size
    missing = [name for name in VIDEOS if not raw_path(folder, name).exists()]
    for name in missing:
        shape = (store.steps, height, width, 3)
        np.lib.format.open_memmap(_part(folder, name), "w+", np.uint8, shape).flush()
    starts = np.concatenate([[0], np.cumsum([store.length(position) for position in range(len(store))])])
    jobs = [(name, position, int(starts[position])) for name in missing for position in range(len(store))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        done = (
            pool.map(_decode, *zip(*[(data, *job) for job in jobs], strict=True), chunksize=16)
            if jobs
            else ()
        )
        for _ in track(done, "decoding videos", total=len(jobs), console=Console(stderr=True)):
            pass
    for name in missing:
        _part(folder, name).replace(raw_path(folder, name))


def _decode(data: Path, name: str, position: int, start: int) -> None:
    store = _opened(data)
    frames = store.read_frames(position, name)
    _array(_part(frames_folder(data, len(store)), name))[start : start + len(frames)] = frames


def _part(folder: Path, name: str) -> Path:
    return folder / f"{name}.part.npy"


@lru_cache(maxsize=1)
def _opened(data: Path) -> EpisodeStore:
    """The dataset, opened once in each worker."""
    return EpisodeStore.open(data)


@lru_cache(maxsize=2)
def _array(path: Path) -> np.ndarray:
    return np.lib.format.open_memmap(path, "r+")
