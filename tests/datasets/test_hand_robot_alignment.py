from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from h2r_bench.datasets.hand_robot_alignment import (
    Alignment,
    find_anchors,
    find_rests,
    fit_alignment,
    load_alignment,
)

if TYPE_CHECKING:
    from pathlib import Path

ROBOT = np.array([[0.16, 0.62, 0.0], [0.336, 0.31, 0.0], [0.151, 0.312, 0.0]])  # q, p, o
"""Anchors much like the authors' own [m]."""

scales = st.floats(0.5, 2.0)
rotvecs = arrays(np.float64, 3, elements=st.floats(-3.0, 3.0))
offsets = arrays(np.float64, 3, elements=st.floats(-2.0, 2.0))
clouds = arrays(np.float64, (5, 3), elements=st.floats(-1.0, 1.0))


@st.composite
def workspaces(draw: st.DrawFn, left_handed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origin, axes as columns, and anchors q, p, o of a workspace; the corner may be oblique."""
    axes = Rotation.from_rotvec(draw(rotvecs)).as_matrix()
    if left_handed:
        axes[:, 2] *= -1
    origin = draw(offsets)
    corner, side = np.radians(draw(st.floats(40.0, 140.0))), draw(st.floats(0.2, 0.8))
    local = np.array(
        [[0, draw(st.floats(0.2, 0.8)), 0], [side * np.sin(corner), side * np.cos(corner), 0], [0, 0, 0]]
    )
    return origin, axes, local


@pytest.mark.parametrize("left_handed", [False, True])
@given(data=st.data())
def test_a_known_transform_is_recovered_exactly(left_handed: bool, data: st.DataObject) -> None:
    origin, axes, local = data.draw(workspaces(left_handed))
    target_origin, target_axes = data.draw(offsets), Rotation.from_rotvec(data.draw(rotvecs)).as_matrix()
    scale = np.array([data.draw(scales) for _ in range(3)])
    known = Alignment(origin, axes, target_origin, target_axes, scale)
    hand = origin + local @ axes.T
    found = fit_alignment(hand, known.apply(hand), left_handed=left_handed, height_scale=scale[2])
    points = data.draw(clouds)
    np.testing.assert_allclose(found.apply(points), known.apply(points), atol=1e-7)
    np.testing.assert_allclose(found.apply(hand), known.apply(hand), atol=1e-9)
    np.testing.assert_allclose(found.scale, scale, rtol=1e-7)
    np.testing.assert_allclose(found.inverse.apply(found.apply(points)), points, atol=1e-7)
    np.testing.assert_allclose(np.linalg.det(found.turn), -1.0 if left_handed else 1.0)


@given(data=st.data())
def test_orientations_are_turned_and_never_stretched(data: st.DataObject) -> None:
    origin, axes, local = data.draw(workspaces(True))
    alignment = fit_alignment(origin + local @ axes.T, ROBOT, left_handed=True)
    rotation = Rotation.from_rotvec(data.draw(rotvecs)).as_matrix()
    carried = alignment.apply_rotations(rotation)
    np.testing.assert_allclose(carried @ carried.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(carried), 1.0)
    direction = data.draw(clouds)
    np.testing.assert_allclose(
        alignment.apply_directions(direction @ rotation.T),
        alignment.apply_directions(direction) @ carried.T,
        atol=1e-9,
    )
    frames = np.concatenate([direction[:1], rotation.T])
    carried_frames = alignment.apply_frames(np.stack([frames, frames]))
    np.testing.assert_allclose(carried_frames[1, 0], alignment.apply(frames[0]))
    np.testing.assert_allclose(carried_frames[1, 1:], alignment.apply_directions(frames[1:]))


def test_up_stays_up_for_a_left_handed_headset() -> None:
    # Unity: x to the right, y up, z forward. The robot: x forward, y to the left, z up.
    hand = np.array([[-0.4, 0.8, 0.2], [0.0, 0.8, 0.5], [0.0, 0.8, 0.2]])
    robot = np.array([[0.3, 0.4, 0.0], [0.6, 0.0, 0.0], [0.3, 0.0, 0.0]])
    alignment = fit_alignment(hand, robot, left_handed=True)
    np.testing.assert_allclose(alignment.apply([0.0, 0.9, 0.2]), [0.3, 0.0, 0.1], atol=1e-12)
    mistaken = fit_alignment(hand, robot, left_handed=False)
    np.testing.assert_allclose(mistaken.apply([0.0, 0.9, 0.2]), [0.3, 0.0, -0.1], atol=1e-12)


def test_the_height_takes_the_geometric_mean_unless_given() -> None:
    robot = np.array([[0.0, 0.8, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    hand = robot / [1.0, 4.0, 1.0]
    np.testing.assert_allclose(fit_alignment(hand, robot, left_handed=False).scale, [1.0, 4.0, 2.0])
    given_height = fit_alignment(hand, robot, left_handed=False, height_scale=1.2)
    np.testing.assert_allclose(given_height.scale, [1.0, 4.0, 1.2])


@given(data=st.data())
def test_collinear_points_are_refused_with_their_angle(data: st.DataObject) -> None:
    origin, direction = data.draw(offsets), Rotation.from_rotvec(data.draw(rotvecs)).apply([1.0, 0.0, 0.0])
    at = np.array([data.draw(st.floats(0.2, 0.4)), -data.draw(st.floats(0.1, 0.9)), 0.0])
    if data.draw(st.booleans()):
        at[1] = 0.5
    with pytest.raises(ValueError, match=r"hand anchors lie nearly on one line: .* (0|180)\.0 degrees"):
        fit_alignment(origin + at[:, None] * direction, ROBOT, left_handed=True)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (ROBOT[:2], r"shape \(2, 3\)"),
        (ROBOT * [1, np.nan, 1], "must be finite"),
        (ROBOT[[0, 0, 2]], r"first \(q\) and second \(p\) are 0.0 cm apart, at least 5 cm"),
        ((ROBOT - ROBOT[2]) * 0.2, r"second \(p\) and third \(o\) are 3.7 cm apart"),
    ],
)
def test_degenerate_points_are_refused_with_what_was_measured(points: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"robot anchors .*{message}"):
        fit_alignment(ROBOT, points, left_handed=False)


@pytest.mark.parametrize("height", [0.0, -1.0, np.inf, np.nan])
def test_a_height_scale_must_be_positive(height: float) -> None:
    with pytest.raises(ValueError, match="height_scale must be positive"):
        fit_alignment(ROBOT, ROBOT, left_handed=False, height_scale=height)


def test_an_alignment_is_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "anchors.json"
    path.write_text(
        json.dumps({"hand": (ROBOT * 0.5).tolist(), "robot": ROBOT.tolist(), "left_handed": False})
    )
    np.testing.assert_allclose(load_alignment(path).apply(ROBOT * 0.5), ROBOT)
    assert json.loads(json.dumps(load_alignment(path).to_json()))["scale"] == pytest.approx([2.0, 2.0, 2.0])
    for text in (
        "{",
        "[]",
        '{"hand": [], "robot": []}',
        '{"left_handed": true, "hand": [[0]], "robot": [[0]]}',
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"anchors.json gives no alignment: .+"):
            load_alignment(path)
    path.write_text('{"hands": [], "left_handed": true}')
    with pytest.raises(ValueError, match="hands"):
        load_alignment(path)


def _track(stops: np.ndarray, rate_hz: float, hold_s: float, noise: float = 0.002) -> np.ndarray:
    """A wrist that rests at each of `stops` and takes a second from one to the next."""
    parts = [np.repeat(stops[:1], int(hold_s * rate_hz), axis=0)]
    for start, end in pairwise(stops):
        way = np.linspace(0, 1, int(rate_hz))[:, None]
        parts += [start + way * (end - start), np.repeat(end[None], int(hold_s * rate_hz), axis=0)]
    track = np.concatenate(parts)
    return track + np.random.default_rng(0).uniform(-noise, noise, track.shape)


@pytest.mark.parametrize("rate_hz", [10.0, 30.0, 60.0])
def test_three_rests_give_the_anchors_in_order(rate_hz: float) -> None:
    np.testing.assert_allclose(find_anchors(_track(ROBOT, rate_hz, 3.0), rate_hz), ROBOT, atol=0.003)


def test_other_than_three_rests_are_listed_with_place_and_time() -> None:
    with pytest.raises(ValueError, match=r"found 2: \(0.160, 0.620, .*\) m from 0.0 to 3.\d s; \(0.336"):
        find_anchors(_track(ROBOT[:2], 30.0, 3.0), 30.0)
    with pytest.raises(ValueError, match=r"found 4: .*from 12.\d to 15.\d s"):
        find_anchors(_track(np.vstack([ROBOT, ROBOT[:1]]), 30.0, 3.0), 30.0)
    with pytest.raises(ValueError, match="found 0: none"):
        find_anchors(ROBOT, 30.0)


def test_a_rest_is_longer_than_two_seconds_and_within_a_centimetre() -> None:
    still = np.zeros((61, 3))  # 2 s between the first sample and the last
    assert find_rests(still, 30.0) == []
    assert len(find_rests(np.zeros((62, 3)), 30.0)) == 1
    shaking = np.zeros((200, 3))
    shaking[::2, 0] = 0.024
    assert find_rests(shaking, 30.0) == []
    drifting = np.linspace(0, 0.09, 900)[:, None] * [1.0, 0.0, 0.0]  # 3 mm/s
    assert find_rests(drifting, 30.0) == []


def test_a_rest_that_was_broken_off_counts_once() -> None:
    track = np.zeros((300, 3))
    track[150] = 0.3
    (rest,) = find_rests(track, 30.0)
    assert (rest.start_s, rest.end_s) == pytest.approx((0.0, 299 / 30))


def test_a_track_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(T, 3\)"):
        find_rests(np.zeros((5, 2)), 30.0)
    with pytest.raises(ValueError, match="2 samples of the track are not finite, the first is 3"):
        find_rests([[0.0] * 3] * 3 + [[np.nan] * 3] * 2, 30.0)
    with pytest.raises(ValueError, match="rate_hz must be positive"):
        find_rests(np.zeros((5, 3)), 0.0)
