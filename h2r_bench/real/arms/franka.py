"""Franka Panda and FR3 by franky-control (libfranka and Ruckig), with the kinematics of the simulator.

Each Cartesian target becomes joint angles by the simulator's own inverse kinematics, so that the elbow goes
where it goes there, and is given to Ruckig as a joint motion that ends at rest. The next target replaces it
in flight. A target is thus never overrun: when the stream breaks off the arm stands where it was last told.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.robot.model import MAX_JOINT_SPEED
from h2r_bench.motion import ToolPose
from h2r_bench.ranges import Positive, Range
from h2r_bench.real.arms.base import ArmError, ArmState, Clock, Commanded, MissingExtraError, MonotonicClock
from h2r_bench.real.arms.franka_hand import FrankaHand
from h2r_bench.real.arms.mount import Mount
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import CONTROL_HZ, FloatArray

COMMAND_PORT = 1337
"""Where a Franka listens for libfranka."""
CONNECT_SECONDS = 3.0
"""How long an address may take to answer [s]."""
END_S, LOOK_S = 5.0, 0.02
"""How long a motion may take to end when the arm is let go, and how often that is looked at [s]."""
_RUNNING: list[Any] = []
"""Drivers whose motion would not end: freed in the middle of one they would take the process with them."""
READ_ATTEMPTS = 4
"""How often a state is asked for before the arm counts as lost."""
TICK_S = 0.001
"""A Franka's clock [s]."""
JOINT_LIMITS = {
    "panda": (
        np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
        np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    ),
    "fr3": (
        np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]),
        np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]),
    ),
}
"""Franka's published joint limits [rad]. The kinematics know the Panda's; an FR3 keeps within both."""
JOINT_MARGIN = 0.02
"""Distance kept from them [rad]."""
MAX_MISS = 0.005
"""A tool that would leave the straight way to its target by more than this [m] stays."""


DynamicsShare = Annotated[float, Range(0.0, 1.0, above=True)]
"""Share of what the arm itself allows."""


@dataclass(frozen=True)
class FrankaConfig:
    """How a Franka is reached and how briskly it moves."""

    host: str = ""
    """Address of the control box."""
    model: str = "fr3"
    """Which Franka: `fr3`, or `panda`, whose joints reach a little further."""
    realtime: bool = True
    """Insist on a real-time kernel, as Franka asks for; false only for simulated arms."""
    velocity: DynamicsShare = 0.5
    """Share of Franka's joint velocity limits, 0..1."""
    acceleration: DynamicsShare = 0.3
    """Share of its acceleration limits, 0..1: more is shorter in lag and harder on the arm."""
    jerk: DynamicsShare = 0.1
    """Share of its jerk limits, 0..1."""
    torque_threshold: Positive = 20.0
    """External joint torque that counts as a collision [Nm]."""
    force_threshold: Positive = 30.0
    """External force that counts as a collision [N]."""
    gripper_speed: Annotated[float, Range(0.0, 0.1, above=True)] = 0.1
    """Speed at which the opening changes [m/s]; the hand's own limit is 0.1."""
    mount: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """Where the arm's base stands on the bench: x, y, z [m] and yaw [rad]."""


