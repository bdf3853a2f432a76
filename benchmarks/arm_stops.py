"""Is the arm told to stand, whatever fails? How soon, and does anything move after a latched stop?

    python benchmarks/arm_stops.py faults                # against an arm made of nothing, 20 runs each
    python benchmarks/arm_stops.py faults --arm twin --runs 3
    python benchmarks/arm_stops.py mad --commands 10000  # a mad agent, and a driver that fails at random

`faults` prints a table: from the last thing that was well (a command, a frame) to the moment at which the
driver was told to stop [ms]. Exit status 1 when that took longer than 200 ms, or when anything was
commanded after a stop was latched.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from real_safety import PaperArm, mad_agent, sweep

from h2r_bench.real.arms import make_arm
from h2r_bench.real.arms.base import Arm, ArmError, ArmState, Commanded, MonotonicClock
from h2r_bench.real.safety.interventions import Intervention
from h2r_bench.real.safety.safe_arm import SafeArm
from h2r_bench.types import FloatArray

LIMIT_MS = 200.0
"""By when the driver must have been told [ms]."""
HANG_S = 2.0
"""How long what hangs does so [s]."""


def well() -> None:
    """What a driver's `stop` does first when nothing is wrong with it."""


class Driver:
    """An arm whose calls are written down; its `stop` does what `stopping` says before it is passed on."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self.name, self.clock = arm.name, arm.clock
        self.stopping: Callable[[], None] = well
        self.any: Callable[[], None] = well
        self.calls: list[tuple[str, float]] = []

    def connect(self) -> None:
        self._arm.connect()

    def read_state(self) -> ArmState:
        self.any()
        return self._arm.read_state()

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self.any()
        self.calls.append(("stream", self.clock.now()))
        return self._arm.stream(position, rotation)

    def grip(self, open_: bool, force_n: float) -> None:
        self.any()
        self.calls.append(("grip", self.clock.now()))
        self._arm.grip(open_, force_n)

    def stop(self) -> None:
        self.calls.append(("stop", self.clock.now()))
        self.stopping()
        self._arm.stop()

    def close(self) -> None:
        self.stopping = self.any = well
        self._arm.close()


@dataclass
class Bench:
    """A driver behind its limits, a camera, a log, and what is wrong with them."""

    driver: Driver
    world: Any = None
    """The twin, where there is one."""

    def __post_init__(self) -> None:
        self.safe = SafeArm(self.driver, log=self.log)
        self.full = False
        self.camera: Callable[[], float] | None = None

    def log(self, done: Intervention) -> None:
        """A log on a disk that may be full."""
        if self.full:
            raise OSError(28, "No space left on device")

    def newest_s(self) -> float:
        """When the camera took its newest frame [s]."""
        return self.camera() if self.camera is not None else self.driver.clock.now()

    def drive(self, steps: int) -> float:
        """Act for some steps, each upon a new frame; returns when the last command was given [s]."""
        clock = self.driver.clock
        for step in range(steps):
            self.safe.frame_arrived(self.newest_s())
            self.safe.act(sweep(step))
            last = clock.now()
            if step < steps - 1:
                clock.sleep_until(last + 0.1)
        return last

    def drive_on(self, steps: int) -> None:
        """The agent notices nothing: it goes on with the frames that there are."""
        for step in range(steps):
            with contextlib.suppress(ArmError):
                self.safe.act(sweep(step))
            self.driver.clock.sleep_until(self.driver.clock.now() + 0.1)


Fault = Callable[[Bench], float]
"""Breaks something and returns when all was last well [s]."""


def _silence(bench: Bench, stopping: Callable[[], None]) -> float:
    """The agent falls silent, and the driver does `stopping` when it is told to stop."""
    bench.driver.stopping = stopping
    return bench.drive(4)


def stop_raises_once(bench: Bench) -> float:
    """The first stop is lost."""
    left = [1]

    def stopping() -> None:
        if left.pop() if left else 0:
            raise ArmError("one lost packet")

    return _silence(bench, stopping)


def stop_raises(bench: Bench) -> float:
    """No stop ever gets through."""

    def stopping() -> None:
        raise OSError("no route to host")

    return _silence(bench, stopping)


def stop_hangs(bench: Bench) -> float:
    """The driver does not return from a stop."""
    return _silence(bench, lambda: time.sleep(HANG_S))


def _camera(bench: Bench, then: Callable[[float], float]) -> float:
    """From a moment on the camera answers as `then` says of that moment; the agent goes on."""
    bench.drive(4)
    broken_s = bench.driver.clock.now()
    bench.safe.frame_arrived(broken_s)
    bench.camera = lambda: then(broken_s)
    bench.drive_on(5)
    return broken_s


def camera_raises(bench: Bench) -> float:
    """The camera's driver raises."""

    def then(_: float) -> float:
        raise RuntimeError("camera unplugged")

    return _camera(bench, then)


def camera_hangs(bench: Bench) -> float:
    """The camera's driver does not answer."""

    def then(broken_s: float) -> float:
        time.sleep(HANG_S)
        return broken_s

    return _camera(bench, then)


def camera_repeats(bench: Bench) -> float:
    """The camera shows one picture for ever."""
    return _camera(bench, lambda broken_s: broken_s)


def camera_jumps(bench: Bench) -> float:
    """The camera's clock jumps an hour ahead."""
    bench.drive(4)
    broken_s = bench.driver.clock.now()
    bench.camera = lambda: bench.driver.clock.now() + 3600.0
    for step in range(5):
        bench.safe.frame_arrived(bench.newest_s())
        bench.safe.act(sweep(step))
        bench.driver.clock.sleep_until(bench.driver.clock.now() + 0.1)
    return broken_s


