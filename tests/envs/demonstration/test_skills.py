"""Scripts: clocks, smoothness, turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.demonstration import skills
from h2r_bench.envs.demonstration.script import ScriptPlayer, Style, Waypoint, minimum_jerk, set_clock
from h2r_bench.geometry import wrap_angle
from h2r_bench.motion import ToolPose

angles = st.floats(-np.pi, np.pi)


@given(st.floats(-1, 2), st.floats(-1, 2))
def test_minimum_jerk_rises_from_zero_to_one(a: float, b: float) -> None:
    low, high = sorted((minimum_jerk(a), minimum_jerk(b)))
    assert 0.0 <= low <= high <= 1.0
    assert (a <= b) == (minimum_jerk(a) <= minimum_jerk(b)) or low == pytest.approx(high)


@given(angles, st.floats(np.deg2rad(45), np.deg2rad(150)), st.sampled_from([-1, 1]))
def test_turns_add_up_and_stay_inside_the_limit(yaw: float, size: float, sign: int) -> None:
    parts = skills.turns(yaw, sign * size, np.pi)
    assert sum(part for _, part in parts) == pytest.approx(sign * size)
    assert len(parts) <= 2
    heading = yaw
    for grasp, part in parts:
        assert abs(grasp) <= skills.YAW_LIMIT + 1e-9
        assert abs(grasp + part) <= skills.YAW_LIMIT + 1e-9
        assert abs(wrap_angle(2 * (grasp - heading))) < 1e-6, "the gripper holds the narrow side"
        heading += part


@given(angles, st.sampled_from([np.pi / 2, np.pi, 2 * np.pi]))
def test_the_nearest_yaw_is_equivalent_and_small(yaw: float, symmetry: float) -> None:
    near = skills.nearest_yaw(yaw, symmetry)
    assert abs(near) <= min(symmetry, np.pi) / 2 + 1e-9
    period = min(symmetry, np.pi)
    assert abs(wrap_angle((near - yaw) * 2 * np.pi / period)) < 1e-6


def test_a_slower_style_takes_longer_and_both_arrive() -> None:
    start, end = ToolPose.at(0.4, 0, 0.2), ToolPose.at(0.5, 0.1, 0.1, 0.5)
    waypoints = [Waypoint("go", end, 1.0, bow=True), Waypoint("stay", end, 0.0, dwell=0.5)]
    lengths = []
    for style in (Style(speed=1.2, curvature=0.1), Style(speed=0.8, curvature=-0.1)):
        clock = set_clock(start, waypoints, style)
        player = ScriptPlayer(start, waypoints, clock, style)
        poses = []
        while not player.done:
            poses.append(player.next(None))  # type: ignore[arg-type]  # no waypoint corrects itself here
        assert len(poses) == clock.total
        np.testing.assert_allclose(poses[-1][0].position, end.position, atol=1e-9)
        assert poses[0][1] == 1.0
        assert poses[-1][1] == 0.0
        lengths.append(clock.total)
    assert lengths[0] < lengths[1]


def test_a_shared_clock_keeps_two_plays_in_phase() -> None:
    start = ToolPose.at(0.4, 0, 0.2)
    near, far = ([Waypoint("go", ToolPose.at(0.4 + way, 0, 0.1), 1.0)] for way in (0.1, 0.14))
    clock = set_clock(start, near, Style())
    players = [ScriptPlayer(start, way, clock, Style()) for way in (near, far)]
    while not players[0].done:
        poses = [player.next(None)[0].position[0] - 0.4 for player in players]  # type: ignore[arg-type]
        assert poses[1] == pytest.approx(1.4 * poses[0])
    assert players[1].done
