"""Between every agent and every arm: limits, a watchdog, an emergency stop. On by default.

`SafeArm` is the only thing that speaks to an arm during a session. What it changes or refuses it says, as
`Intervention`s, to whoever called and to the log.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from h2r_bench.envs.control import ToolPose
from h2r_bench.envs.demonstrator import to_action
from h2r_bench.real.arms.base import Arm, ArmError, ArmState, Clock, Commanded
from h2r_bench.real.limits import Guard, LimitsError, SafetyLimits, turn_between
from h2r_bench.types import CONTROL_HZ, GRIPPER_CLOSES_BELOW, GRIPPER_OPENS_ABOVE, FloatArray

__all__ = ["Intervention", "LimitsError", "SafeArm", "SafetyLimits"]

_IDLE_S = 0.05
"""How often an idle watchdog looks whether there is anything to watch [s]."""
SETTLED = 0.001
"""`move_to` is done this near to its goal [m] ..."""
ARRIVED, SETTLE_S = 0.006, 0.5
"""... or this near [m] for this long [s]: an arm has its own steady error."""
REACHED = 0.005
"""An arm told something further from the target than this [m] could not reach it ..."""
REACHED_TURN = 0.1
"""... nor one told another rotation [rad]."""
_STATE_AGE_S = 0.05
"""A state read longer ago is read again before a command is judged by it [s]."""


@dataclass(frozen=True)
class Intervention:
    """One thing the safety layer did."""

    time_s: float
    """When, on the session's clock [s]."""
    kind: str
    """What: the name of a limit, or `not_finite`, `rate`, `lead`, `no_command`, `no_frame`, `fault`,
    `emergency_stop`, `stopped`, `outside_workspace`, `unreachable`, `loosened`."""
    wanted: tuple[float, ...] | None = None
    """The action as the agent gave it, where there was one."""
    commanded: tuple[float, ...] | None = None
    """Tool position [m] and rotation [rad] that went to the arm instead; None where nothing did."""
    detail: str = ""
    """More, for people."""

    def describe(self) -> dict[str, Any]:
        """JSON-able description; numbers that are not finite become words."""
        record = dataclasses.asdict(self)
        for key in ("wanted", "commanded"):
            if record[key] is not None:
                record[key] = [value if np.isfinite(value) else str(value) for value in record[key]]
        return record


KEEP_GRIPPER = (GRIPPER_OPENS_ABOVE + GRIPPER_CLOSES_BELOW) / 2
"""A gripper command that changes nothing."""

Log = Callable[[Intervention], None]
NewestFrame = Callable[[], float]
"""When the camera took its newest frame, on the session's clock [s]; answers at once."""


