from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.robot.model import FINGER_TIP_BELOW_TOOL
from h2r_bench.motion import ToolPose
from h2r_bench.real.arms.mount import Mount
from h2r_bench.real.safety.safe_arm import SafeArm
from h2r_bench.real.scene_cards.projection import ReferenceCamera
from h2r_bench.real.setup.calibrating import PLACES, jog
from h2r_bench.real.setup.calibration import (
    FINGER_ABOVE_TOOL,
    MARKS,
    UP,
    Calibration,
    CalibrationError,
    HandEye,
    find_fingers,
    fit_mount,
    require_calibration,
)
from h2r_bench.types import FloatArray

from arm_fakes import RecordingArm

TIPS = np.array(MARKS) + UP * FINGER_TIP_BELOW_TOOL
near = st.floats(-0.3, 0.3)


def touches(mount: Mount) -> FloatArray:
    """Where an arm that stands at `mount` believes its tool on the marks."""
    return np.array([mount.from_bench(ToolPose(tip, np.zeros(3))).position for tip in TIPS])


@given(near, near, near, st.floats(-3.1, 3.1))
def test_the_base_is_found_wherever_it_stands(x: float, y: float, z: float, yaw: float) -> None:
    fit = fit_mount(touches(Mount(x, y, z, yaw)))
    np.testing.assert_allclose(dataclasses.astuple(fit.mount), (x, y, z, yaw), atol=1e-7)
    assert fit.residual < 1e-7
    assert fit.complaint() == ""


@given(near, near, near, st.floats(-3.1, 3.1), st.lists(near, min_size=6, max_size=6))
def test_a_mount_goes_there_and_back(x: float, y: float, z: float, yaw: float, pose: list[float]) -> None:
    mount, tool = Mount(x, y, z, yaw), ToolPose(np.array(pose[:3]), np.array(pose[3:]))
    back = mount.from_bench(mount.to_bench(tool))
    np.testing.assert_allclose(back.position, tool.position, atol=1e-9)
    np.testing.assert_allclose(back.rotvec, tool.rotvec, atol=1e-9)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ([[0, 0.03, 0], [0, 0, 0], [0, 0, 0]], "distances between marks"),
        ([[0, 0, 0.02], [0, 0, 0], [0, 0, 0]], "tilted"),
        ([[0.008, 0, 0], [-0.008, 0, 0], [-0.008, 0, 0.0]], "touch"),
    ],
)
def test_bad_touches_are_refused_with_a_reason(error: list[list[float]], text: str) -> None:
    assert text in fit_mount(touches(Mount()) + np.array(error)).complaint()


def test_careless_touches_of_two_millimetres_still_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        off = rng.normal(size=(3, 3))
        off *= 0.002 / np.linalg.norm(off, axis=1, keepdims=True)
        assert fit_mount(touches(Mount(0.1, 0.2, 0.0, 0.3)) + off).complaint() == ""


def test_three_touches_in_one_place_are_no_plane() -> None:
    with pytest.raises(CalibrationError, match="too near"):
        fit_mount(np.zeros((3, 3)) + 0.4)


def view(fingers: list[tuple[int, int]]) -> np.ndarray:
    image = np.full((128, 128, 3), 90, np.uint8)
    for column, row in fingers:
        image[row - 2 : row + 3, column - 2 : column + 3] = 20
    return image


def test_fingers_are_where_the_picture_changes() -> None:
    opened, closed = view([(40, 60), (60, 60)]), view([(48, 60), (52, 60)])
    np.testing.assert_allclose(find_fingers(opened, closed), [50.5, 60.5], atol=0.5)
    with pytest.raises(CalibrationError, match="aim"):
        find_fingers(opened, opened)


def test_neither_noise_nor_what_is_behind_moves_the_fingers() -> None:
    opened, closed = view([(40, 60), (60, 60)]), view([(48, 60), (52, 60)])
    for image in (opened, closed):
        image[50:70, 30:46][image[50:70, 30:46] == 90] = 250  # a white box behind the left finger
    closed[10, 100], closed[12, 101] = 255, 0
    np.testing.assert_allclose(find_fingers(opened, closed), [50.5, 60.5], atol=0.5)


def eye(shift: float = 0.0, places: int = len(PLACES)) -> HandEye:
    spots = ReferenceCamera((128, 128)).pixels(np.array(PLACES) + UP * FINGER_ABOVE_TOOL) + np.array(
        [shift, 0.0]
    )
    seen = tuple(tuple(spot) for spot in spots.tolist())
    return HandEye(PLACES[:places], seen[:places], (128, 128))


def kept(hand_eye: HandEye | None = None, mount: Mount | None = None) -> Calibration:
    points = touches(mount or Mount())
    touched = tuple(tuple(row) for row in points.tolist())
    return Calibration(
        "franka", "172.16.0.2", "2026-01-01T00:00:00+00:00", fit_mount(points), touched, hand_eye
    )


def test_a_camera_that_looks_elsewhere_is_refused() -> None:
    assert eye().complaint() == ""
    assert "aim it again" in eye(shift=8.0).complaint()
    assert "at least 4" in eye(places=3).complaint()
    with pytest.raises(CalibrationError, match="not saved"):
        kept(eye(shift=8.0)).save(Path("never"))
    with pytest.raises(CalibrationError, match="camera was not checked"):
        kept().save(Path("never"))


def test_what_was_saved_is_required_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "lab" / "calibration.json"
    kept(eye(), Mount(0.1, -0.2, 0.05, 0.3)).save(path)
    found = require_calibration(path, "franka", "172.16.0.2")
    np.testing.assert_allclose(dataclasses.astuple(found.fit.mount), (0.1, -0.2, 0.05, 0.3), atol=1e-9)
    assert found.mount_option == "mount=0.10000,-0.20000,0.05000,0.30000"
    assert list(path.parent.iterdir()) == [path]


def test_without_a_calibration_that_does_there_are_no_trials(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(CalibrationError, match=r"never calibrated: run python -m h2r_bench.real.calibrate"):
        require_calibration(path, "franka", "172.16.0.2")
    kept(eye()).save(path)
    with pytest.raises(CalibrationError, match=r"is that of franka 172\.16\.0\.2"):
        require_calibration(path, "xarm", "192.168.1.20")
    record = json.loads(path.read_text())
    record["touched"][0][2] += 0.03
    path.write_text(json.dumps(record))
    with pytest.raises(CalibrationError, match="tilted"):
        require_calibration(path, "franka", "172.16.0.2")
    path.write_text("{}")
    with pytest.raises(CalibrationError, match="is no calibration"):
        require_calibration(path, "franka", "172.16.0.2")


def test_jogging_goes_as_far_as_its_letters_say() -> None:
    arm = RecordingArm()
    arm.clock.sleep_until(1.0)
    safe = SafeArm(arm)
    safe.connect()
    jog(safe, "wwa1r?")
    np.testing.assert_allclose(arm.position, [0.47, 0.01, 0.201], atol=1.1e-3)
