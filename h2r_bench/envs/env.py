"""The Gymnasium environment: watch a human do it, then do it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from h2r_bench.envs.demonstration.demo_controls import CONTROLS, with_other_goal, wrong_task
from h2r_bench.envs.demonstration.paired_scenes import TRAINING_STREAM, ScenePair, draw_pair
from h2r_bench.envs.demonstration.render_trajectory import RenderTrajectory, film
from h2r_bench.envs.demonstration.script import BRISK, ScriptPlayer, Style, set_clock
from h2r_bench.envs.hand import HandModel
from h2r_bench.envs.memory import release_freed
from h2r_bench.envs.rendering.viewer import Window
from h2r_bench.envs.rendering.views import Cameras
from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.scene.compiled import CompiledScene
from h2r_bench.envs.simulation import PhysicsError, Simulation, Snapshot
from h2r_bench.envs.tasks import TASKS, Cue
from h2r_bench.envs.tasks.base import Goal, Judgement
from h2r_bench.envs.validation import (
    MAX_PROPS,
    RENDER_MODES,
    ObservationPreset,
    RewardKind,
    check_arguments,
    checked_action,
    checked_options,
    state_preset_space,
)
from h2r_bench.motion import from_action, to_action
from h2r_bench.types import (
    CLIP_LENGTH,
    CONTROL_HZ,
    DEFAULT_IMAGE_SIZE,
    DEFAULT_LIMITS,
    Demo,
    Demonstration,
    Float32Array,
    GroundTruth,
    MotionLimits,
    UInt8Array,
    action_space,
    encode_instruction,
    observation_space,
)

EXTRA_SECONDS = 2.0
"""A trial lasts this much longer than its demonstration [s]."""
DENSE_SCALE = 10.0
"""Dense reward per metre of potential gained."""


class TabletopEnv(gymnasium.Env[dict[str, Any], Float32Array]):
    """A Franka arm at a table, and a human video of what to do there.

    `reset` draws a scene, lets the demonstrator play it as a human hand, puts things back, and hands out the
    video in `info["demonstration"]` and, 30 frames at a time, in the observation. A trial lasts as long as
    the demonstration plus 2 s, with no early end; success is judged at the end (`info["is_success"]`), where
    `info["distance"]` also says how far from it the world is [m]: minus the task's potential.

    Observation (preset `image`): see `h2r_bench.types.Observation`. Preset `state`, without images:

    | key | dtype | shape | meaning |
    |---|---|---|---|
    | `state` | float32 | (10,) | tool position [m], 6-D rotation, gripper opening [0..1] |
    | `props` | float32 | (4, 4) | x, y, z [m] and heading [rad] of each prop, zero padded |
    | `goal` | float32 | (3,) | index of the prop to move, of the one it goes to, turn [rad] |
    | `instruction` | uint8 | (128,) | the task in words |

    Action: `h2r_bench.types.action_space`, an absolute tool target. Reward `sparse`: 1 on the last step of a
    successful trial, else 0. Reward `dense`: that, plus what was gained in the task's potential.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": int(CONTROL_HZ)}  # noqa: RUF012

    def __init__(
        self,
        task: str = "pick_place",
        *,
        cue: Cue = "scene",
        shift_cm: float = 0.0,
        image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
        obs: ObservationPreset = "image",
        reward: RewardKind = "sparse",
        wrist_view: bool = False,
        render_mode: str | None = None,
        limits: MotionLimits | None = None,
        fine: bool = False,
        demo: Demo = "matched",
    ) -> None:
        """Make an environment; nothing is drawn before `reset`.

        Args:
            task: id of a task, see `h2r_bench.envs.tasks.TASKS`.
            cue: `scene` (one object, one goal) or `video` (only the demonstration says which).
            shift_cm: layout shift between the human's scene and the robot's [cm].
            image_size: width and height of all images [pixels].
            obs: observation preset.
            reward: `sparse` or `dense`.
            wrist_view: add the gripper's own view to the observation as `wrist_image`, shape (H, W, 3).
            render_mode: None, "rgb_array", or "human", which opens MuJoCo's viewer.
            limits: motion limits of the tool instead of the task's own.
            fine: render with shadows and smooth edges, at a third of the speed.
            demo: show the scene's own demonstration, or a control, see
                `h2r_bench.envs.demonstration.demo_controls`.

        Raises:
            UnknownNameError: there is no such task or control.
            ValueError: another argument is out of range, or the control makes no sense for the task.
        """
        self.source = TASKS.get(task)
        check_arguments(cue, shift_cm, image_size, obs, reward, render_mode)
        self.control = CONTROLS.get(demo)
        self.control.check(self.source, cue)
        self.cue: Cue = cue
        self.shift_cm = float(shift_cm)
        self.image_size = image_size
        self.obs_preset: ObservationPreset = obs
        self.reward_kind: RewardKind = reward
        self.wrist_view = wrist_view
        self.render_mode = render_mode
        self.limits = limits
        self._fine = fine
        self.action_space = cast("spaces.Space[Float32Array]", action_space(limits or DEFAULT_LIMITS))
        self.observation_space = observation_space(image_size) if obs == "image" else state_preset_space()
        if wrist_view:
            view = spaces.Box(0, 255, (image_size[1], image_size[0], 3), np.uint8)
            self.observation_space = spaces.Dict({**self.observation_space.spaces, "wrist_image": view})
        self._solver = InverseKinematics()
        self._stage: CompiledScene | None = None
        self._views: Cameras | None = None
        self._elsewhere: dict[str, TabletopEnv] = {}
        self._image: UInt8Array | None = None
        self._begun = False
        self._window = Window()
        self._live = False

    # --- Gymnasium ---------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a trial. The same seed gives the same trial after any history.

        Options: `trial` (int), the trial's index, decides which task comes when a name stands for several;
        without it one is drawn. `episode` (int), the seed of a recorded training episode of this task, cue
        and shift: its scenes and its human instead of a trial's own.

        Raises:
            ValueError: `options` has unknown entries or bad values.
        """
        super().reset(seed=seed)
        trial, episode = checked_options(options)
        rng = self.np_random if episode is None else np.random.default_rng([TRAINING_STREAM, episode])
        self.task = self.source.variant(rng, trial if episode is None else None)
        drawn = (rng, self.task, self.cue, self.shift_cm, self._solver)
        self.pair = draw_pair(*drawn, stage_for=self._stage_for, as_person=episode is None)
        self.instruction = self.task.instruction(self.pair.human_scene, self.pair.goal)
        self._instruction_code = encode_instruction(self.instruction)
        steps = self._show(rng.spawn(1)[0])
        self.simulation = Simulation(self.pair.stage, self._solver, self.limits or self.task.limits)
        start = self.task.start_pose(self.pair.robot_scene, self.pair.goal, Style.sample(rng))
        self.simulation.reset(self.pair.robot_scene, start)
        self.trace: list[Snapshot] = [self.simulation.snapshot()]
        self.horizon = steps + round(EXTRA_SECONDS * CONTROL_HZ)
        self._padded = self.demonstration.clip(0, self.horizon + CLIP_LENGTH)
        self._image, self._begun, self._live = None, False, True
        info = {"demonstration": self.demonstration, "instruction": self.instruction, **self.verdict()}
        return self._observe(), info

    def step(self, action: ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move towards the absolute tool target `action`, shape (7,), for 0.1 s.

        Targets outside the motion limits are brought inside; `info["clipped"]` names the limits.

        Raises:
            ValueError: the action has another shape or is not finite.
            gymnasium.error.ResetNeeded: before `reset` or after the end.
        """
        if not self._live:
            raise gymnasium.error.ResetNeeded("call reset() first: this trial has not begun or is over")
        wanted = checked_action(action)
        failure, clipped = "", tuple[str, ...]()
        try:
            clipped = self.simulation.step(*from_action(wanted))
        except PhysicsError:
            failure = "physics"
        self._image, self._begun = None, False
        if self.obs_preset == "image":
            self._begin_image()  # drawn while the rest of the step is worked out
        if not failure:
            self.trace.append(self.simulation.snapshot())
            if self._begun:
                self._camera_views().paint_ink(self.simulation)
        truncated = self.steps_taken >= self.horizon
        self._live = not (truncated or failure)
        info = {**self.verdict(failure), "clipped": clipped}
        if truncated and not failure:
            info["distance"] = -self._potential(-1)
        reward = float(truncated and info["is_success"])
        if self.reward_kind == "dense" and not failure:
            reward += DENSE_SCALE * (self._potential(-1) - self._potential(-2))
        if self.render_mode == "human":
            self.render()
        return self._observe(), reward, bool(failure), truncated, info

    def render(self) -> UInt8Array | None:
        """The robot view, shape (H, W, 3), whatever the observation preset; None in mode "human"."""
        if self.render_mode == "human":
            self._window.show(self.simulation)
            return None
        return self._robot_image().copy()

    def distribution(self) -> UInt8Array:
        """The robot view of this very moment, shape (H, W, 3), also in the middle of a control step."""
        return self._camera_views().robot(self.simulation)

    def record_step(self) -> None:
        """Close a control step that was driven from outside, see `Simulation.drive`."""
        self.trace.append(self.simulation.finish_step())
        self._image = None

    def verdict(self, failure: str = "") -> dict[str, Any]:
        """How the trial stands: `is_success`, `progress`, `failure`, and for two goals `original_success`."""
        judgement = self._judge(self.pair.goal, failure)
        verdict: dict[str, Any] = {
            "is_success": judgement.success,
            "progress": judgement.progress,
            "failure": judgement.failure,
        }
        if self.original_goal is not None:
            verdict["original_success"] = self._judge(self.original_goal, failure).success
        return verdict

    def close(self) -> None:
        """Free the graphics memory."""
        self._close_views()
        for env in self._elsewhere.values():
            env.close()

    # --- for privileged agents ---------------------------------------------------------------------------

    @property
    def steps_taken(self) -> int:
        """Control steps since `reset`."""
        return len(self.trace) - 1

    def expert_script(self) -> ScriptPlayer:
        """A script that solves the robot's scene from here, in the expert's brisk style."""
        waypoints = self.task.plan(self.trace[-1], self.pair.robot_scene, self.pair.goal)
        start = self.simulation.tool_pose()
        return ScriptPlayer(start, waypoints, set_clock(start, waypoints, BRISK), BRISK)

    def expert_action(self, script: ScriptPlayer) -> Float32Array:
        """The next action of `script`, shape (7,)."""
        return to_action(*script.next(self.trace[-1]))

    # --- inside ------------------------------------------------------------------------------------------

    def _stage_for(self, kinds: tuple[str, ...]) -> CompiledScene:
        """The stage in use when it fits, else a new one."""
        if self._stage is None or self._stage.kinds != kinds:
            self._close_views()
            self._stage = None
            release_freed()
            self._stage = CompiledScene(kinds)
        return self._stage

    def _close_views(self) -> None:
        self._window.close()
        if self._views is not None:
            self._views.close()
            self._views = None

    def _camera_views(self) -> Cameras:
        if self._views is None:
            self._views = Cameras(self.pair.stage, self.image_size, fine=self._fine)
        return self._views

    def _show(self, rng: np.random.Generator) -> int:
        """Set what is demonstrated; returns how many steps the trial's own demonstration takes.

        Where another goal is shown, the trial lasts long enough for either.
        """
        control, own = self.control, self.pair
        self.original_goal = own.goal if control.other_goal else None
        if control.other_goal:
            self.pair = with_other_goal(rng, self.task, own)
        shown = self._film_elsewhere(rng) if control.other_task else self._film()
        self.demonstration = control.alter(
            replace(shown, instruction=self.instruction, domain=self.source.domain)
        )
        return max(len(own.rollout), len(self.pair.rollout))

    def _film_elsewhere(self, rng: np.random.Generator) -> Demonstration:
        """A demonstration of another task, in a scene of its own."""
        task = wrong_task(rng, self.task)
        if task not in self._elsewhere:
            self._elsewhere[task] = TabletopEnv(
                task, cue=self.cue, image_size=self.image_size, obs=self.obs_preset, fine=self._fine
            )
        _, info = self._elsewhere[task].reset(seed=int(rng.integers(2**31)))
        shown: Demonstration = info["demonstration"]
        return shown

    def _film(self) -> Demonstration:
        """The human video of this trial; without images its frames have no pixels."""
        pair = self.pair
        played = film(pair.human_simulation, pair.rollout)
        frames = np.zeros((len(pair.rollout), 0, 0, 3), np.uint8)
        if self.obs_preset == "image":
            puppet = HandModel(pair.stage.model, pair.hand)
            frames = self._camera_views().human_video(pair.human_simulation, played, puppet, pair.camera)
        truth = ground_truth(pair, played)
        return Demonstration(frames, CONTROL_HZ, self.instruction, truth, self.source.domain)

    def _robot_image(self) -> UInt8Array:
        """The robot view of this step, drawn once."""
        if self._image is None:
            self._begin_image()
            self._image, self._begun = self._camera_views().finish(), False
        return self._image

    def _begin_image(self) -> None:
        if not self._begun:
            self._camera_views().begin_robot(self.simulation)
            self._begun = True

    def _potential(self, moment: int) -> float:
        return self.task.potential(self.trace[moment], self.pair.robot_scene, self.pair.goal)

    def _observe(self) -> dict[str, Any]:
        observation: dict[str, Any] = {
            "state": self.simulation.state(),
            "instruction": self._instruction_code.copy(),
        }
        if self.obs_preset == "state":
            observation |= self._task_state()
        else:
            clip = self._padded[self.steps_taken : self.steps_taken + CLIP_LENGTH].copy()
            observation |= {"human_clip": clip, "image": self._robot_image()}
        if self.wrist_view:
            observation["wrist_image"] = self._camera_views().wrist(self.simulation)
        return observation

    def _task_state(self) -> dict[str, Float32Array]:
        now, goal = self.trace[-1], self.pair.goal
        props = np.zeros((MAX_PROPS, 4), np.float32)
        for index, position in enumerate(now.prop_position[:MAX_PROPS]):
            props[index] = (*position, now.prop_yaw(index))
        return {"props": props, "goal": np.array([goal.subject, goal.target, goal.angle], np.float32)}

    def _judge(self, goal: Goal, failure: str) -> Judgement:
        """How the trial stands for `goal`; lost where the world broke (`failure`)."""
        if failure:
            return Judgement(False, 0.0, failure)
        return self.task.judge(self.trace, self.pair.robot_scene, goal)


def ground_truth(pair: ScenePair, played: RenderTrajectory) -> GroundTruth:
    """What the simulator knows of the demonstration of `pair`, `played` in the human's scene."""
    return GroundTruth(
        tool_pose=played.tool_pose,
        opening=played.state[:, 9].copy(),
        object_pose=played.object_pose,
        gripper=pair.rollout.action[:, 6].copy(),
    )
