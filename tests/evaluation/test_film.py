from __future__ import annotations

from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from h2r_bench.evaluation.film import TrialVideo, imagination_of, side_by_side, views_of
from h2r_bench.evaluation.latency import delayed
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.types import Demonstration


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
    assert views_of(path) == ("human", "robot")
    np.testing.assert_allclose(frames[:, 16, 20, 0], [40, 80, 80, 80], atol=6)
    np.testing.assert_allclose(frames[:, 16, 80, 0], 200, atol=6)
    assert imageio.v3.immeta(path, plugin="pyav")["fps"] == 10
    assert [found.name for found in path.parent.iterdir()] == ["film.mp4"]


def test_what_is_imagined_is_a_third_panel(tmp_path: Path) -> None:
    demonstration = Demonstration(np.stack([flat(40)]), 10.0, "")
    video = TrialVideo(lambda step: flat(100 + 50 * step))
    for step in range(3):
        video.add(demonstration, step, flat(200))
    video.save(tmp_path / "film.mp4")
    frames = imageio.v3.imread(tmp_path / "film.mp4", plugin="pyav").astype(int)
    assert frames.shape == (3, 32, 144, 3)
    assert views_of(tmp_path / "film.mp4") == ("human", "robot", "imagined")
    np.testing.assert_allclose(frames[:, 16, 120, 0], [100, 150, 200], atol=6)


def test_films_by_others_have_two_views(tmp_path: Path) -> None:
    imageio.v3.imwrite(
        tmp_path / "film.mp4", np.zeros((2, 32, 96, 3), np.uint8), plugin="pyav", codec="libx264"
    )
    (tmp_path / "torn.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    assert views_of(tmp_path / "film.mp4") == views_of(tmp_path / "torn.mp4") == ("human", "robot")


def test_only_agents_that_imagine_are_asked() -> None:
    assert imagination_of(RandomAgent()) is None
    assert imagination_of(delayed(RandomAgent(), 2)) is None


@pytest.mark.parametrize(("height", "width"), [(31, 48), (32, 47), (33, 33)])
def test_frames_have_even_sides(height: int, width: int) -> None:
    shape = side_by_side(flat(1, height, width), flat(2, height, width + 1)).shape
    assert shape[0] % 2 == shape[1] % 2 == 0
