"""Paired episodes on disk."""

from h2r_bench.datasets.lerobot_format import DatasetError, DatasetMeta
from h2r_bench.datasets.store import EpisodeStore

__all__ = ["DatasetError", "DatasetMeta", "EpisodeStore"]
