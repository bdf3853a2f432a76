"""Between every agent and every arm: limits, a watchdog, an emergency stop. On by default.

`SafeArm` is the only thing that speaks to an arm during a session. What it changes or refuses it says, as
`Intervention`s, to whoever called and to the log.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import numpy as np
from numpy.typing import ArrayLike

from h2r_bench.motion import ToolPose, to_action
from h2r_bench.real.arms.base import Arm, ArmError, ArmState, Clock, Commanded
from h2r_bench.real.safety.approach import ARRIVED, SETTLE_S, SETTLED, distance, nearer
from h2r_bench.real.safety.deadlines import Deadlines
from h2r_bench.real.safety.guard import Guard, turn_between
from h2r_bench.real.safety.interventions import Intervention, Log, numbers_of
from h2r_bench.real.safety.limits import LimitsError, SafetyLimits
from h2r_bench.real.safety.newest_frame import AskCamera
from h2r_bench.real.safety.stopper import WAIT_S, Stopper
from h2r_bench.real.safety.watchdog import Watchdog
from h2r_bench.types import CONTROL_HZ, GRIPPER_CLOSES_BELOW, GRIPPER_OPENS_ABOVE, FloatArray, one_line

__all__ = ["Intervention", "LimitsError", "Log", "SafeArm", "SafetyLimits"]

_IDLE_S = 0.05
"""How often an idle watchdog looks whether there is anything to watch [s]."""
REACHED = 0.005
"""An arm told something further from the target than this [m] could not reach it ..."""
REACHED_TURN = 0.1
"""... nor one told another rotation [rad]."""
_STATE_AGE_S = 0.05
"""A state read longer ago is read again before a command is judged by it [s]."""
_LAST_STOP_S = 1.0
"""How long an arm that is let go, or freed after an emergency, may take to obey its last stop [s]."""


KEEP_GRIPPER = (GRIPPER_OPENS_ABOVE + GRIPPER_CLOSES_BELOW) / 2
"""A gripper command that changes nothing."""


class SafeArm:
    """An arm that can only be asked for what the limits allow.

    A watchdog sees to it that the arm stands `limits.timeout_s` after the last command or, during a trial,
    the last frame. Whatever fails that has to do with safety (a driver that refuses to stop or never returns
    from it, a camera that raises, a log that cannot be written, the watchdog itself) latches the emergency
    stop, and the driver is told to stop until it obeys. Nothing moves without a watchdog.
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
        self.failure = ""
        """Why the emergency stop is in force where nobody asked for it: what failed."""
        self._guard = Guard(self.limits)
        self._lock = threading.RLock()
        self._stopper = self._new_stopper()
        self._stopped = False
        self._watchdog: Watchdog | None = None
        self._state: ArmState | None = None
        self._deadlines = Deadlines(self.limits, self.clock, self._latch)
        self._moving = False
        self._anchored = False
        self._holds = 0
        self._told_open: bool | None = None
        self._log_failed = False

    # --- a session -----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach the arm, anew where it was reached, look where it is, start the watchdog. Raises ArmError.

        An emergency stop that is in force stays in force.
        """
        self._end_watch()
        self.arm.connect()
        if self._stopper.closed:
            self._stopper = self._new_stopper()
        for name in self.limits.loosened():
            self._tell(Intervention(self.clock.now(), "loosened", detail=name))
        self._watchdog = Watchdog(self.look, self.clock, self._latch)

    def close(self) -> None:
        """Hold the arm and let go of it. Calling it again does nothing.

        Raises ArmError when the driver did not take the last stop.
        """
        if self._watchdog is None or self._stopper.closed:
            return
        self._watchdog.close()
        obeyed = self._hold(_LAST_STOP_S)
        try:
            self.arm.close()
        finally:
            self._stopper.close()
            self._end_watch()
        if not obeyed:
            raise ArmError(
                f"the arm did not take its last stop ({self.failure or 'its driver hangs'}): "
                "press its own stop button"
            )

    def _new_stopper(self) -> Stopper:
        return Stopper(lambda: self.arm.stop(), self._latch)

    def _end_watch(self) -> None:
        """End the watchdog, if there is one."""
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog.join()

    @property
    def watched(self) -> bool:
        """Whether a watchdog looks after the arm: nothing moves without one."""
        return self._watchdog is not None and self._watchdog.alive

    def _require_watch(self) -> None:
        if not self.watched:
            raise ArmError("no watchdog looks after the arm: nothing moves before connect() is called again")

    def begin(self, *, needs_frames: bool = True, newest_frame: AskCamera | None = None) -> None:
        """Start a trial: from now on nothing moves without fresh frames, told by `frame_arrived`.

        `newest_frame` asks the camera itself, so that one that has stopped is noticed between two actions.
        Raises ArmError when no watchdog looks after the arm.
        """
        with self._lock:
            self._require_watch()
            self.hold()
            self._deadlines.begin(needs_frames, newest_frame)

    def end(self) -> None:
        """End a trial: the arm is held and frames are no longer asked for."""
        with self._lock:
            self.hold()
            self._deadlines.begin(False, None)

    # --- what an agent does --------------------------------------------------------------------------------

    def read_state(self) -> ArmState:
        """Where the tool is now. Raises ArmError."""
        state = self.arm.read_state()
        self._state = state
        return state

    def frame_arrived(self, time_s: float) -> None:
        """A camera frame came that was taken at `time_s` [s] on the session's clock.

        One from the future is none: a clock that has jumped says nothing of how old a picture is.
        """
        self._deadlines.frame_arrived(time_s)

    def act(self, action: ArrayLike) -> list[Intervention]:
        """Command `action`, shape (7,) as in `h2r_bench.types`, as far as the limits allow; returns at once.

        Returns what was changed or refused, empty when the action went through as it is. Raises ArmError, as
        for an arm that was let go or that no watchdog looks after.
        """
        with self._lock:
            self._require_watch()
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
            via = nearer(via, goal, speed * period)
            if found := self._step_to(via):
                raise ArmError(f"the way to {np.round(goal.position, 3).tolist()} is barred: {found}")
            self.clock.sleep_until(due)
            off = distance(self.read_state(), goal)
            near_s = (near_s or due) if off <= ARRIVED else None
            if off <= SETTLED or (near_s is not None and due - near_s >= SETTLE_S):
                self.hold()
                return
        self.hold()
        raise ArmError(f"the arm did not reach {np.round(goal.position, 3).tolist()} in {timeout_s:g} s")

    def grip(self, open_: bool) -> None:
        """Open or close the gripper outside a trial, with the limits' force."""
        with self._lock:
            self._require_watch()
            if self._stopped:
                raise ArmError("the arm was stopped in an emergency: release it first")
            self._grip(open_)
            self._anchored = False

    # --- stopping ------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Halt the motion now; the next action starts from where the arm then is. Never raises.

        A driver that refuses or hangs is told again until it obeys. Nothing moves before it has.
        """
        self._hold()

    def _hold(self, wait_s: float = WAIT_S) -> bool:
        """Hold; returns whether the driver has taken it within `wait_s` [s]."""
        self._moving = self._anchored = False
        self._holds += 1
        return self._stopper.ask(wait_s)

    def emergency_stop(self, reason: str = "asked for") -> None:
        """Halt now and refuse every action until `release`. Waits for no lock, never raises."""
        first = not self._stopped
        self._stopped = True
        self.hold()
        if first:
            self._tell(Intervention(self._now(), "emergency_stop", detail=reason))

    def _latch(self, failure: str) -> None:
        """Something failed that safety rests on: an emergency stop in its name."""
        first = not self.failure
        self.failure = self.failure or failure
        self._stopped = True
        self._moving = self._anchored = False
        if not self._stopper.pending:
            self.hold()
        if first:
            self._tell(Intervention(self._now(), "fault", detail=failure))

    def release(self) -> None:
        """Allow motion again after an emergency stop; nothing moves before the next action.

        Raises ArmError while the driver has not taken the stop.
        """
        if not self._hold(_LAST_STOP_S):
            raise ArmError(f"the arm has not taken the stop yet ({self.failure or 'its driver hangs'})")
        self.failure, self._log_failed = "", False
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether an emergency stop is in force."""
        return self._stopped

    # --- inside --------------------------------------------------------------------------------------------

    def _refusal(self, now: float) -> str | None:
        """Why nothing at all may be commanded now."""
        if self._stopped:
            return "fault" if self.failure else "stopped"
        if self._stopper.pending:
            return "holding"
        if self._deadlines.needs_frames and now >= self._deadlines.frames_due(now):
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
            return [self._intervene(now, kind, action) for kind in decision.active_limits]
        holds, held = self._holds, list(decision.active_limits)
        told = self._stream(decision.pose, now)
        self._guard.record_commanded(ToolPose(told.position, told.rotation))
        off = float(np.linalg.norm(told.position - decision.pose.position))
        if off > REACHED or turn_between(told.rotation, decision.pose.rotvec) > REACHED_TURN:
            held.append("unreachable")
        if decision.gripper_open is not None and self._holds == holds and not self._stopped:
            self._grip(decision.gripper_open)
        return [self._intervene(now, kind, action, told) for kind in held]

    def _stream(self, pose: ToolPose, now: float) -> Commanded:
        holds = self._holds
        self._deadlines.command_s, self._moving = now, True
        told = self.arm.stream(pose.position, pose.rotvec)
        # An emergency stop waits for no lock, and the watchdog not for ever: what held the arm while the
        # command was on its way may have reached the arm before it.
        if self._stopped or self._holds != holds:
            self.hold()
        return told

    def _grip(self, open_: bool) -> None:
        self.arm.grip(open_, self.limits.grip_force)
        self._told_open = open_

    def _fresh_state(self, now: float) -> ArmState:
        state = self._state
        return state if state is not None and abs(now - state.time_s) < _STATE_AGE_S else self.read_state()

    def _here(self) -> ToolPose:
        state = self.read_state()
        return ToolPose(state.position, state.rotation)

    def _step_to(self, pose: ToolPose) -> str:
        """Command one pose of `move_to`; returns why it was refused, empty when it was not."""
        with self._lock:
            needed, self._deadlines.needs_frames = self._deadlines.needs_frames, False
            try:
                found = self.act(to_action(pose, KEEP_GRIPPER))
            finally:
                self._deadlines.needs_frames = needed
        return ", ".join(
            one.kind for one in found if one.commanded is None and one.kind not in ("rate", "holding")
        )

    def look(self) -> float:
        """What the watchdog does: hold the arm if commands or frames stayed away.

        Returns when to look again [s].
        """
        self._stopper.look()
        now = self.clock.now()
        if self._moving and self._deadlines.lacking(now):
            self._time_out()
        idle = now + _IDLE_S
        return min(max(self._deadlines.next_s, now), idle) if self._moving else idle

    def _time_out(self) -> None:
        """Hold the arm, unless what was lacking has come while the lock was waited for."""
        locked = self._lock.acquire(timeout=self.limits.braking_s)
        try:
            now = self.clock.now()
            if self._moving and (kind := self._deadlines.lacking(now)):
                self.hold()
                self._intervene(now, kind, None)
        finally:
            if locked:
                self._lock.release()

    def _intervene(
        self, now: float, kind: str, action: ArrayLike | None, told: Commanded | None = None
    ) -> Intervention:
        wanted = None if action is None else numbers_of(action)
        commanded = None if told is None else (*told.position.tolist(), *told.rotation.tolist())
        done = Intervention(now, kind, wanted, commanded)
        self._tell(done)
        return done

    def _tell(self, done: Intervention) -> None:
        self.counts[done.kind] += 1
        if self._log is None or self._log_failed:
            return
        try:
            self._log(done)
        except Exception as error:  # a full disk, say: what nobody can read later must not go on
            self._log_failed = True
            self._latch(f"the log cannot be written: {one_line(error)}")

    def _now(self) -> float:
        """The session's time [s], that of the last command where the clock has gone with the arm."""
        with contextlib.suppress(Exception):
            return self.clock.now()
        return self._deadlines.command_s