def agent_hangs(bench: Bench) -> float:
    """The agent does not answer any more."""
    return bench.drive(4)


def disk_full(bench: Bench) -> float:
    """The log cannot be written when the first thing is to be told."""
    bench.drive(4)
    bench.full = True
    told_s = bench.driver.clock.now()
    bench.safe.act(np.array([0.5, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]))
    return told_s


FAULTS: dict[str, Fault] = {
    "driver raises once at a stop": stop_raises_once,
    "driver raises at every stop": stop_raises,
    "driver hangs in a stop": stop_hangs,
    "camera raises": camera_raises,
    "camera hangs": camera_hangs,
    "camera repeats one frame": camera_repeats,
    "camera jumps to the future": camera_jumps,
    "agent hangs": agent_hangs,
    "disk full under the log": disk_full,
}


def make_bench(name: str) -> Bench:
    """An arm made of nothing, on this computer's clock; or a twin, on its own."""
    if name == "twin":
        arm: Any = make_arm("twin", options={"lockstep": "true"})
        return Bench(Driver(arm), arm.twin)
    paper = PaperArm()
    paper.clock = MonotonicClock()
    return Bench(Driver(paper))


def told_ms(bench: Bench, fault: Fault) -> tuple[float, int]:
    """How soon the driver was told to stop [ms], and what was commanded after it was latched."""
    safe, driver = bench.safe, bench.driver
    safe.connect()
    safe.move_to(sweep(0)[:3], np.zeros(3), speed=0.2)
    safe.begin(newest_frame=bench.newest_s)
    driver.clock.sleep_until(driver.clock.now() + 0.15)
    driver.calls.clear()
    well_s = fault(bench)
    driver.clock.sleep_until(driver.clock.now() + 0.5)
    stops = [when for name, when in driver.calls if name == "stop" and when >= well_s]
    before = [name for name, _ in driver.calls].count("stream")
    if safe.stopped:
        bench.drive_on(3)
    moved = [name for name, _ in driver.calls].count("stream") - before
    with contextlib.suppress(ArmError):
        driver.stopping = well
        safe.close()
    return (1000.0 * (stops[0] - well_s) if stops else float("inf")), moved


@dataclass(frozen=True)
class Faults:
    """Break things while the arm moves."""

    arm: str = "paper"
    """paper, or twin."""
    runs: int = 20
    only: str = ""
    """Just the faults whose names contain this."""


@dataclass(frozen=True)
class Mad:
    """Let a mad agent loose on a driver that fails at random."""

    commands: int = 10_000
    rate: float = 0.1
    """Share of the driver's calls that fail."""
    seed: int = 777


def faults(config: Faults) -> int:
    """Print the table; returns the exit status."""
    bad = 0
    for name, fault in FAULTS.items():
        if config.only not in name:
            continue
        found = [told_ms(make_bench(config.arm), fault) for _ in range(config.runs)]
        times, moved = [each[0] for each in found], sum(each[1] for each in found)
        bad += sum(each > LIMIT_MS for each in times) + moved
        line = {
            "fault": name,
            "arm": config.arm,
            "runs": len(times),
            "told_ms_median": round(float(np.median(times)), 1),
            "told_ms_max": round(max(times), 1),
            "commanded_after_a_latched_stop": moved,
        }
        print(json.dumps(line), flush=True)
    return int(bad > 0)


def mad(config: Mad) -> int:
    """Send mad commands; after each latched stop go on for a while, then release. Returns the exit status."""
    rng = np.random.default_rng(config.seed)
    bench = make_bench("paper")
    driver, safe = bench.driver, bench.safe
    failing = threading.Event()

    def fail() -> None:
        if failing.is_set() and rng.random() < config.rate:
            raise [ArmError("lost"), OSError("socket"), RuntimeError("driver")][rng.integers(3)]

    safe.connect()
    safe.begin()
    driver.stopping = driver.any = fail
    failing.set()
    moods, raised, latched, accepted, released = Counter[str](), 0, 0, 0, 0
    left = 0
    for mood, action, pause in mad_agent(rng):
        moods[mood] += 1
        safe.frame_arrived(driver.clock.now())
        if safe.stopped and not left:
            latched, left = latched + 1, 5
        streams = sum(name != "stop" for name, _ in driver.calls)
        stopped = safe.stopped
        try:
            safe.act(action)
        except (ArmError, OSError, RuntimeError):
            raised += 1
        if stopped:
            accepted += sum(name != "stop" for name, _ in driver.calls) - streams
            left -= 1
            if not left:
                with contextlib.suppress(ArmError):
                    safe.release()
                    released += 1
        if rng.random() < 0.002:
            safe.emergency_stop("key")
        time.sleep(min(pause, 0.06))
        if sum(moods.values()) >= config.commands:
            break
    failing.clear()
    watched = safe.watched
    safe.close()
    print(
        json.dumps(
            {
                "agent_commands": sum(moods.values()),
                "driver_calls": dict(Counter(name for name, _ in driver.calls)),
                "errors_raised_to_the_agent": raised,
                "latched_stops": latched,
                "released": released,
                "accepted_after_a_latched_stop": accepted,
                "watched_to_the_end": watched,
            }
        )
    )
    return int(accepted > 0 or not watched)


if __name__ == "__main__":
    chosen: Any = tyro.cli(Faults | Mad, description=__doc__)  # type: ignore[arg-type]
    sys.exit(faults(chosen) if isinstance(chosen, Faults) else mad(chosen))
