from __future__ import annotations

import itertools
import sys
import threading
import time
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.real.cameras import (
    CameraConfig,
    CameraError,
    StaleFrameError,
    VideoOverError,
    View,
    make_camera,
)
from h2r_bench.real.cameras.latest_frame import LatestFrame
from h2r_bench.real.cameras.opencv import OpenCVSource
from h2r_bench.real.errors import BridgeError, MissingExtraError, SetupError
from h2r_bench.real.operator.live_page import LivePage
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import UInt8Array

from bench_fakes import ScriptedSource

LONG_S = 5.0
"""Longer than anything here takes, even on a busy machine [s]."""


def picture(level: int) -> UInt8Array:
    return np.full((4, 6, 3), level, np.uint8)


class Clock:
    """Does not move by itself."""

    time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


# --- latest frame ----------------------------------------------------------------------------------------


def test_only_the_latest_frame_is_kept() -> None:
    source = ScriptedSource()
    camera = LatestFrame("test", source)
    camera.open()
    source.push(picture(1), picture(2), picture(3))
    assert camera.latest(newer_than=1, timeout_s=LONG_S).image[0, 0, 0] == 3
    camera.close()
    assert source.closed == 1


def test_frame_is_waited_for() -> None:
    source = ScriptedSource()
    camera = LatestFrame("test", source)
    camera.open()
    threading.Timer(0.05, source.push, (picture(7),)).start()
    assert camera.latest(timeout_s=LONG_S).image[0, 0, 0] == 7
    camera.close()


def test_no_frame_is_given_twice() -> None:
    source = ScriptedSource()
    camera = LatestFrame("test", source)
    camera.open()
    source.push(picture(1))
    first = camera.latest(timeout_s=LONG_S)
    with pytest.raises(StaleFrameError, match="no new frame"):
        camera.latest(newer_than=first.number, timeout_s=0.01)
    camera.close()


def test_old_frame_is_stale_even_if_it_was_never_seen() -> None:
    source, clock = ScriptedSource(), Clock()
    clock.time_s = time.monotonic()
    camera = LatestFrame("test", source, clock)
    camera.open()
    source.push(picture(1))
    assert camera.latest(timeout_s=LONG_S).number == 0
    clock.time_s += 100.0
    with pytest.raises(StaleFrameError, match="no new frame"):
        camera.latest(timeout_s=0.01)
    camera.close()


def test_picture_that_repeats_bit_for_bit_is_a_frozen_one() -> None:
    source = ScriptedSource()
    camera = LatestFrame("test", source)
    camera.open()
    source.push(picture(1), picture(1), picture(1))
    first = camera.latest(timeout_s=LONG_S)
    with pytest.raises(StaleFrameError):
        camera.latest(newer_than=first.number, timeout_s=0.05)
    source.push(picture(2))
    assert camera.latest(newer_than=first.number, timeout_s=LONG_S).number == first.number + 1
    camera.close()


def test_camera_that_breaks_says_so() -> None:
    source = ScriptedSource()
    camera = LatestFrame("test", source)
    camera.open()
    source.push(CameraError("the cable"))
    with pytest.raises(CameraError, match="the cable"):
        camera.latest(timeout_s=LONG_S)
    camera.close()
    camera.close()


def test_camera_without_any_frame_yet() -> None:
    camera = LatestFrame("test", ScriptedSource())
    camera.open()
    with pytest.raises(StaleFrameError, match="plugged in"):
        camera.latest(timeout_s=0.01)
    camera.close()


# --- drivers ---------------------------------------------------------------------------------------------


def test_unknown_camera_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'opencv'"):
        make_camera(CameraConfig("open_cv"))


@pytest.mark.parametrize("name", ["opencv", "realsense"])
def test_missing_driver_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, {"opencv": "cv2", "realsense": "pyrealsense2"}[name], None)
    with pytest.raises(MissingExtraError, match=r"h2r-bench\[real\]"):
        make_camera(CameraConfig(name)).open()


