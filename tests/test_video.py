from __future__ import annotations

from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from h2r_bench.types import Demonstration
from h2r_bench.video import TrialVideo, side_by_side


def flat(shade: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def test_human_left_robot_right_and_the_last_human_frame_stays(tmp_path: Path) -> None:
    demonstration = Demonstration(np.stack([flat(40), flat(80)]), 10.0, "")
    video = TrialVideo()
    for step in range(4):
        video.add(demonstration, step, flat(200))
    path = tmp_path / "deep" / "film.mp4"
    video.save(path)
    frames = imageio.v3.imread(path, plugin="pyav").astype(int)
    assert frames.shape == (4, 32, 96, 3)
    np.testing.assert_allclose(frames[:, 16, 20, 0], [40, 80, 80, 80], atol=6)
    np.testing.assert_allclose(frames[:, 16, 80, 0], 200, atol=6)
    assert imageio.v3.immeta(path, plugin="pyav")["fps"] == 10
    assert [found.name for found in path.parent.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(("height", "width"), [(31, 48), (32, 47), (33, 33)])
def test_frames_have_even_sides(height: int, width: int) -> None:
    shape = side_by_side(flat(1, height, width), flat(2, height, width + 1)).shape
    assert shape[0] % 2 == shape[1] % 2 == 0
