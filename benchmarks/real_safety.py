"""What the safety layer does with an agent gone mad; how soon the arm stands when something breaks.

    python benchmarks/real_safety.py fuzz --commands 10000             # against an arm that writes down all
    python benchmarks/real_safety.py fuzz --commands 10000 --arm twin  # against the twin, by libfranka
    python benchmarks/real_safety.py faults                            # against the twin

Both print JSON; `fuzz` exits with 1 when any command outside the limits reached the driver.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from h2r_bench.motion import ToolPose
from h2r_bench.real.arms import make_arm
from h2r_bench.real.arms.base import Arm, ArmError, ArmState, Clock, Commanded
from h2r_bench.real.safety.guard import turn_between, upright
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.real.safety.safe_arm import Intervention, SafeArm
from h2r_bench.types import FloatArray

ROUNDING = 1e-4
"""Slack of the checks [m, m/s]: the clock is read twice for one command."""
HOLD_MS = 200.0
"""By when the arm shall hold [ms]."""
AT_REST_SPEED = 0.005
"""A tool slower than this stands [m/s]."""
AT_REST_JOINTS = 0.02
"""Commanded joints slower than this stand [rad/s]."""


MAX_LOST = 20
"""How often the connection to the arm may be lost and made anew."""


class StillClock:
    """Time that passes only when the agent waits; other threads wait until it has."""

    def __init__(self) -> None:
        self.time_s = 1.0
        self._passed = threading.Condition()
        self._waiting_for: float | None = None

    def now(self) -> float:
        return self.time_s

    def sleep_until(self, time_s: float) -> None:
        with self._passed:
            if threading.current_thread() is threading.main_thread():
                self._pass(time_s)
            else:
                self._waiting_for = time_s
                self._passed.notify_all()
                self._passed.wait_for(lambda: self.time_s >= time_s)

    def _pass(self, time_s: float) -> None:
        """Let time pass, stopping wherever the watchdog wanted to look."""
        while self._waiting_for is not None and self._waiting_for <= time_s:
            self.time_s, self._waiting_for = max(self.time_s, self._waiting_for), None
            self._passed.notify_all()
            self._passed.wait_for(lambda: self._waiting_for is not None, timeout=1.0)
        self.time_s = max(self.time_s, time_s)


class PaperArm:
    """An arm that follows at once and is made of nothing."""

    name = "paper"

    def __init__(self) -> None:
        self.clock: Clock = StillClock()
        self._position, self._rotation, self._open = np.array([0.45, 0.0, 0.2]), np.zeros(3), True

    def connect(self) -> None:
        pass

    def read_state(self) -> ArmState:
        return ArmState(self.clock.now(), self._position.copy(), self._rotation.copy(), float(self._open), ())

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self._position, self._rotation = position.copy(), rotation.copy()
        return Commanded(self.clock.now(), position, rotation, self._open)

    def grip(self, open_: bool, force_n: float) -> None:
        self._open = open_

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class Inspector:
    """Stands between safety layer and driver, and checks every command by itself."""

    def __init__(self, arm: Arm, limits: SafetyLimits) -> None:
        self._arm, self._limits = arm, limits
        self.name, self.clock = arm.name, arm.clock
        self.commands = 0
        self.violations: Counter[str] = Counter()
        self._last: tuple[ToolPose, ToolPose] | None = None
        """What the last command asked for, and what the arm took instead: steps are measured from both."""
        self._last_s = -np.inf
        self._grip_s = -np.inf

    def connect(self) -> None:
        self._arm.connect()

    def read_state(self) -> ArmState:
        return self._arm.read_state()

    def close(self) -> None:
        self._arm.close()

    def stop(self) -> None:
        self._last = None
        self._arm.stop()

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self.commands += 1
        now, limits = self.clock.now(), self._limits
        low, high = limits.box
        self._require("finite", bool(np.isfinite([*position, *rotation]).all()))
        self._require("box", bool((position >= low - 1e-6).all() and (position <= high + 1e-6).all()))
        self._require("cone", upright(rotation, limits.motion))
        if self._last is not None:
            # The layer reads its clock before the inspector does.
            seconds = min(max(now - self._last_s, limits.min_interval_s), 0.1) + 0.01
            step = max(float(np.linalg.norm(position - before.position)) for before in self._last)
            turn = max(turn_between(rotation, before.rotvec) for before in self._last)
            self._require("step", step <= limits.max_step + 1e-6)
            self._require("speed", step <= limits.motion.max_speed * seconds + ROUNDING)
            self._require("turn", turn <= limits.max_rotation_step + 1e-5)
        lead = float(np.linalg.norm(position - self._arm.read_state().position))
        self._require("lead", lead <= limits.max_lead + limits.max_step + 0.02)
        told = self._arm.stream(position, rotation)
        taken = ToolPose(told.position.copy(), told.rotation.copy())
        self._last, self._last_s = (ToolPose(position.copy(), rotation.copy()), taken), now
        return told

    def grip(self, open_: bool, force_n: float) -> None:
        now = self.clock.now()
        self._require("grip force", force_n <= self._limits.grip_force)
        self._require("grip rate", now - self._grip_s >= self._limits.min_grip_interval_s - 0.02)
        self._grip_s = now
        self._arm.grip(open_, force_n)

    def _require(self, name: str, holds: bool) -> None:
        if not holds:
            self.violations[name] += 1


def mad_agent(rng: np.random.Generator) -> Iterator[tuple[str, Any, float]]:
    """Endless (mood, action, pause [s]): each mood lasts for some commands."""
    here = np.array([0.45, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0])
    while True:
        mood = str(rng.choice(["jumps", "nan", "outside", "frozen", "10 kHz", "silent", "nonsense", "sane"]))
        for _ in range(int(rng.integers(3, 30)) * (20 if mood == "10 kHz" else 1)):
            action: Any = here.copy()
            pause = 0.1
            if mood == "jumps":
                action = rng.uniform([0.2, -0.5, -0.1, -1, -1, -3, 0], [0.9, 0.5, 0.6, 1, 1, 3, 1])
                pause = float(rng.uniform(0.02, 0.12))
            elif mood == "nan":
                action[rng.integers(7)] = rng.choice([np.nan, np.inf, -np.inf, 1e300])
            elif mood == "outside":
                action[:6] += rng.normal(0.0, 3.0, 6)
            elif mood == "10 kHz":
                action[:6] += rng.normal(0.0, 0.3, 6)
                pause = 0.0001
            elif mood == "silent":
                pause = 0.3
            elif mood == "nonsense":
                action = [None, "up", [], np.zeros(6), {}, [[0.0] * 7]][rng.integers(6)]
            elif mood == "sane":
                action[:3] += rng.normal(0.0, 0.01, 3)
            yield mood, action, pause


def fuzz(arm: Arm, commands: int, seed: int, limits: SafetyLimits | None = None) -> dict[str, Any]:
    """Let a mad agent loose on `arm`; what came of it."""
    limits = limits or SafetyLimits()
    log: list[Intervention] = []
    inspector = Inspector(arm, limits)
    safe = SafeArm(inspector, limits, log=log.append)
    safe.connect()
    safe.move_to(np.array([0.45, 0.0, 0.2]), np.zeros(3), speed=0.2)
    safe.begin()
    start_s, unlogged, lost, moods = safe.clock.now(), 0, 0, Counter[str]()
    for mood, action, pause in mad_agent(np.random.default_rng(seed)):
        moods[mood] += 1
        if not (mood == "frozen" and moods[mood] % 3):
            safe.frame_arrived(safe.clock.now())  # a frozen camera shows one picture in three
        before = len(log)
        try:
            returned = safe.act(action)
        except ArmError:  # libfranka gives up a twin that a busy machine kept silent for a second
            if (lost := lost + 1) > MAX_LOST:
                raise
            safe.connect()
            safe.begin()
            continue
        unlogged += sum(not any(one is logged for logged in log[before:]) for one in returned)
        safe.clock.sleep_until(safe.clock.now() + pause)
        if sum(moods.values()) >= commands:
            break
    seconds = safe.clock.now() - start_s
    safe.end()
    return {
        "arm": arm.name,
        "agent_commands": sum(moods.values()),
        "moods": dict(moods),
        "driver_commands": inspector.commands,
        "violations": dict(inspector.violations),
        "interventions": dict(Counter(one.kind for one in log)),
        "interventions_not_logged": unlogged,
        "connections_lost": lost,
        "seconds": round(seconds, 1),
    }


# --- faults ------------------------------------------------------------------------------------------------


def sweep(step: int) -> FloatArray:
    """To and fro across the table at 0.25 m/s, gripper down."""
    phase = step * 0.025 % 0.8
    return np.array([0.5, 0.2 - (phase if phase < 0.4 else 0.8 - phase), 0.2, 0.0, 0.0, 0.0, 1.0])


def drive(safe: SafeArm, arm: Any, steps: int, *, look: bool = True) -> float:
    """Sweep for some steps with fresh frames; returns when the last command was given [s]."""
    due = safe.clock.now()
    for step in range(steps):
        if look:
            safe.frame_arrived(arm.twin.frame().time_s)
        safe.act(sweep(step))
        due = max(due + 0.1, safe.clock.now())
        safe.clock.sleep_until(due)
    return due - 0.1


def at_rest(rows: FloatArray, since_s: float) -> dict[str, float]:
    """When, after `since_s` [s], commanded joints and tool stood [ms], and what was left at 200 ms."""
    after = rows[rows[:, 0] > since_s]
    speed = np.linalg.norm(np.gradient(after[:, 1:4], after[:, 0], axis=0), axis=1)
    times = 1000.0 * (after[:, 0] - since_s)
    moving, commanded = speed > AT_REST_SPEED, after[:, 4] > AT_REST_JOINTS
    creep = after[times >= HOLD_MS, 1:4]
    return {
        "speed_before_m_s": round(float(speed[:5].mean()), 3),
        "commanded_still_ms": round(float(times[commanded].max(initial=0.0))),
        "tool_still_ms": round(float(times[moving].max(initial=0.0))),
        "tool_speed_at_200_ms_m_s": round(float(speed[times >= HOLD_MS][0]), 3),
        "tool_moved_after_200_ms_mm": round(1000.0 * float(np.ptp(creep, axis=0).max()), 1),
    }


def fault(name: str, breaks: Callable[[SafeArm, Any], float]) -> dict[str, Any]:
    """Sweep, break something, see when the arm stands."""
    arm: Any = make_arm("twin", options={"lockstep": "true"})
    log: list[Intervention] = []
    safe = SafeArm(arm, log=log.append)
    safe.connect()
    try:
        safe.move_to(sweep(0)[:3], np.zeros(3), speed=0.2)
        safe.begin(newest_frame=arm.twin.newest_frame_s)
        broken_s = breaks(safe, arm)
        safe.clock.sleep_until(broken_s + 1.0)
        found = at_rest(arm.twin.trace(broken_s - 0.01), broken_s)
        held = [one for one in log if one.time_s > broken_s and one.kind in ("no_command", "no_frame")]
        first = (
            {"held_ms": round(1000.0 * (held[0].time_s - broken_s)), "held_for": held[0].kind} if held else {}
        )
        return {"fault": name, **found, **first}
    finally:
        safe.close()


def agent_dies(safe: SafeArm, arm: Any) -> float:
    """The policy server is killed: commands end, frames go on."""
    last = drive(safe, arm, 9)
    for _ in range(10):
        safe.clock.sleep_until(safe.clock.now() + 0.05)
        safe.frame_arrived(arm.twin.frame().time_s)
    return last


def camera_freezes(safe: SafeArm, arm: Any) -> float:
    """The camera shows one picture for ever; the agent goes on."""
    drive(safe, arm, 8)
    frozen_s = safe.clock.now()
    safe.frame_arrived(arm.twin.frame().time_s)
    arm.twin.break_(camera_frozen=True)
    for step in range(8, 20):
        safe.frame_arrived(arm.twin.frame().time_s)
        safe.act(sweep(step))
        safe.clock.sleep_until(safe.clock.now() + 0.1)
    return float(frozen_s)


def socket_slows(safe: SafeArm, arm: Any) -> float:
    """Frames suddenly take 0.5 s to arrive, and the loop waits for each."""
    drive(safe, arm, 8)
    safe.frame_arrived(arm.twin.frame().time_s)
    safe.act(sweep(8))
    slow_s = safe.clock.now()
    arm.twin.break_(camera_delay_s=0.5)
    for step in range(9, 11):
        safe.frame_arrived(arm.twin.frame().time_s)
        safe.act(sweep(step))
    return float(slow_s)


def _doomed(address: str, ready: Any) -> None:
    """Drive the twin at `address` until killed."""
    arm: Any = make_arm("twin", address)
    safe = SafeArm(arm)
    safe.connect()
    safe.move_to(sweep(0)[:3], np.zeros(3), speed=0.2)
    safe.begin()
    drive(safe, arm, 9)
    ready.set()
    drive(safe, arm, 1000)


def process_killed() -> dict[str, Any]:
    """The whole bridge is killed (SIGKILL) while the arm moves; another process watches the twin."""
    from h2r_bench.real.twin.twin_client import TwinClient, TwinClock

    keeper: Any = make_arm("twin")  # starts the twin; it never connects to the arm
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    address = keeper.address
    child = context.Process(target=_doomed, args=(address, ready))
    child.start()
    ready.wait(300)
    client = TwinClient(int(address.split(":")[1]))
    time.sleep(0.25)
    killed_s = TwinClock(client).now()
    os.kill(int(child.pid or 0), signal.SIGKILL)
    child.join()
    TwinClock(client).sleep_until(killed_s + 1.0)
    found = at_rest(client.trace(killed_s - 0.01), killed_s)
    client.close()
    keeper.close()
    return {"fault": "bridge process killed", **found}


def box_killed() -> dict[str, Any]:
    """The control box itself vanishes: how soon the bridge says so [ms, wall clock]."""
    arm: Any = make_arm("twin")
    safe = SafeArm(arm)
    safe.connect()
    safe.begin()
    drive(safe, arm, 5)
    arm.kill()
    start = time.monotonic()
    said = ""
    try:
        for step in range(20):
            safe.act(sweep(step))
            time.sleep(0.05)
    except ArmError as error:
        said = str(error)
    waited = round(1000.0 * (time.monotonic() - start))
    with contextlib.suppress(ArmError):
        safe.close()
    return {"fault": "control box gone", "told_ms_wall": waited, "message": said}


@dataclass(frozen=True)
class Fuzz:
    """Let a mad agent loose."""

    commands: int = 10_000
    arm: str = "paper"
    """paper, or twin."""
    seed: int = 0


@dataclass(frozen=True)
class Faults:
    """Break things while the arm moves."""

    only: str = ""
    """Just the fault whose name contains this."""


def main(config: Fuzz | Faults) -> int:
    """Run and print."""
    if isinstance(config, Fuzz):
        arm: Arm = PaperArm() if config.arm == "paper" else make_arm(config.arm, options={"lockstep": "true"})
        report = fuzz(arm, config.commands, config.seed)
        arm.close()
        print(json.dumps({**dataclasses.asdict(config), **report}, indent=2), flush=True)
        return int(bool(report["violations"]) or report["interventions_not_logged"] != 0)
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "policy server killed": lambda: fault("policy server killed", agent_dies),
        "camera frozen": lambda: fault("camera frozen", camera_freezes),
        "socket slow": lambda: fault("socket slow", socket_slows),
        "bridge process killed": process_killed,
        "control box gone": box_killed,
    }
    for name, run in runs.items():
        if config.only in name:
            print(json.dumps(run()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Fuzz | Faults)))  # type: ignore[arg-type]
