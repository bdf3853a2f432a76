"""The scripted demonstrator: plays a task by contact physics and keeps what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench.envs.demonstration.script import PhaseClock, ScriptPlayer, Style, set_clock
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.simulation import PhysicsError, Simulation, Snapshot
from h2r_bench.envs.tasks.base import HOLD_STEPS, Goal, Judgement, Task
from h2r_bench.motion import from_action, to_action
from h2r_bench.types import Float32Array, FloatArray


class PhaseMismatchError(ValueError):
    """The script has other phases than the clock it shall keep, as when one scene needs a regrasp."""


@dataclass(frozen=True)
class Rollout:
    """One play of a script: T control steps, T + 1 snapshots."""

    state: Float32Array
    """Shape (T, 10)."""
    action: Float32Array
    """Shape (T, 7)."""
    trace: tuple[Snapshot, ...]
    """Length T + 1."""
    clock: PhaseClock
    judgement: Judgement
    film: FloatArray
    """Shape (F T, nq): joint positions at F moments of each control step, the first when it begins."""

    def __len__(self) -> int:
        return len(self.action)


def play(
    simulation: Simulation,
    task: Task,
    scene: SceneSpec,
    goal: Goal,
    style: Style,
    clock: PhaseClock | None = None,
    *,
    frames_per_step: int = 1,
) -> Rollout:
    """Play `task` in `scene` from its start. `clock` is given when another rollout set the phases.

    Raises:
        PhaseMismatchError: the script has more or fewer phases than `clock`.
    """
    start = task.start_pose(scene, goal, style)
    simulation.frames_per_step = frames_per_step
    simulation.reset(scene, start)
    snapshot = simulation.snapshot()
    waypoints = task.plan(snapshot, scene, goal)
    clock = clock or set_clock(start, waypoints, style)
    if len(clock.motion) != len(waypoints):
        raise PhaseMismatchError(f"a clock of {len(clock.motion)} phases for a script of {len(waypoints)}")
    player = ScriptPlayer(start, waypoints, clock, style)
    trace, states, actions, film = [snapshot], [], [], []
    failed = ""
    for _ in range(clock.total + HOLD_STEPS):
        action = to_action(*player.next(snapshot))
        film.append(simulation.data.qpos.copy())
        states.append(simulation.state())
        actions.append(action)
        try:
            # The stored float32 action is what is played, so that a replay is exact.
            simulation.step(*from_action(action))
        except PhysicsError:
            failed = "physics"
            break
        film += simulation.passed
        snapshot = simulation.snapshot()
        trace.append(snapshot)
    judgement = task.judge(trace, scene, goal) if not failed else Judgement(False, 0.0, failed)
    arrays = (np.array(states), np.array(actions))
    return Rollout(*arrays, tuple(trace), clock, judgement, np.array(film))
