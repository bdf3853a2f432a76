"""The world behind the protocol: a tabletop environment whose arm is driven from outside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.rendering import gl
from h2r_bench.envs.simulation import PhysicsError
from h2r_bench.real.arms.franka import TICK_S
from h2r_bench.real.twin.franka_protocol import TwinRobot
from h2r_bench.types import CONTROL_HZ, FloatArray, UInt8Array

TRACE_SECONDS = 20.0
"""How much of the arm's past is kept [s]."""


@dataclass(frozen=True)
class TwinScene:
    """Which trial to set up."""

    task: str = "pick_place"
    """Name of the task."""
    seed: int = 0
    """Seed of the trial: the same as that of `env.reset`."""
    trial: int | None = None
    """Index of the trial, where a name stands for several tasks."""
    cue: str = "scene"
    """Who says what to do: `scene` or `video`."""
    shift_cm: float = 0.0
    """Layout shift between the human's scene and the robot's [cm]."""
    film: bool = True
    """Whether the demonstration has pixels; drawing them is most of the time a reset takes."""


class TwinWorld:
    """One environment and one arm, advanced one tick of Franka's clock at a time."""

    def __init__(self, image_size: tuple[int, int], *, feedforward: bool = True) -> None:
        """A first scene, without a demonstration, in images of `image_size` (width, height) [pixels]."""
        self.robot = TwinRobot(feedforward=feedforward)
        self.time_s = 0.0
        """Simulated time since the start [s]; it never goes back."""
        self.failure = ""
        """`physics` once the simulation blew up."""
        self._image_size = image_size
        self._env: TabletopEnv | None = None
        self._settings: tuple[Any, ...] = ()
        self._ticks = 0
        self._script: Any = None
        self._trace: deque[tuple[float, ...]] = deque(maxlen=round(TRACE_SECONDS / (2 * TICK_S)))
        self.reset(TwinScene(film=False))

    @property
    def env(self) -> TabletopEnv:
        """The environment in use."""
        assert self._env is not None
        return self._env

    def reset(self, config: TwinScene) -> dict[str, Any]:
        """Put another scene on the table. The arm stays where it is: it must be driven to its start.

        Returns the demonstration, the instruction, the start pose and how many control steps a trial has.

        Raises:
            UnknownNameError: there is no such task.
            ValueError: another setting is out of range.
        """
        settings = (config.task, config.cue, config.shift_cm, config.film)
        if settings != self._settings:
            fresh = TabletopEnv(
                config.task,
                cue=config.cue,  # type: ignore[arg-type]  # checked there
                shift_cm=config.shift_cm,
                image_size=self._image_size,
                obs="image" if config.film else "state",
            )
            if self._env is not None:
                self._env.close()
            self._env, self._settings = fresh, settings
        options = {} if config.trial is None else {"trial": config.trial}
        self.env.reset(seed=config.seed, options=options)
        start = self.env.simulation.tool_pose()
        self.robot.bind(self.env.simulation)
        self._script, self._ticks, self.failure = None, 0, ""
        if gl.configure() not in gl.OFF:
            self.frame()  # a first picture takes seconds: not in the middle of a motion
        return self._describe(start.position, start.rotvec)

    def tick(self) -> None:
        """Advance by one tick; physics run at every second one."""
        self.time_s += TICK_S
        self._ticks += 1
        if self._ticks % 2:
            return
        simulation = self.env.simulation
        self.robot.advance_finger(2 * TICK_S)
        simulation.drive(*self.robot.servo_targets())
        place = simulation.data.site_xpos[simulation.stage.tool_site]
        self._trace.append((self.time_s, *place.tolist(), self.robot.commanded_speed))
        if self._ticks % round(1.0 / (CONTROL_HZ * TICK_S)) == 0:
            self._close_step()

    def frame(self) -> UInt8Array:
        """What the camera sees now, shape (H, W, 3)."""
        return self.env.distribution()

    def verdict(self) -> dict[str, Any]:
        """The simulator's judgement of the trial as it stands."""
        return self.env.verdict(self.failure)

    def begin_expert(self) -> None:
        """Plan the script that solves the scene from here."""
        self._script = self.env.expert_script()

    def expert_action(self) -> Any:
        """The next action of the script, shape (7,). Raises ValueError before `begin_expert`."""
        if self._script is None:
            raise ValueError("the expert has not begun")
        return self.env.expert_action(self._script)

    def trace(self, since_s: float) -> FloatArray:
        """The arm's past after `since_s` [s], shape (N, 5): time [s], tool position [m], fastest commanded
        joint [rad/s]; one row every 2 ms.
        """
        rows = [row for row in self._trace if row[0] > since_s]
        return np.array(rows).reshape(-1, 5)

    def close(self) -> None:
        """Free the graphics memory."""
        self.env.close()

    def _close_step(self) -> None:
        try:
            self.env.record_step()
        except PhysicsError:
            self.failure = "physics"

    def _describe(self, position: FloatArray, rotation: FloatArray) -> dict[str, Any]:
        demonstration, truth = self.env.demonstration, self.env.demonstration.truth
        assert truth is not None
        return {
            "frames": demonstration.frames,
            "rate_hz": demonstration.rate_hz,
            "instruction": demonstration.instruction,
            "truth": {name: getattr(truth, name) for name in truth.__dataclass_fields__},
            "task": self.env.task.name,
            "scene": self.env.pair.robot_scene.describe(),
            "goal": self.env.pair.goal.describe(),
            "start_position": position,
            "start_rotation": rotation,
            "horizon": self.env.horizon,
        }
