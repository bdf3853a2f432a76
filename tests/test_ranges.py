from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st

import h2r_bench
from h2r_bench import ranges
from h2r_bench.cli import parse
from h2r_bench.ranges import Count, Index, Pixels, Positive, Range, RangeError, Share
from h2r_bench.real.arms import make_arm
from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.arms.franka import FrankaConfig
from h2r_bench.real.arms.xarm import XArmConfig
from h2r_bench.real.safety.limits import LimitsError, SafetyLimits
from h2r_bench.real.scene_cards.projection import ReferenceCamera
from h2r_bench.real.setup.calibration import (
    MARKS,
    Calibration,
    CalibrationError,
    HandEye,
    fit_mount,
    require_calibration,
)
from h2r_bench.types import MotionLimits

NO_NUMBERS = [math.nan, math.inf, -math.inf]


@dataclass(frozen=True)
class Inner:
    """Lent without a prefix, or with one."""

    speed: Positive = 1.0
    """Any."""


@dataclass(frozen=True)
class Options:
    """All kinds of numbers."""

    count: Count = 3
    """Any."""
    share: Share | None = None
    """Any."""
    free: float = 0.0
    """Any."""
    crop: tuple[Share, Share] = (0.0, 1.0)
    """Any."""
    flag: bool = False
    """Any."""
    bare: Annotated[Inner, tyro.conf.OmitArgPrefixes] = field(default_factory=Inner)
    inner: Inner = field(default_factory=Inner)


@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False), st.booleans())
def test_a_range_holds_what_lies_in_it_and_is_finite(
    value: float, low: float, high: float, above: bool
) -> None:
    inside = math.isfinite(value) and low <= value <= high and not (above and value == low)
    assert (value in Range(low, high, above)) == inside


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--count", "0"], "--count must be at least 1, got 0"),
        (["--share", "1.5"], "--share must be between 0 and 1, got 1.5"),
        (["--free", "nan"], "--free must be a finite number, got nan"),
        (["--free", "inf"], "--free must be a finite number, got inf"),
        (["--crop", "0.5", "nan"], "--crop must be between 0 and 1, got nan"),
        (["--speed", "0"], "--speed must be above 0, got 0.0"),
        (["--inner.speed", "nan"], "--inner.speed must be above 0, got nan"),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_its_option(arguments: list[str], problem: str) -> None:
    with pytest.raises(RangeError) as refused:
        parse(Options, prog="test", args=arguments)
    assert str(refused.value) == problem


def test_every_program_reads_its_command_line_by_the_one_mechanism() -> None:
    sources = Path(h2r_bench.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "tyro.cli(" in path.read_text()] == ["cli.py"]


@pytest.mark.parametrize("value", [*NO_NUMBERS, -1.0])
@pytest.mark.parametrize("name", ["max_speed", "max_rotation_speed", "max_tilt", "max_yaw"])
def test_limits_of_motion_that_are_none_are_refused(name: str, value: float) -> None:
    motion: Any = MotionLimits(**{name: value})
    with pytest.raises(LimitsError, match=name):
        SafetyLimits(motion=motion, loosen=True)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_workspace_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(LimitsError, match="workspace"):
        SafetyLimits(motion=MotionLimits(workspace_high=(value, 0.1, 0.4)), loosen=True)


@pytest.mark.parametrize(
    ("arm", "option", "value"),
    [
        ("twin", "speed", "nan"),
        ("twin", "speed", "-1"),
        ("twin", "height", "-5"),
        ("twin", "width", "1000000"),
        ("twin", "mount", "0,0,nan,0"),
        ("franka", "velocity", "7"),
        ("franka", "force_threshold", "inf"),
        ("xarm", "fence_margin", "nan"),
    ],
)
def test_arm_options_out_of_their_range_are_refused_before_anything_starts(
    arm: str, option: str, value: str
) -> None:
    with pytest.raises(ArmError, match=f"arm option {option} must be"):
        make_arm(arm, "127.0.0.1", {option: value})


def test_the_drivers_own_defaults_are_in_range() -> None:
    for config in (FrankaConfig(), XArmConfig(), SafetyLimits()):
        ranges.check(config)


def test_check_names_the_field() -> None:
    with pytest.raises(RangeError, match=r"option inner\.speed must be above 0"):
        ranges.check(replace(Options(), inner=Inner(-1.0)), "option ")


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    places = np.array([[x, y, 0.1] for x in (0.4, 0.6) for y in (-0.1, 0.1)])
    seen = ReferenceCamera((640, 480)).pixels(places + np.array([0.0, 0.0, 0.012]))
    eye = HandEye(tuple(map(tuple, places.tolist())), tuple(map(tuple, seen.tolist())), (640, 480))
    touched = np.array(MARKS) + np.array([0.0, 0.0, 0.0095])
    fit = fit_mount(touched)
    path = tmp_path / "calibration.json"
    Calibration("franka", "host", "now", fit, tuple(map(tuple, touched.tolist())), eye).save(path)
    require_calibration(path, "franka", "host")
    return path


@pytest.mark.parametrize(
    "size", [[math.nan, 480], [640, math.inf], [0, 0], [640], [640.5, 480], "wide", None]
)
def test_a_calibration_of_no_size_is_refused_however_far_off_it_is(calibrated: Path, size: Any) -> None:
    record = json.loads(calibrated.read_text())
    record["hand_eye"]["size"] = size
    record["hand_eye"]["seen"] = [[column + 200, row] for column, row in record["hand_eye"]["seen"]]
    calibrated.write_text(json.dumps(record))
    with pytest.raises(CalibrationError, match="is no calibration"):
        require_calibration(calibrated, "franka", "host")


@pytest.mark.parametrize("key", ["tool", "seen"])
def test_a_calibration_with_points_that_are_none_is_refused(calibrated: Path, key: str) -> None:
    for points in ([[math.nan, 0.0]], [], [[1.0]], "x"):
        record = json.loads(calibrated.read_text())
        record["hand_eye"][key] = points
        calibrated.write_text(json.dumps(record))
        with pytest.raises(CalibrationError, match="is no calibration"):
            require_calibration(calibrated, "franka", "host")


def test_names_of_ranges_hold_what_they_say() -> None:
    @dataclass
    class Named:
        index: Index
        pixels: Pixels

    ranges.check(Named(0, 128))
    with pytest.raises(RangeError):
        ranges.check(Named(-1, 128))
