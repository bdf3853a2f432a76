"""The robot in one scene under physics: what a control step does and what can be read from the world."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from h2r_bench.envs.robot.control import InverseKinematics, limit_target
from h2r_bench.envs.robot.model import FINGER_TRAVEL, HOME, MAX_JOINT_SPEED
from h2r_bench.envs.scene.compiled import CompiledScene, SceneSpec
from h2r_bench.envs.scene.props import PEN_TIP
from h2r_bench.envs.writing.ink import TOUCH_HEIGHT, on_sheet
from h2r_bench.geometry import matrix_to_6d, matrix_to_rotvec
from h2r_bench.motion import GripperLatch, ToolPose
from h2r_bench.types import CONTROL_HZ, DEFAULT_LIMITS, STATE_DIM, Float32Array, FloatArray, MotionLimits

FINGER_SPEED = 0.1
"""Speed of each finger [m/s]; the real gripper's default."""
HELD_FINGER = 0.0055
"""Travel of each finger around the pen [m]."""
_JOINT_REACH = MAX_JOINT_SPEED / CONTROL_HZ
"""How far each joint may turn in a control step, shape (7,) [rad]."""
_INK_POINTS = 5
"""Points of ink in each control step."""
_TO_TIP = np.array([0.0, 0.0, PEN_TIP])
"""From the tip of the pen to the tool, in the world's frame [m]."""
_UNSTABLE = tuple(
    kind.value
    for kind in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
)
"""Warnings after which MuJoCo has silently reset the state."""
_SETTLE_STEPS = 60
"""Physics steps after placing things, so that they rest."""


class PhysicsError(RuntimeError):
    """The simulation became unstable."""


@dataclass(frozen=True)
class Snapshot:
    """The world at one control step."""

    tool_position: FloatArray
    """Shape (3,) [m]."""
    tool_matrix: FloatArray
    """Shape (3, 3), relative to gripper-down."""
    opening: float
    """0 closed .. 1 open."""
    prop_position: FloatArray
    """Shape (K, 3) [m]."""
    prop_matrix: FloatArray
    """Shape (K, 3, 3)."""
    touched: tuple[bool, ...]
    """Whether the gripper touches each prop, length K."""
    contacts: frozenset[tuple[int, int]]
    """Pairs of props in contact with each other, smaller index first; -1 is the table."""
    ink: FloatArray
    """Shape (M, 2): ink left during this control step, in the paper's frame [m]."""

    def prop_yaw(self, index: int) -> float:
        """Heading of prop `index` about the vertical [rad]."""
        matrix = self.prop_matrix[index]
        return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