def test_driver_that_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyrealsense2.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open')\n")
    monkeypatch.delitem(sys.modules, "pyrealsense2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CameraError, match="apt install libusb"):
        make_camera(CameraConfig("realsense")).open()


def test_video_file_is_a_camera_at_its_own_rate(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    path = tmp_path / "clip.mp4"
    frames = np.stack([np.full((32, 48, 3), 10 * level, np.uint8) for level in range(8)])
    imageio.v3.imwrite(path, frames, plugin="pyav", codec="libx264", fps=50)
    source = OpenCVSource(str(path))
    source.open()
    taken = [source.grab() for _ in range(8)]
    with pytest.raises(VideoOverError, match="over after 8 frames"):
        source.grab()
    source.close()
    assert [abs(int(image[0, 0, 0]) - 10 * level) < 6 for level, (image, _) in enumerate(taken)] == [True] * 8
    gaps = [after - before for (_, before), (_, after) in itertools.pairwise(taken)]
    np.testing.assert_allclose(gaps, 0.02, atol=1e-6)


def test_colours_are_in_the_order_of_the_seam(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    path = tmp_path / "red.mp4"
    red = np.zeros((4, 32, 48, 3), np.uint8)
    red[..., 0] = 220
    imageio.v3.imwrite(path, red, plugin="pyav", codec="libx264", fps=50)
    source = OpenCVSource(str(path))
    source.open()
    image, _ = source.grab()
    source.close()
    assert image[..., 0].mean() > 180
    assert image[..., 2].mean() < 40


@pytest.mark.parametrize("source", ["nowhere.mp4", "97"])
def test_camera_that_is_not_there(source: str) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(CameraError, match="--source"):
        OpenCVSource(source).open()


# --- view ------------------------------------------------------------------------------------------------

SIDES = st.integers(16, 2000)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_box_lies_inside_the_crop_and_keeps_the_shape(frame: tuple[int, int], size: tuple[int, int]) -> None:
    view = View((0.1, 0.2, 0.5, 0.6))
    left, top, right, bottom = view.box(frame, size)
    assert 0.1 * frame[0] - 1e-6 <= left < right <= 0.6 * frame[0] + 1e-6
    assert 0.2 * frame[1] - 1e-6 <= top < bottom <= 0.8 * frame[1] + 1e-6
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1])


def test_view_crops_and_resizes() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[:, 100:] = 200
    assert View().image(frame, (20, 10)).shape == (10, 20, 3)
    assert (View((0.5, 0.0, 0.5, 1.0)).image(frame, (8, 8)) == 200).all()
    assert (View((0.5, 0.0, 0.5, 1.0), half_turn=True).image(frame, (8, 8)) == 0).all()


def test_view_of_angle_keeps_what_the_reference_sees() -> None:
    view = View.of_angle(42.0, 28.0)
    assert view.crop[3] == pytest.approx(np.tan(np.deg2rad(14)) / np.tan(np.deg2rad(21)))
    assert view.crop[1] == pytest.approx((1 - view.crop[3]) / 2)
    with pytest.raises(SetupError, match="move it back"):
        View.of_angle(20.0, 28.0)


def test_view_survives_a_file(tmp_path: Path) -> None:
    view = View((0.125, 0.25, 0.5, 0.5), half_turn=True)
    view.save(tmp_path / "lab" / "view.json")
    assert View.load(tmp_path / "lab" / "view.json") == view


@pytest.mark.parametrize("text", ["", "[]", '{"crop": [0, 0, 2, 1], "half_turn": false}', '{"crop": "x"}'])
def test_damaged_view_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "view.json").write_text(text)
    with pytest.raises(SetupError):
        View.load(tmp_path / "view.json")


def test_too_coarse_says_whether_pixels_would_be_made_up() -> None:
    assert View((0.25, 0.25, 0.5, 0.5)).too_coarse((200, 200), (128, 128))
    assert not View((0.25, 0.25, 0.5, 0.5)).too_coarse((256, 256), (128, 128))


def test_frames_from_the_future_are_stale_and_say_why() -> None:
    source = ScriptedSource()
    camera = LatestFrame("fast clock", source, clock=lambda: time.monotonic() - 3600.0)
    camera.open()
    try:
        source.push(picture(1))
        with pytest.raises(StaleFrameError, match="in the future"):
            camera.latest(timeout_s=0.3)
    finally:
        camera.close()


# --- page ------------------------------------------------------------------------------------------------


def test_page_serves_pictures_on_loopback_alone() -> None:
    from urllib.request import urlopen

    page = LivePage(lambda: picture(9), port=0)
    try:
        assert page.url.startswith("http://127.0.0.1:")
        assert b"/stream" in urlopen(page.url, timeout=LONG_S).read()
        assert imageio.v3.imread(urlopen(page.url + "picture.jpg", timeout=LONG_S).read()).shape == (4, 6, 3)
        start = urlopen(page.url + "stream", timeout=LONG_S).read(60)
        assert b"Content-Type: image/jpeg" in start
        with pytest.raises(SetupError, match="--port"):
            LivePage(lambda: picture(9), port=int(page.url.split(":")[2].rstrip("/")))
    finally:
        page.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8787", 200),
        ("127.0.0.1", 200),
        ("[::1]:8787", 200),
        ("evil.example:8787", 403),
        ("localhost.evil.example", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_page_is_not_for_names_that_were_made_to_mean_this_computer(host: str, status: int) -> None:
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    page = LivePage(lambda: picture(9), port=0)
    try:
        connection = HTTPConnection("127.0.0.1", urlsplit(page.url).port or 0, timeout=LONG_S)
        for path in ("/", "/picture.jpg"):
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
    finally:
        page.close()


def test_page_tells_when_there_is_no_picture() -> None:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    def broken() -> UInt8Array:
        raise BridgeError("no camera")

    page = LivePage(broken, port=0)
    try:
        with pytest.raises(HTTPError, match="503"):
            urlopen(page.url + "picture.jpg", timeout=LONG_S)
    finally:
        page.close()
