"""A script: waypoints of the tool on a phase clock, and the style in which they are played.

The same script is played by the robot and by the hand. Durations are fixed once, from the scene of the
demonstration, so that two rollouts in shifted scenes stay aligned in phase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from h2r_bench.envs.simulation import Snapshot
from h2r_bench.motion import ToolPose
from h2r_bench.types import CONTROL_HZ, FloatArray

Correction = Callable[[Snapshot, ToolPose], ToolPose]

_MIN_SEGMENT_STEPS = 3
_YAW_PACE = 0.9
"""Average turning speed [rad/s] at style speed 1."""
_TREMOR_STEPS = 6
"""Correlation time of the tremor [control steps]."""


@dataclass(frozen=True)
class Waypoint:
    """Where the tool goes next."""

    name: str
    pose: ToolPose
    """Nominal pose, from the scene at the start."""
    gripper: float
    """0 closes, 1 opens."""
    pace: float = 0.16
    """Average speed on the way [m/s] at style speed 1."""
    dwell: float = 0.0
    """Time spent there [s] at style speed 1."""
    correct: Correction | None = None
    """Adjusts the nominal pose to the world as it is when the way there begins."""
    bow: bool = False
    """Whether the style's curvature applies on the way."""
    path: FloatArray | None = None
    """Shape (N, 3) [m]: the way itself, ending at the pose, where it is not straight. It is not corrected."""

    def length_from(self, start: FloatArray) -> float:
        """Length of the way from `start` (3,) [m]."""
        path = np.stack([start, self.pose.position]) if self.path is None else self.path
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


@dataclass(frozen=True)
class Style:
    """How a script is played."""

    speed: float = 1.0
    """Multiplies all speeds."""
    curvature: float = 0.0
    """Sideways bow of free motions, as a share of their length, signed."""
    pause: float = 0.0
    """Extra time at each stop [s]."""
    tremor: float = 0.0
    """Standard deviation of the tool's tremor [m]."""
    start: tuple[float, float, float] = (0.44, 0.0, 0.17)
    """Where the tool starts [m], robot base frame."""
    seed: int = 0
    """Of the tremor."""

    @staticmethod
    def sample(rng: np.random.Generator) -> Style:
        """A person's way of moving."""
        offset = rng.uniform((-0.02, -0.03, -0.02), (0.02, 0.03, 0.02))
        return Style(
            speed=float(rng.uniform(0.85, 1.2)),
            curvature=float(rng.uniform(-0.12, 0.12)),
            pause=float(rng.uniform(0.0, 0.25)),
            tremor=float(rng.uniform(0.0, 0.0008)),
            start=(float(0.44 + offset[0]), float(offset[1]), float(0.17 + offset[2])),
            seed=int(rng.integers(2**31)),
        )

    @property
    def start_pose(self) -> ToolPose:
        """Where the tool starts, gripper down."""
        return ToolPose.at(*self.start)


BRISK = Style(speed=1.3)
"""The expert's own style: never slower than a demonstration."""


@dataclass(frozen=True)
class PhaseClock:
    """Control steps of motion and of dwelling for each waypoint: the phase clock of a script."""

    motion: tuple[int, ...]
    dwell: tuple[int, ...]

    @property
    def total(self) -> int:
        """Length of the script [control steps]."""
        return sum(self.motion) + sum(self.dwell)


def set_clock(start: ToolPose, waypoints: Sequence[Waypoint], style: Style) -> PhaseClock:
    """Durations from the nominal poses and the style."""
    motion, dwell = [], []
    previous = start
    for waypoint in waypoints:
        way = waypoint.length_from(previous.position) / waypoint.pace
        turn = abs(waypoint.pose.yaw - previous.yaw) / _YAW_PACE
        seconds = max(way, turn) / style.speed
        motion.append(max(_MIN_SEGMENT_STEPS, round(seconds * CONTROL_HZ)))
        rest = (waypoint.dwell / style.speed + style.pause) if waypoint.dwell else 0.0
        dwell.append(round(rest * CONTROL_HZ))
        previous = waypoint.pose
    return PhaseClock(tuple(motion), tuple(dwell))


def minimum_jerk(phase: float) -> float:
    """Smooth progress 0..1 along a motion at `phase` 0..1 (Flash and Hogan 1985)."""
    phase = min(max(phase, 0.0), 1.0)
    return phase**3 * (10.0 - 15.0 * phase + 6.0 * phase**2)


def along(path: FloatArray, share: float) -> FloatArray:
    """The point (D,) at `share` 0..1 of the length of `path`, shape (N, D)."""
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return np.array([np.interp(share * travelled[-1], travelled, axis) for axis in path.T])


class ScriptPlayer:
    """Plays a script one control step at a time."""

    def __init__(
        self, start: ToolPose, waypoints: Sequence[Waypoint], clock: PhaseClock, style: Style
    ) -> None:
        self._waypoints = list(waypoints)
        self._clock = clock
        self._style = style
        self._index = 0
        self._step = 0
        self._from = start
        self._to: ToolPose | None = None
        self._rng = np.random.default_rng(style.seed)
        self._tremor = np.zeros(3)

    @property
    def done(self) -> bool:
        """Whether the script is over."""
        return self._index >= len(self._waypoints)

    def next(self, snapshot: Snapshot) -> tuple[ToolPose, float]:
        """Tool target and gripper command of this control step; past the end it holds the last."""
        if self.done:
            last = self._waypoints[-1]
            return self._from, last.gripper
        waypoint = self._waypoints[self._index]
        if self._to is None:
            self._to = waypoint.correct(snapshot, waypoint.pose) if waypoint.correct else waypoint.pose
        self._step += 1
        motion = self._clock.motion[self._index]
        pose = self._between(waypoint, self._step / motion)
        # The gripper acts on arrival: it keeps what it did on the way.
        arrived = self._step > motion or not self._clock.dwell[self._index]
        gripper = (
            waypoint.gripper if arrived or self._index == 0 else self._waypoints[self._index - 1].gripper
        )
        if self._step >= motion + self._clock.dwell[self._index]:
            self._from, self._to = self._to, None
            self._index, self._step = self._index + 1, 0
        return pose, gripper

    def _between(self, waypoint: Waypoint, phase: float) -> ToolPose:
        assert self._to is not None
        share = minimum_jerk(phase)
        way = self._to.position - self._from.position
        position = self._from.position + share * way
        if waypoint.path is not None:
            position = along(waypoint.path, share)
        if waypoint.bow:
            sideways = np.array([-way[1], way[0], 0.0])
            position = position + self._style.curvature * np.sin(np.pi * share) * sideways
        # Never the short way round: scripts keep yaws where wrist and arm can go, and so all between.
        rotvec = self._from.rotvec + share * (self._to.rotvec - self._from.rotvec)
        return ToolPose(position + self._shake(), rotvec)

    def _shake(self) -> FloatArray:
        keep = np.exp(-1.0 / _TREMOR_STEPS)
        kick = self._rng.standard_normal(3) * self._style.tremor * np.sqrt(1 - keep**2)
        self._tremor = keep * self._tremor + kick
        return np.asarray(self._tremor * (1.0, 1.0, 0.5))
