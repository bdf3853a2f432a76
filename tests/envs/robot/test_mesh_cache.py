from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from h2r_bench.training.data.cached_array import CachedArray

if TYPE_CHECKING:
    from pathlib import Path


def kept(path: Path, asked: list[int]) -> CachedArray:
    def compute(index: Any) -> Any:
        asked.extend(index.tolist())
        return index[:, None] * np.ones(3)

    return CachedArray(path, (10, 3), compute, piece=2)


def test_rows_are_computed_once_and_outlast_the_process(tmp_path: Path) -> None:
    asked: list[int] = []
    first = kept(tmp_path / "rows.npy", asked)
    np.testing.assert_array_equal(first[np.array([[4, 1], [4, 7]])][:, :, 0], [[4, 1], [4, 7]])
    assert sorted(asked) == [1, 4, 7]
    again = kept(tmp_path / "rows.npy", asked)
    np.testing.assert_array_equal(again[np.array([7, 2])][:, 2], [7, 2])
    assert sorted(asked) == [1, 2, 4, 7]


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    kept(tmp_path / "rows.npy", [])
    with pytest.raises(ValueError, match="delete it"):
        CachedArray(tmp_path / "rows.npy", (11, 3), lambda index: index)
