"""The control loop of one trial on an arm: frame, state, action, ten times a second, everything logged."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.geometry import rotvec_to_6d
from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.cameras.base import CameraError, Frame, StaleFrameError
from h2r_bench.real.errors import BridgeError
from h2r_bench.real.session.policy_runner import AgentHangsError
from h2r_bench.types import CLIP_LENGTH, CONTROL_HZ, Demonstration, Float32Array, encode_instruction

if TYPE_CHECKING:
    from h2r_bench.real.arms.base import ArmState
    from h2r_bench.real.cameras import Camera, View
    from h2r_bench.real.safety.safe_arm import Intervention, SafeArm
    from h2r_bench.real.session.policy_runner import PolicyRunner

PATIENCE_S = 2.0
"""A trial without a frame, or without leave to move, for this long is given up [s]."""


class TrialFaultError(BridgeError):
    """Something broke during a trial; it does not count and is repeated."""


class TrialStoppedError(BridgeError):
    """A person stopped the arm during a trial; the person says whether it counts."""


@dataclass(frozen=True)
class Workcell:
    """What stands on the table."""

    arm: SafeArm
    camera: Camera
    view: View


@dataclass(frozen=True)
class Tick:
    """One control step, as it is logged."""

    step: int
    """Counted in time: missed steps leave a gap."""
    time_s: float
    """When the action was given, on the session's clock [s]."""
    wall_s: float
    """The same on the monotonic clock of this computer [s]."""
    frame: int
    """Number of the frame that was seen."""
    latency_s: float
    """From the moment the frame was taken to the moment the arm was told [s]."""
    made_at: int
    """The step whose observation the action answers: earlier than `step` inside a chunk."""
    state: list[float]
    """Shape (10,), as in the observation."""
    action: list[float]
    """Shape (7,), as the agent gave it."""
    interventions: list[dict[str, Any]]
    """What the safety layer changed or refused; what was really commanded is in them, else it is `action`."""


@dataclass
class TrialMeasurements:
    """What the log of a trial comes to; JSON-able by `asdict`."""

    steps: int = 0
    """Control steps from start to end."""
    missed: int = 0
    """... of which no action was given."""
    seconds: float = 0.0
    """Length by this computer's clock [s]."""
    rate_hz: float = 0.0
    """Actions a second, on the session's clock [Hz]."""
    jitter_ms: float = 0.0
    """Standard deviation of the time between actions [ms]."""
    jitter_p95_ms: float = 0.0
    """95th percentile of its distance from the control period [ms]."""
    latency_ms: float = 0.0
    """Median time from frame to command [ms]."""
    latency_p95_ms: float = 0.0
    """95th percentile of it [ms]."""
    interventions: dict[str, int] = field(default_factory=dict)
    """How often the safety layer did what."""


Watcher = Callable[[Tick, Frame], None]


def drive(
    workcell: Workcell,
    policy_runner: PolicyRunner,
    demonstration: Demonstration,
    instruction: str,
    horizon: int,
    log: Path,
    watch: Watcher = lambda tick, frame: None,
) -> TrialMeasurements:
    """Let `policy_runner` act for `horizon` control steps, from where the arm stands.

    Args:
        workcell: arm and camera, ready.
        policy_runner: asks the agent, which was reset for this trial.
        demonstration: in the size of the agent's images, which is that of the view too.
        instruction: the task in words.
        horizon: length of the trial [control steps].
        log: file of JSON lines, one a step, written as it happens.
        watch: called after each step.

    Raises:
        TrialFaultError: arm, camera or agent failed; the arm is held.
        TrialStoppedError: an emergency stop.
    """
    return _Drive(workcell, policy_runner, demonstration, instruction, log, watch).run(horizon)