class SafeArm:
    """An arm that can only be asked for what the limits allow.

    A watchdog sees to it that the arm stands `limits.timeout_s` after the last command or, during a trial,
    the last frame.
    All methods may be called from any thread, `emergency_stop` from a signal handler too.
    """

    def __init__(
        self,
        arm: Arm,
        limits: SafetyLimits | None = None,
        clock: Clock | None = None,
        log: Log | None = None,
    ) -> None:
        """Wrap `arm`. `clock` is the arm's own unless given; `log` is told each intervention."""
        self.arm = arm
        self.limits = limits or SafetyLimits()
        self.clock = clock or arm.clock
        self.counts: Counter[str] = Counter()
        """How often each kind of intervention happened."""
        self._log = log
        self._guard = Guard(self.limits)
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._closing = threading.Event()
        self._watchdog: threading.Thread | None = None
        self._state: ArmState | None = None
        self._needs_frames = False
        self._newest_frame: NewestFrame | None = None
        self._camera_s = -np.inf
        self._moving = False
        self._anchored = False
        self._holds = 0
        self._command_s = self._frame_s = 0.0
        self._told_open: bool | None = None

    # --- a session -----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach the arm, look where it is, start the watchdog. Raises ArmError."""
        self.arm.connect()
        for name in self.limits.loosened():
            self._tell(Intervention(self.clock.now(), "loosened", detail=name))
        self._closing.clear()
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._watchdog.start()

    def close(self) -> None:
        """Hold the arm and let go of it. Calling it again does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        try:
            self.hold()
        finally:
            self.arm.close()
        if self._watchdog is not None:
            self._watchdog.join(timeout=1.0)

    def begin(self, *, needs_frames: bool = True, newest_frame: NewestFrame | None = None) -> None:
        """Start a trial: from now on nothing moves without fresh frames, told by `frame_arrived`.

        `newest_frame` asks the camera itself, so that one that has stopped is noticed between two actions.
        """
        with self._lock:
            self.hold()
            self._needs_frames, self._frame_s = needs_frames, -np.inf
            self._newest_frame, self._camera_s = newest_frame, -np.inf

    def end(self) -> None:
        """End a trial: the arm is held and frames are no longer asked for."""
        with self._lock:
            self.hold()
            self._needs_frames, self._newest_frame = False, None

    # --- what an agent does --------------------------------------------------------------------------------

    def read_state(self) -> ArmState:
        """Where the tool is now. Raises ArmError."""
        state = self.arm.read_state()
        self._state = state
        return state

    def frame_arrived(self, time_s: float) -> None:
        """A camera frame came that was taken at `time_s` [s] on the session's clock."""
        self._frame_s = max(self._frame_s, time_s)

    def act(self, action: ArrayLike) -> list[Intervention]:
        """Command `action`, shape (7,) as in `h2r_bench.types`, as far as the limits allow; returns at once.

        Returns what was changed or refused, empty when the action went through as it is. Raises ArmError.
        """
        with self._lock:
            now = self.clock.now()
            refusal = self._refusal(now)
            if refusal is None:
                return self._command(action, now)
            if self._moving:
                self.hold()
            return [self._intervene(now, refusal, action)]

    def move_to(
        self, position: FloatArray, rotation: FloatArray, *, speed: float = 0.1, timeout_s: float = 60.0
    ) -> None:
        """Go straight to a pose, (3,) [m] and (3,) [rad], at `speed` [m/s], and wait until there.

        The limits hold as ever; frames are not asked for. Raises ArmError when it is not reached.
        """
        goal = ToolPose(np.asarray(position, float), np.asarray(rotation, float))
        period, start = 1.0 / CONTROL_HZ, self.clock.now()
        via, near_s = self._here(), None
        while self.clock.now() < start + timeout_s:
            due = self.clock.now() + period
            via = _nearer(via, goal, speed * period)
            if found := self._step_to(via):
                raise ArmError(f"the way to {np.round(goal.position, 3).tolist()} is barred: {found}")
            self.clock.sleep_until(due)
            off = _distance(self.read_state(), goal)
            near_s = (near_s or due) if off <= ARRIVED else None
            if off <= SETTLED or (near_s is not None and due - near_s >= SETTLE_S):
                self.hold()
                return
        self.hold()
        raise ArmError(f"the arm did not reach {np.round(goal.position, 3).tolist()} in {timeout_s:g} s")

    def grip(self, open_: bool) -> None:
        """Open or close the gripper outside a trial, with the limits' force."""
        if self._stopped.is_set():
            raise ArmError("the arm was stopped in an emergency: release it first")
        with self._lock:
            self._grip(open_)
            self._anchored = False

    # --- stopping ------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Halt the motion now; the next action starts from where the arm then is."""
        self._moving = self._anchored = False
        self._holds += 1
        self.arm.stop()

    def emergency_stop(self, reason: str = "asked for") -> None:
        """Halt now and refuse every action until `release`. Waits for no lock."""
        first = not self._stopped.is_set()
        self._stopped.set()
        try:
            self.hold()
        finally:
            if first:
                self._tell(Intervention(self.clock.now(), "emergency_stop", detail=reason))

    def release(self) -> None:
        """Allow motion again after an emergency stop; nothing moves before the next action."""
        self._anchored = False
        self._stopped.clear()

    @property
    def stopped(self) -> bool:
        """Whether an emergency stop is in force."""
        return self._stopped.is_set()

    # --- inside --------------------------------------------------------------------------------------------

    def _refusal(self, now: float) -> str | None:
        """Why nothing at all may be commanded now."""
        if self._stopped.is_set():
            return "stopped"
        if self._needs_frames and now >= self._frames_due(now):
            return "no_frame"
        state = self._fresh_state(now)
        return "fault" if state.faults else None

    def _command(self, action: ArrayLike, now: float) -> list[Intervention]:
        """Bring `action` inside the limits and command it."""
        state = self._fresh_state(now)
        if not self._anchored:
            open_ = state.opening > 0.5 if self._told_open is None else self._told_open
            self._guard.anchor(ToolPose(state.position, state.rotation), open_=open_)
            self._anchored = True
        decision = self._guard.decide(action, now, state.position)
        if decision.pose is None:
            return [self._intervene(now, kind, action) for kind in decision.held]
        told, held = self._stream(decision.pose, now), list(decision.held)
        self._guard.took(ToolPose(told.position, told.rotation))
        off = float(np.linalg.norm(told.position - decision.pose.position))
        if off > REACHED or turn_between(told.rotation, decision.pose.rotvec) > REACHED_TURN:
            held.append("unreachable")
        if decision.gripper_open is not None:
            self._grip(decision.gripper_open)
        return [self._intervene(now, kind, action, told) for kind in held]

    def _stream(self, pose: ToolPose, now: float) -> Commanded:
        holds = self._holds
        self._command_s, self._moving = now, True
        told = self.arm.stream(pose.position, pose.rotvec)
        # An emergency stop waits for no lock, and the watchdog not for ever: what held the arm while the
        # command was on its way may have reached the arm before it.
        if self._stopped.is_set() or self._holds != holds:
            self.hold()
        return told

    def _grip(self, open_: bool) -> None:
        self.arm.grip(open_, self.limits.grip_force)
        self._told_open = open_

    def _fresh_state(self, now: float) -> ArmState:
        state = self._state
        return state if state is not None and now - state.time_s < _STATE_AGE_S else self.read_state()

    def _here(self) -> ToolPose:
        state = self.read_state()
        return ToolPose(state.position, state.rotation)

    def _step_to(self, pose: ToolPose) -> str:
        """Command one pose of `move_to`; returns why it was refused, empty when it was not."""
        with self._lock:
            needed, self._needs_frames = self._needs_frames, False
            try:
                found = self.act(to_action(pose, KEEP_GRIPPER))
            finally:
                self._needs_frames = needed
        return ", ".join(one.kind for one in found if one.commanded is None and one.kind != "rate")

    def _watch(self) -> None:
        """Look after the arm until the session is closed or the arm is lost."""
        while not self._closing.is_set():
            try:
                self.clock.sleep_until(self.look())
            except ArmError as error:
                self._moving = False
                if not self._closing.is_set():
                    self._tell(Intervention(self._command_s, "fault", detail=str(error)))
                return

    def look(self) -> float:
        """What the watchdog does: hold the arm if commands or frames stayed away.

        Returns when to look again [s].
        """
        now = self.clock.now()
        due, kind = self._deadline(now)
        if self._moving and now >= due:
            self._time_out(kind)
        return min(due, now + _IDLE_S) if self._moving else now + _IDLE_S

    def _deadline(self, now: float) -> tuple[float, str]:
        """When the arm must be told to stand, and for want of what."""
        due, kind = self._command_s + self._patience, "no_command"
        if self._needs_frames:
            due, kind = min((due, kind), (self._frames_due(now), "no_frame"))
        return due, kind

    def _frames_due(self, now: float) -> float:
        """When the arm must be told to stand unless a new frame comes [s]."""
        due = self._frame_s + self._patience
        if self._newest_frame is None:
            return due
        patience = self.limits.timeout_s - self.limits.moving_braking_s
        if now >= self._camera_s + patience:  # the camera is asked only when it matters
            self._camera_s = self._newest_frame()
        return min(due, self._camera_s + patience)

    @property
    def _patience(self) -> float:
        """How long commands and frames may stay away before the arm is told to stand [s]."""
        return self.limits.timeout_s - self.limits.braking_s

    def _time_out(self, kind: str) -> None:
        locked = self._lock.acquire(timeout=self.limits.braking_s)
        try:
            now = self.clock.now()
            if self._moving and now >= self._deadline(now)[0]:
                self.hold()
                self._intervene(now, kind, None)
        finally:
            if locked:
                self._lock.release()

    def _intervene(
        self, now: float, kind: str, action: ArrayLike | None, told: Commanded | None = None
    ) -> Intervention:
        wanted = None if action is None else _numbers(action)
        commanded = None if told is None else (*told.position.tolist(), *told.rotation.tolist())
        done = Intervention(now, kind, wanted, commanded)
        self._tell(done)
        return done

    def _tell(self, done: Intervention) -> None:
        self.counts[done.kind] += 1
        if self._log is not None:
            self._log(done)


def _numbers(action: ArrayLike) -> tuple[float, ...]:
    """What an agent gave, as far as it is numbers."""
    try:
        return tuple(np.asarray(action, np.float64).reshape(-1).tolist())
    except (TypeError, ValueError):
        return ()


def _nearer(start: ToolPose, goal: ToolPose, step: float) -> ToolPose:
    """One step [m] from `start` towards `goal`; the turn keeps pace with the way."""
    way = goal.position - start.position
    turn = goal.rotvec - start.rotvec
    # A turn by a radian takes as long as 20 cm of way.
    length = max(float(np.linalg.norm(way)), 0.2 * float(np.linalg.norm(turn)))
    share = 1.0 if length <= step else step / length
    return ToolPose(start.position + share * way, start.rotvec + share * turn)


def _distance(state: ArmState, goal: ToolPose) -> float:
    """How far the tool is from `goal` [m]; a turn by a radian counts as 20 cm."""
    off = float(np.linalg.norm(state.position - goal.position))
    return max(off, 0.2 * float(np.linalg.norm(state.rotation - goal.rotvec)))