class Simulation:
    """One robot, one scene, one clock. Takes the absolute actions of the interface."""

    def __init__(
        self, stage: CompiledScene, solver: InverseKinematics, limits: MotionLimits = DEFAULT_LIMITS
    ) -> None:
        self.stage = stage
        self.limits = limits
        self.data = mujoco.MjData(stage.model)
        self._solver = solver
        self._latch = GripperLatch()
        self._steps = round(1.0 / (CONTROL_HZ * stage.model.opt.timestep))
        self.frames_per_step = 1
        """How many moments of each control step are wanted for a film, from the next reset on."""
        self._stops: list[tuple[int, bool, bool]] = []
        self.passed: list[FloatArray] = []
        """Joint positions (nq,) at the wanted moments inside the last control step."""
        self.target = ToolPose.at(0.45, 0.0, 0.2)
        self._joints = HOME.copy()
        self._finger = FINGER_TRAVEL
        self._spec: SceneSpec | None = None
        self._tip_path: list[FloatArray] = []
        self._driven = 0
        self.ink_steps: list[FloatArray] = []
        """Ink of each control step since the reset, as in the snapshots."""

    def reset(self, spec: SceneSpec, start: ToolPose) -> None:
        """Put props and robot in place, at rest, gripper open at `start`."""
        stage, data = self.stage, self.data
        mujoco.mj_resetData(stage.model, data)
        for index, prop in enumerate(spec.props):
            pose = np.array([prop.x, prop.y, prop.shape.rest_height])
            self.place(index, pose, prop.yaw)
        self._solver.reset()
        self.target = start
        self._joints = self._solver.solve(start)
        self._spec, self._tip_path, self.ink_steps = spec, [], []
        self._stops = self._find_stops()
        self._latch = GripperLatch(open_=spec.held is None)
        self._finger = FINGER_TRAVEL if spec.held is None else HELD_FINGER
        data.qpos[stage.arm_qpos] = self._joints
        data.qpos[stage.finger_qpos] = self._finger
        data.act[stage.servos] = (*self._joints, self._finger)
        mujoco.mj_step(stage.model, data, _SETTLE_STEPS)
        data.time = 0.0
        mujoco.mj_forward(stage.model, data)
        self._carry()

    def show(self, qpos: FloatArray) -> None:
        """Bring the drawn bodies to `qpos` (nq,) and what is held along, without running physics."""
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.stage.model, self.data)
        self._carry()

    def place(self, index: int, position: FloatArray, yaw: float) -> None:
        """Put prop `index` at `position` (3,) [m], turned by `yaw` [rad]."""
        quaternion = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        address = self.stage.free_qpos(index)
        if address is None:
            slot = self.stage.model.body_mocapid[self.stage.bodies[index]]
            self.data.mocap_pos[slot], self.data.mocap_quat[slot] = position, quaternion
        else:
            self.data.qpos[address : address + 7] = np.concatenate([position, quaternion])

    def step(self, wanted: ToolPose, gripper: float) -> tuple[str, ...]:
        """Move towards `wanted` for one control step; `gripper` 0 closes, 1 opens.

        Returns the names of the limits that held the target back. Raises PhysicsError when it blows up.
        """
        self.target, held = limit_target(self.target, wanted, self.limits)
        # The solver is shared between simulations: start from this one's own joints.
        self._solver.reset(self._joints)
        goal = self._solver.solve(self.target, _JOINT_REACH)
        aim = self._finger_aim(gripper)
        reach = FINGER_SPEED / CONTROL_HZ
        finger = min(max(aim, self._finger - reach), self._finger + reach)
        self._interpolate(goal, finger)
        self._joints, self._finger = goal, finger
        self._check_stable()
        return held

    def put_arm(self, joints: FloatArray, finger: float) -> None:
        """Place the robot at rest at `joints` (7,) [rad], its fingers at `finger` [m] unless they hold
        something from start to end.
        """
        stage, data = self.stage, self.data
        finger = HELD_FINGER if self._holding else finger
        data.qpos[stage.arm_qpos], data.qpos[stage.finger_qpos] = joints, finger
        data.act[stage.servos] = (*joints, finger)
        data.qvel[:] = 0.0
        mujoco.mj_forward(stage.model, data)
        self._carry()

    @property
    def finger(self) -> float:
        """Measured travel of the fingers [m]."""
        return float(self.data.qpos[self.stage.finger_qpos].mean())

    def drive(self, joints: FloatArray, finger: float) -> None:
        """One physics step with the servos told `joints` (7,) [rad] and `finger` [m]: for robots driven by
        other means than `step`. `finish_step` closes the control step.
        """
        stage, data = self.stage, self.data
        data.act[stage.servos] = (*joints, finger)
        data.ctrl[stage.servos] = 0.0
        mujoco.mj_step(stage.model, data)
        self._driven += 1
        if self._holding and self._driven % (self._steps // _INK_POINTS) == 0:
            self._tip_path.append(data.site_xpos[stage.tool_site].copy())

    def finish_step(self) -> Snapshot:
        """Close a control step made of calls of `drive`. Raises PhysicsError when it blew up."""
        mujoco.mj_kinematics(self.stage.model, self.data)
        self._carry()
        self._check_stable()
        snapshot = self.snapshot()
        self._tip_path = []
        return snapshot

    def _check_stable(self) -> None:
        if any(self.data.warning.number[kind] for kind in _UNSTABLE):
            raise PhysicsError("the simulation became unstable")

    def _find_stops(self) -> list[tuple[int, bool, bool]]:
        """Physics steps of a control step to stop at: to look for the film, and where a pen leaves ink."""
        steps, film = self._steps, self.frames_per_step
        filmed = {round(k * steps / film) for k in range(1, film)}
        inked = {k * steps // _INK_POINTS for k in range(1, _INK_POINTS + 1)} if self._holding else set()
        return [(stop, stop in filmed, stop in inked) for stop in sorted({steps, *filmed, *inked})]

    @property
    def _holding(self) -> bool:
        """Whether the gripper holds something from start to end."""
        return self._spec is not None and self._spec.held is not None

    def _finger_aim(self, gripper: float) -> float:
        """Where the fingers shall go [m]; around something held they stay."""
        if self._holding:
            return HELD_FINGER
        return FINGER_TRAVEL if self._latch.command(gripper) else 0.0

    def _interpolate(self, goal: FloatArray, finger: float) -> None:
        """Run the physics of one control step with joint targets moving linearly."""
        stage, data = self.stage, self.data
        start, end = np.array([*self._joints, self._finger]), np.array([*goal, finger])
        data.act[stage.servos] = start
        data.ctrl[stage.servos] = (end - start) * CONTROL_HZ
        tip, self._tip_path = data.site_xpos[stage.tool_site], []
        self.passed, done = [], 0
        for stop, filmed, inked in self._stops:
            mujoco.mj_step(stage.model, data, stop - done)
            done = stop
            if filmed:
                self.passed.append(data.qpos.copy())
            if inked:
                self._tip_path.append(tip.copy())
        # Poses as of the end of the step; contacts stay those of its last substep.
        mujoco.mj_kinematics(stage.model, data)
        self._carry()

    def _carry(self) -> None:
        """Bring what the gripper holds to where the tool is."""
        if self._spec is None or self._spec.held is None:
            return
        model, data = self.stage.model, self.data
        slot = model.body_mocapid[self.stage.bodies[self._spec.held]]
        data.mocap_pos[slot] = data.site_xpos[self.stage.tool_site]
        mujoco.mju_mat2Quat(data.mocap_quat[slot], data.site_xmat[self.stage.tool_site])
        mujoco.mj_kinematics(model, data)

    def _ink(self) -> FloatArray:
        """Ink of the last control step in the paper's frame, shape (M, 2) [m]."""
        none = np.zeros((0, 2))
        if self._spec is None or self._spec.held is None or self._spec.paper is None or not self._tip_path:
            return none
        tips = np.array(self._tip_path) - _TO_TIP
        body = self.stage.bodies[self._spec.paper]
        local = (tips - self.data.xpos[body]) @ self.data.xmat[body].reshape(3, 3)
        return local[(local[:, 2] < TOUCH_HEIGHT) & on_sheet(local[:, :2]), :2]

    def opening(self) -> float:
        """Measured opening of the gripper, 0 closed .. 1 open."""
        left, right = self.data.qpos[self.stage.finger_qpos].tolist()
        return min(max((left + right) / 2 / FINGER_TRAVEL, 0.0), 1.0)

    def tool(self) -> tuple[FloatArray, FloatArray]:
        """Measured tool position (3,) [m] and rotation matrix (3, 3) relative to gripper-down."""
        site = self.stage.tool_site
        return self.data.site_xpos[site].copy(), self.data.site_xmat[site].reshape(3, 3).copy()

    def tool_pose(self) -> ToolPose:
        """Measured pose of the tool."""
        position, matrix = self.tool()
        return ToolPose(position, np.asarray(matrix_to_rotvec(matrix)))

    def state(self) -> Float32Array:
        """Proprioception of the interface, shape (10,)."""
        state = np.empty(STATE_DIM, np.float32)
        state[:3], matrix = self.tool()
        state[3:9], state[9] = matrix_to_6d(matrix), self.opening()
        return state

    def object_pose(self) -> Float32Array:
        """Position [m] and 6-D rotation of each prop, shape (K, 9)."""
        bodies = self.stage.bodies
        matrix = self.data.xmat[bodies].reshape(-1, 3, 3)
        return np.concatenate([self.data.xpos[bodies], matrix_to_6d(matrix)], axis=1).astype(np.float32)

    def snapshot(self) -> Snapshot:
        """What judges and scripts read."""
        bodies = self.stage.bodies
        touched, pairs = self._contacts()
        position, matrix = self.tool()
        ink = self._ink()
        self.ink_steps.append(ink)
        return Snapshot(
            position,
            matrix,
            self.opening(),
            self.data.xpos[bodies],
            self.data.xmat[bodies].reshape(-1, 3, 3),
            touched,
            pairs,
            ink,
        )

    def _contacts(self) -> tuple[tuple[bool, ...], frozenset[tuple[int, int]]]:
        stage = self.stage
        touched = [False] * len(stage.bodies)
        pairs: set[tuple[int, int]] = set()
        geoms = self.data.contact.geom[: self.data.ncon]
        props, gripper = stage.prop_of_geom[geoms].tolist(), stage.gripper_geom[geoms].tolist()
        for (a, b), (a_gripper, b_gripper) in zip(props, gripper, strict=True):
            if a >= 0 and b_gripper:
                touched[a] = True
            if b >= 0 and a_gripper:
                touched[b] = True
            if not (a_gripper or b_gripper):
                pairs.add((min(a, b), max(a, b)))
        return tuple(touched), frozenset(pairs)
