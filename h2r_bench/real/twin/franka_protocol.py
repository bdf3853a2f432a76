"""A Franka as franky-sim's protocol server knows it, driving the arm of our own simulation.

franky-sim's base class would run a controller of its own on torques; here joint targets go to the servos of
our world, the same that `env.step` drives, and states are read from it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from franky_sim.base_simulator import BaseRobot, InnerRobotState
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.franka_robot_state import FrankaRobotState
from numpy.typing import ArrayLike

from h2r_bench.envs.robot.model import FINGER_TRAVEL, HOME
from h2r_bench.real.arms.franka import TICK_S
from h2r_bench.real.arms.mount import GRIPPER_DOWN
from h2r_bench.types import FloatArray

if TYPE_CHECKING:
    from h2r_bench.envs.simulation import Simulation

SERVO_LAG_S = 0.1
"""Damping over stiffness of the simulated servos [s]: how far they trail a moving target by themselves."""

ANSWER_S = 0.02
"""How long a state waits for its answer while a motion runs [s]."""
_POLL_S = 0.0001

logger = logging.getLogger(__name__)


class TwinRobot(BaseRobot):
    """Joint targets in, joint states out. It takes joint and Cartesian motions, no torques."""

    def __init__(self, *, feedforward: bool = True) -> None:
        """Start at home; `bind` gives it a world.

        With `feedforward` the servos are told the target's velocity too, as a Franka's own controller is, and
        follow closely; without, they trail by 0.1 s as in `env.step`.
        """
        super().__init__()
        self._feedforward = feedforward
        self._simulation: Simulation | None = None
        self._wanted = HOME.copy()
        self._velocity = np.zeros(7)
        self._width_goal, self._width_speed = 2 * FINGER_TRAVEL, 0.1
        self._finger = FINGER_TRAVEL
        self._force: float | None = None

    def bind(self, simulation: Simulation) -> None:
        """Drive another world from now on; the arm stays where it was."""
        before = self._simulation or simulation
        joints, finger = before.data.qpos[before.stage.arm_qpos].copy(), before.finger
        self._simulation = simulation
        simulation.put_arm(joints, finger)
        self._wanted, self._velocity, self._finger = joints, np.zeros(7), finger

    # --- what the world asks -------------------------------------------------------------------------------

    def servo_targets(self) -> tuple[FloatArray, float]:
        """Joint targets (7,) [rad] and finger travel [m] for the next physics step."""
        lead = SERVO_LAG_S * self._velocity if self._feedforward else 0.0
        return self._wanted + lead, self._finger

    def advance_finger(self, seconds: float) -> None:
        """Let the fingers' target go on towards where the hand was told, for `seconds` [s]."""
        reach = self._width_speed / 2 * seconds
        self._finger += float(np.clip(self._width_goal / 2 - self._finger, -reach, reach))

    @property
    def commanded_speed(self) -> float:
        """Fastest commanded joint [rad/s]."""
        return float(np.abs(self._velocity).max())

    # --- what the protocol server asks ---------------------------------------------------------------------

    def joint_position_control(self, target_q: ArrayLike, has_new_command: bool = True) -> None:
        """Aim the servos at `target_q` (7,) [rad], called every tick."""
        wanted = np.asarray(target_q, float)
        self._velocity = (wanted - self._wanted) / TICK_S
        self._wanted = wanted

    def joint_velocity_control(self, target_dq: ArrayLike, has_new_command: bool = True) -> None:
        """Move the servos' targets at `target_dq` (7,) [rad/s], called every tick."""
        self.joint_position_control(self._wanted + np.asarray(target_dq, float) * TICK_S)

    def torque_control(self, torques: ArrayLike, has_new_command: bool = True) -> None:
        """Refused: the simulated arm has position servos. It stands still."""
        logger.warning("torque commands are not simulated: the arm stands still")
        self.joint_position_control(self._wanted)

    def _torque_control(self, torques: FloatArray) -> None:
        raise NotImplementedError("torque_control never passes torques on")

    def set_hand_goal(self, width: float, max_velocity: float, max_force: float) -> None:
        """Aim the fingers at an opening of `width` [m] at `max_velocity` [m/s] of opening."""
        self._width_goal = min(max(width, 0.0), 2 * FINGER_TRAVEL)
        self._width_speed = min(max(max_velocity, 0.0), 0.1)
        if self._simulation is not None:
            stage = self._simulation.stage
            stage.model.actuator_forcerange[stage.servos[-1]] = (-max_force, max_force)

    def _get_hand_width(self) -> float:
        return 2 * FINGER_TRAVEL if self._simulation is None else 2 * self._simulation.finger

    def _get_state(self) -> InnerRobotState:
        if self._simulation is None:
            return InnerRobotState(tuple(HOME), (0.0,) * 7, (0.0,) * 7)
        data, stage = self._simulation.data, self._simulation.stage
        return InnerRobotState(
            tuple(data.qpos[stage.arm_qpos].tolist()),
            tuple(data.qvel[stage.arm_dofs].tolist()),
            tuple(data.qfrc_actuator[stage.arm_dofs].tolist()),
        )

    @property
    def state(self) -> FrankaRobotState:
        """All of libfranka's state that this world has; the rest is zero."""
        now = self._get_state()
        wanted, velocity = tuple(self._wanted.tolist()), tuple(self._velocity.tolist())
        pose = self._tool_pose()
        flip = 1.0 if now.q[3] > 0.0 else -1.0
        return FrankaRobotState(
            q=now.q,
            q_d=wanted,
            dq=now.dq,
            dq_d=velocity,
            tau_J=now.tau_j,
            control_command_success_rate=1.0,
            O_T_EE=pose,
            O_T_EE_d=pose,
            O_T_EE_c=pose,
            elbow=(now.q[2], flip),
            elbow_d=(wanted[2], flip),
            elbow_c=(wanted[2], flip),
            m_ee=self.robot_parameters.ee_mass,
        )

    def _tool_pose(self) -> tuple[float, ...]:
        """O_T_EE, column major: z out of the gripper."""
        matrix = np.eye(4)
        if self._simulation is not None:
            matrix[:3, 3], turn = self._simulation.tool()
            matrix[:3, :3] = turn @ GRIPPER_DOWN
        return tuple(matrix.flatten(order="F").tolist())


class TwinRobotServer(FrankaRobotServer):
    """Franka's control box. While a motion runs it waits for the answer to each state it sent.

    A real one does not, and stops for a driver that is late; here a busy machine shall only be slow.
    """

    def __init__(self, robot: TwinRobot, hostnames: Iterable[str]) -> None:
        self._answered = True
        super().__init__(robot, hostnames)

    def process_commands(self) -> None:
        """Take what came in since the last tick."""
        until = time.monotonic() + ANSWER_S
        while self.current_motion_id and not self._answered and time.monotonic() < until:
            time.sleep(_POLL_S)
            self._process_udp_commands()
        super().process_commands()
        self._answered = False

    def _process_udp_commands(self) -> bool:
        self._answered = bool(super()._process_udp_commands()) or self._answered
        return self._answered

    def _handle_udp_command(self, command_data: bytes) -> None:
        self._answered = True
        super()._handle_udp_command(command_data)