class FrankaArm:
    """A Franka arm with its hand."""

    name = "franka"
    Config = FrankaConfig

    def __init__(self, config: FrankaConfig, clock: Clock | None = None) -> None:
        """Prepare; nothing is reached before `connect`. Raises MissingExtraError, ArmError."""
        self._franky = import_franky()
        if not config.host:
            raise ArmError("a Franka needs its address: --host 172.16.0.2 or whatever its Desk shows")
        self.config = config
        self.clock: Clock = clock or MonotonicClock()
        self._mount = Mount(*config.mount)
        self._kinematics = InverseKinematics()
        low, high = _joint_limits(config.model)
        self._kinematics.narrow(low + JOINT_MARGIN, high - JOINT_MARGIN)
        self._robot: Any = None
        self._hand: FrankaHand | None = None
        self._lock = threading.RLock()
        self._joints: FloatArray | None = None
        """The last joint target (7,) [rad], None when the arm stands."""

    def connect(self) -> None:
        """Reach arm and hand, anew where they were; clears errors of before. Raises ArmError."""
        self.close()  # a control box talks to one driver at a time
        check_reachable(self.config.host)
        franky, config = self._franky, self.config
        realtime = franky.RealtimeConfig.Enforce if config.realtime else franky.RealtimeConfig.Ignore
        with self._lock, told_errors(config.host):
            self._robot = franky.Robot(
                config.host,
                default_torque_threshold=config.torque_threshold,
                default_force_threshold=config.force_threshold,
                realtime_config=realtime,
            )
            if self._robot.has_errors:
                self._robot.recover_from_errors()
            self._hand = FrankaHand(lambda: franky.Gripper(config.host), config.gripper_speed)
            self._joints = None

    def read_state(self) -> ArmState:
        """Where the tool is now. Raises ArmError when the connection is gone."""
        with self._lock, told_errors(self.config.host):
            state = self._read()
            pose = self._mount.to_bench(self._kinematics.forward(np.asarray(state.q)))
            faults = self._faults(state)
        return ArmState(self.clock.now(), pose.position, pose.rotvec, self._hand_now().opening, faults)

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """Aim at a tool pose; one out of reach leaves the last target as it is. Raises ArmError."""
        with self._lock, told_errors(self.config.host):
            robot = self._connected()
            joints = self._solve(ToolPose(np.asarray(position, float), np.asarray(rotation, float)))
            robot.move(self._motion_to(joints), asynchronous=True)
            self._joints = joints
        told = self._mount.to_bench(self._kinematics.forward(joints))
        return Commanded(self.clock.now(), told.position, told.rotvec, self._hand_now().wanted_open)

    def grip(self, open_: bool, force_n: float) -> None:
        """Open, or grasp with `force_n` [N]; returns at once."""
        self._hand_now().grip(open_, force_n)

    def stop(self) -> None:
        """Brake along the way, as hard as Franka allows."""
        with self._lock:
            self._joints = None
            if self._robot is None:
                return
            with told_errors(self.config.host):
                if self._robot.is_in_control:
                    self._robot.move(self._franky.JointStopMotion(), asynchronous=True)

    def close(self) -> None:
        """Brake and disconnect."""
        with self._lock:
            if self._robot is None:
                return
            with contextlib.suppress(ArmError):
                self.stop()
            if self._hand is not None:
                self._hand.close()
            if not self._ended():
                _RUNNING.append(self._robot)
            self._robot = self._hand = None

    def _ended(self) -> bool:
        """Wait for the motion to come to its end; whether it did."""
        until = time.monotonic() + END_S
        try:
            while self._robot.is_in_control and time.monotonic() < until:
                self.clock.sleep_until(self.clock.now() + LOOK_S)
            return bool(self._robot.join_motion(END_S))
        except Exception:  # it ended badly, and has been told
            return not self._robot.is_in_control

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Ask arm and hand nothing meanwhile: libfranka gives up a robot that is silent for a second."""
        with self._lock, self._hand.quiet() if self._hand is not None else contextlib.nullcontext():
            yield

    def recover(self) -> None:
        """Clear the errors of a stopped arm (a collision, a lost packet). Raises ArmError."""
        with self._lock, told_errors(self.config.host):
            self._joints = None
            if not self._connected().recover_from_errors():
                raise ArmError("the Franka does not recover: look at its Desk, release the user stop")

    def _read(self) -> Any:
        """The driver's state. A reading in the very moment at which a motion ends may fail: try again."""
        for _ in range(READ_ATTEMPTS - 1):
            with contextlib.suppress(RuntimeError):  # Poco's own; franky's exceptions are none of these
                return self._connected().state
            time.sleep(TICK_S)
        return self._connected().state

    def _connected(self) -> Any:
        if self._robot is None:
            raise ArmError("the Franka is not connected: call connect() first")
        return self._robot

    def _hand_now(self) -> FrankaHand:
        if self._hand is None:
            raise ArmError("the Franka is not connected: call connect() first")
        return self._hand

    def _motion_to(self, joints: FloatArray) -> Any:
        """A motion that ends at rest at `joints` (7,) [rad] and then holds them."""
        config = self.config
        factor = self._franky.RelativeDynamicsFactor(config.velocity, config.acceleration, config.jerk)
        return self._franky.JointMotion(
            joints.tolist(), relative_dynamics_factor=factor, return_when_finished=False
        )

    def _solve(self, pose: ToolPose) -> FloatArray:
        """Joint angles (7,) [rad] for a tool pose of the bench frame, the last ones if it has none near.

        As in the simulator no joint goes further than it can in a control step, so that a pose of another
        posture of the arm is not jumped to. One that is then missed may still be reached in place alone.
        """
        start = self._joints if self._joints is not None else np.asarray(self._read().q)
        here, goal = self._kinematics.forward(start), self._mount.from_bench(pose)
        for wanted in (goal, ToolPose(goal.position, here.rotvec)):
            self._kinematics.reset(start)
            joints = self._kinematics.solve(wanted, MAX_JOINT_SPEED / CONTROL_HZ)
            place = self._kinematics.forward(joints).position
            if _off_the_way(place, here.position, goal.position) <= MAX_MISS:
                return joints
        return start

    def _faults(self, state: Any) -> tuple[str, ...]:
        """What stops the arm from moving."""
        modes = self._franky.RobotMode
        found = [] if state.robot_mode in (modes.Idle, modes.Move) else [str(state.robot_mode).split(".")[-1]]
        if self._robot.has_errors:
            found.append(str(state.current_errors))
        return tuple(found)


def _off_the_way(place: FloatArray, start: FloatArray, goal: FloatArray) -> float:
    """How far `place` is from the straight line between `start` and `goal`, each (3,) [m]."""
    way = goal - start
    share = float(way @ (place - start)) / max(float(way @ way), 1e-12)
    return float(np.linalg.norm(place - start - min(max(share, 0.0), 1.0) * way))


def _joint_limits(model: str) -> tuple[FloatArray, FloatArray]:
    if model not in JOINT_LIMITS:
        raise UnknownNameError("Franka model", model, list(JOINT_LIMITS))
    return JOINT_LIMITS[model]


def import_franky() -> Any:
    """The module franky. Raises MissingExtraError."""
    try:
        import franky
    except ImportError:
        raise MissingExtraError("franky-control", "real") from None
    return franky


def check_reachable(host: str, port: int = COMMAND_PORT) -> None:
    """Raises ArmError unless something listens at `host`; libfranka itself would wait for a minute."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise ArmError(
            f"no Franka answers at {host}:{port} ({error}). Check the cable and the address, unlock the "
            "brakes and activate FCI in Desk."
        ) from None


@contextlib.contextmanager
def told_errors(host: str) -> Any:
    """Turns whatever franky raises into an ArmError that says what to do."""
    try:
        yield
    except ArmError:
        raise
    except Exception as error:  # franky's exceptions share no base class
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArmError(
            f"the Franka at {host} stopped: {text}. Look at its Desk, then connect again."
        ) from error
