"""The check list before anything moves: each point with its remedy."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from h2r_bench.motion import ToolPose
from h2r_bench.real.arms.base import ArmError, ArmState
from h2r_bench.real.cameras.base import Camera
from h2r_bench.real.safety.guard import Guard
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.real.safety.safe_arm import SafeArm

STILL_M = 0.002
"""A standing arm's tool stays within this [m] ..."""
STILL_S = 0.3
"""... for this long [s]."""
MAX_READ_S, READINGS = 0.05, 5
"""Reading the state must not take longer [s], the median of so many, or it is too old to be judged by."""

FRAMES, FIRST_FRAME_S = 10, 5.0
"""So many frames are looked at; how long one may take to come [s]."""
FRAME_MARGIN = 0.8
"""Frames must come within this share of the time after which the arm is held: one comes late at times."""


@dataclass(frozen=True)
class Check:
    """One point of the list."""

    name: str
    passed: bool
    remedy: str = ""
    """What to do, where it did not pass."""


def startup_checks(safe: SafeArm) -> list[Check]:
    """Look at a connected arm that has not moved yet. An arm that cannot be read fails the first point."""
    try:
        first = safe.read_state()
        took = statistics.median(_reading_time(safe) for _ in range(READINGS))
        safe.clock.sleep_until(safe.clock.now() + STILL_S)
        last = safe.read_state()
    except ArmError as error:
        return [Check("arm answers", False, str(error))]
    return [Check("arm answers", True), *_judge(first, last, took, safe.limits)]


def _reading_time(safe: SafeArm) -> float:
    """How long one reading takes [s]."""
    before = safe.clock.now()
    safe.read_state()
    return safe.clock.now() - before


def _judge(first: ArmState, last: ArmState, took: float, limits: SafetyLimits) -> list[Check]:
    guard = Guard(limits)
    guard.anchor(ToolPose(last.position, last.rotation), open_=True)
    assert guard.pose is not None
    where = np.round(last.position, 3).tolist()
    points: list[tuple[str, bool, str]] = [
        ("no faults", not last.faults, f"the arm reports {', '.join(last.faults)}: clear it, connect again"),
        (
            "state is fresh",
            took <= MAX_READ_S,
            f"a reading took {1000 * took:.0f} ms: use a cable, not Wi-Fi",
        ),
        (
            "state is finite",
            bool(np.isfinite([*last.position, *last.rotation, last.opening]).all()),
            "restart",
        ),
        (
            "arm stands",
            float(np.linalg.norm(last.position - first.position)) < STILL_M,
            "something else moves the arm: close other programs",
        ),
        (
            "tool in the workspace",
            guard.allows(guard.pose),
            f"the tool is at {where} m or tilted: bring it above the table by hand, gripper down",
        ),
        ("gripper answers", 0.0 <= last.opening <= 1.0, "switch the gripper on and home it"),
    ]
    return [Check(name, passed, "" if passed else remedy) for name, passed, remedy in points]


def camera_check(camera: Camera, limits: SafetyLimits) -> Check:
    """Whether an open camera's frames come often enough for the watchdog. Raises CameraError without any."""
    frames = [camera.latest(timeout_s=FIRST_FRAME_S)]
    while len(frames) < FRAMES:
        frames.append(camera.latest(newer_than=frames[-1].number, timeout_s=FIRST_FRAME_S))
    gap = statistics.median(b.time_s - a.time_s for a, b in itertools.pairwise(frames))
    most = limits.timeout_s - limits.moving_braking_s
    remedy = (
        f"one every {1000 * gap:.0f} ms, where the arm is held after {1000 * most:.0f} ms without one: "
        "ask for more (--camera-rate), for smaller ones (--camera-size), or give it more light"
    )
    passed = gap <= FRAME_MARGIN * most
    return Check("frames come often enough", passed, "" if passed else remedy)


def failed(checks: list[Check]) -> list[str]:
    """One line for each point that did not pass: what, and what to do."""
    return [f"{check.name}: {check.remedy}" for check in checks if not check.passed]


def refuse_unless_passed(checks: list[Check], tell: Callable[[str], None] = print) -> None:
    """Show the list; raises ArmError naming the first point that did not pass."""
    for check in checks:
        tell(f"{'ok' if check.passed else 'NO'}  {check.name}")
    if lines := failed(checks):
        raise ArmError(f"not ready: {'; '.join(lines)}")
