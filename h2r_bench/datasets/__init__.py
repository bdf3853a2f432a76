"""Paired episodes on disk."""

from h2r_bench.datasets.store import DatasetError, DatasetMeta, EpisodeStore

__all__ = ["DatasetError", "DatasetMeta", "EpisodeStore"]
