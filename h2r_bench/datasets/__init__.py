"""Paired episodes on disk."""

from h2r_bench.datasets.layout import DatasetError, DatasetMeta
from h2r_bench.datasets.store import EpisodeStore

__all__ = ["DatasetError", "DatasetMeta", "EpisodeStore"]