class _Drive:
    def __init__(
        self,
        workcell: Workcell,
        policy_runner: PolicyRunner,
        demonstration: Demonstration,
        instruction: str,
        log: Path,
        watch: Watcher,
    ) -> None:
        self._workcell, self._policy_runner, self._demonstration = workcell, policy_runner, demonstration
        height, width = demonstration.frames.shape[1:3]
        self._size = (int(width), int(height))
        self._code = encode_instruction(instruction)
        self._log, self._watch = log, watch
        self._last = -1
        self._waited_since: float | None = None
        self._ticks: list[Tick] = []
        self._counts: Counter[str] = Counter()

    def run(self, horizon: int) -> TrialMeasurements:
        """The whole trial; the arm is held at the end, however it ends."""
        arm = self._workcell.arm
        started = time.monotonic()
        try:
            arm.begin(newest_frame=self._workcell.camera.newest_s)
            self._policy_runner.begin(self._observe(self._look(), 0))
            self._loop(horizon)
        except (ArmError, CameraError, AgentHangsError) as error:
            raise TrialFaultError(str(error)) from error
        finally:
            arm.end()
            self._policy_runner.end()
        return measure(self._ticks, horizon, time.monotonic() - started, self._counts)

    def _loop(self, horizon: int) -> None:
        clock, period = self._workcell.arm.clock, 1.0 / CONTROL_HZ
        start, step = clock.now(), 0
        with self._log.open("a") as log:
            while step < horizon:
                clock.sleep_until(start + step * period)
                tick = self._tick(step)
                if tick is not None:
                    log.write(json.dumps(asdict(tick)) + "\n")
                    log.flush()
                # Time goes on whatever happened: steps that were missed are not caught up with.
                step = max(step + 1, int((clock.now() - start) / period + 1e-6))

    def _tick(self, step: int) -> Tick | None:
        """One control step; None when there was no frame to act on."""
        arm = self._workcell.arm
        try:
            frame = self._look()
        except StaleFrameError as error:
            self._be_patient(str(error))
            return None
        observation = self._observe(frame, step)
        action = self._policy_runner.action(observation, step)
        found = arm.act(action)
        now = arm.clock.now()
        self._counts.update(each.kind for each in found)
        self._check(found)
        tick = Tick(
            step,
            now,
            time.monotonic(),
            frame.number,
            now - frame.time_s,
            self._policy_runner.made_at(),
            observation["state"].tolist(),
            [float(value) for value in action],
            [each.describe() for each in found],
        )
        self._ticks.append(tick)
        self._watch(tick, frame)
        return tick

    def _look(self) -> Frame:
        """A frame that was not acted on before. Raises StaleFrameError."""
        frame = self._workcell.camera.latest(newer_than=self._last)
        self._last = frame.number
        self._workcell.arm.frame_arrived(frame.time_s)
        return frame

    def _observe(self, frame: Frame, step: int) -> dict[str, Any]:
        return {
            "image": self._workcell.view.image(frame.image, self._size),
            "state": proprioception(self._workcell.arm.read_state()),
            "human_clip": self._demonstration.clip(step, CLIP_LENGTH),
            "instruction": self._code.copy(),
        }

    def _check(self, found: list[Intervention]) -> None:
        """Raise when the trial cannot go on."""
        kinds = {each.kind for each in found}
        if failure := self._workcell.arm.failure:
            raise TrialFaultError(f"the arm was stopped because something failed: {failure}")
        if self._workcell.arm.stopped or kinds & {"stopped", "emergency_stop"}:
            raise TrialStoppedError("the arm was stopped in an emergency")
        if "fault" in kinds:
            state = self._workcell.arm.read_state()
            raise TrialFaultError(f"the arm reports: {', '.join(state.faults) or 'a fault'}")
        if any(each.commanded is None for each in found):
            self._be_patient(", ".join(sorted(kinds)))
        else:
            self._waited_since = None

    def _be_patient(self, reason: str) -> None:
        """Nothing could be commanded in this step. Raises TrialFaultError when that has lasted too long."""
        now = self._workcell.arm.clock.now()
        self._waited_since = now if self._waited_since is None else self._waited_since
        if now - self._waited_since > PATIENCE_S:
            raise TrialFaultError(f"nothing could be commanded for {PATIENCE_S:g} s: {reason}")


def proprioception(state: ArmState) -> Float32Array:
    """The interface's state (10,) of an arm."""
    pose = np.concatenate([state.position, rotvec_to_6d(state.rotation)])
    return np.append(pose, state.opening).astype(np.float32)


def measure(ticks: list[Tick], horizon: int, seconds: float, counts: Counter[str]) -> TrialMeasurements:
    """What a trial of `horizon` steps comes to."""
    measured = TrialMeasurements(
        horizon, horizon - len(ticks), round(seconds, 3), interventions=dict(sorted(counts.items()))
    )
    if len(ticks) > 1:
        times = np.array([tick.time_s for tick in ticks])
        gaps = np.diff(times)
        measured.rate_hz = round(float(len(gaps) / (times[-1] - times[0])), 3)
        measured.jitter_ms = round(1000 * float(gaps.std()), 3)
        measured.jitter_p95_ms = round(1000 * float(np.percentile(abs(gaps - 1 / CONTROL_HZ), 95)), 3)
        latency = [1000 * tick.latency_s for tick in ticks]
        measured.latency_ms = round(float(np.median(latency)), 3)
        measured.latency_p95_ms = round(float(np.percentile(latency, 95)), 3)
    return measured
