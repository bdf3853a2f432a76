"""The robot in one scene under physics: what a control step does and what can be read from the world."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from h2r_bench.envs.control import GripperLatch, InverseKinematics, ToolPose, limit_target
from h2r_bench.envs.ink import TOUCH_HEIGHT, on_sheet
from h2r_bench.envs.props import PEN_TIP
from h2r_bench.envs.robot import FINGER_TRAVEL, HOME
from h2r_bench.envs.scene import SceneSpec, Stage
from h2r_bench.rotations import matrix_to_6d, matrix_to_rotvec
from h2r_bench.types import CONTROL_HZ, DEFAULT_LIMITS, Float32Array, FloatArray, MotionLimits

FINGER_SPEED = 0.1
"""Speed of each finger [m/s]; the real gripper's default."""
HELD_FINGER = 0.0055
"""Travel of each finger around the pen [m]."""
_TIP_EVERY = 10
"""Physics steps between two points of ink."""
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
    """One robot, one scene, one clock. Takes the absolute actions of the seam."""

    def __init__(
        self, stage: Stage, solver: InverseKinematics, limits: MotionLimits = DEFAULT_LIMITS
    ) -> None:
        self.stage = stage
        self.limits = limits
        self.data = mujoco.MjData(stage.model)
        self._solver = solver
        self._latch = GripperLatch()
        self._substeps = round(1.0 / (CONTROL_HZ * stage.model.opt.timestep))
        self.target = ToolPose.at(0.45, 0.0, 0.2)
        self._joints = HOME.copy()
        self._finger = FINGER_TRAVEL
        self._spec: SceneSpec | None = None
        self._tip_path: list[FloatArray] = []
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
        self._latch = GripperLatch(open_=spec.held is None)
        self._finger = FINGER_TRAVEL if spec.held is None else HELD_FINGER
        data.qpos[stage.arm_qpos] = self._joints
        data.qpos[stage.finger_qpos] = self._finger
        data.ctrl[stage.arm_actuators] = self._joints
        data.ctrl[stage.gripper_actuator] = self._finger
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
        goal = self._solver.solve(self.target)
        aim = self._finger_aim(gripper)
        reach = FINGER_SPEED / CONTROL_HZ
        finger = float(np.clip(aim, self._finger - reach, self._finger + reach))
        self._interpolate(goal, finger)
        self._joints, self._finger = goal, finger
        if any(self.data.warning.number[kind] for kind in _UNSTABLE):
            raise PhysicsError("the simulation became unstable")
        return held

    def _finger_aim(self, gripper: float) -> float:
        """Where the fingers shall go [m]; around something held they stay."""
        if self._spec is not None and self._spec.held is not None:
            return HELD_FINGER
        return FINGER_TRAVEL if self._latch.command(gripper) else 0.0

    def _interpolate(self, goal: FloatArray, finger: float) -> None:
        """Run the physics of one control step with joint targets moving linearly."""
        stage, data = self.stage, self.data
        start, first = self._joints, self._finger
        self._tip_path = []
        for k in range(1, self._substeps + 1):
            share = k / self._substeps
            data.ctrl[stage.arm_actuators] = start + share * (goal - start)
            data.ctrl[stage.gripper_actuator] = first + share * (finger - first)
            mujoco.mj_step(stage.model, data)
            if k % _TIP_EVERY == 0:
                self._tip_path.append(data.site_xpos[stage.tool_site].copy())
        mujoco.mj_forward(stage.model, data)
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
        tips = np.array(self._tip_path) - (0.0, 0.0, PEN_TIP)
        body = self.stage.bodies[self._spec.paper]
        local = (tips - self.data.xpos[body]) @ self.data.xmat[body].reshape(3, 3)
        return local[(local[:, 2] < TOUCH_HEIGHT) & on_sheet(local[:, :2]), :2]

    @property
    def gripper_command(self) -> float:
        """What the gripper last was told: 0 closed, 1 open."""
        return 1.0 if self._latch.open else 0.0

    def opening(self) -> float:
        """Measured opening of the gripper, 0 closed .. 1 open."""
        return float(np.clip(self.data.qpos[self.stage.finger_qpos].mean() / FINGER_TRAVEL, 0.0, 1.0))

    def tool(self) -> tuple[FloatArray, FloatArray]:
        """Measured tool position (3,) [m] and rotation matrix (3, 3) relative to gripper-down."""
        site = self.stage.tool_site
        return self.data.site_xpos[site].copy(), self.data.site_xmat[site].reshape(3, 3).copy()

    def tool_pose(self) -> ToolPose:
        """Measured pose of the tool."""
        position, matrix = self.tool()
        return ToolPose(position, np.asarray(matrix_to_rotvec(matrix)))

    def state(self) -> Float32Array:
        """Proprioception of the seam, shape (10,)."""
        position, matrix = self.tool()
        return np.concatenate([position, matrix_to_6d(matrix), [self.opening()]]).astype(np.float32)

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
            self.data.xpos[bodies].copy(),
            self.data.xmat[bodies].reshape(-1, 3, 3).copy(),
            touched,
            pairs,
            ink,
        )

    def _contacts(self) -> tuple[tuple[bool, ...], frozenset[tuple[int, int]]]:
        stage = self.stage
        touched = [False] * len(stage.bodies)
        pairs: set[tuple[int, int]] = set()
        for geom1, geom2 in self.data.contact.geom[: self.data.ncon]:
            a, b = int(stage.prop_of_geom[geom1]), int(stage.prop_of_geom[geom2])
            for prop, other in ((a, geom2), (b, geom1)):
                if prop >= 0 and stage.gripper_geom[other]:
                    touched[prop] = True
            if not (stage.gripper_geom[geom1] or stage.gripper_geom[geom2]):
                pairs.add((min(a, b), max(a, b)))
        return tuple(touched), frozenset(pairs)
