"""Any LeRobot `Robot`, by import path: the arms people already own.

Two kinds of robots fit. Those with Cartesian features (`ee.x` .. `ee.wz`, `ee.gripper_pos`) take the tool
pose as it is. Those with joint features (`shoulder_pan.pos` and so on) need a `model`, a URDF or MJCF file
whose joints bear the features' names; its kinematics are solved here as the simulator's are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.motion import ToolPose
from h2r_bench.ranges import Positive
from h2r_bench.real.arms.base import ArmError, ArmState, Clock, Commanded, MissingExtraError, MonotonicClock
from h2r_bench.real.arms.mount import Mount, from_driver_rotation, to_driver_rotation
from h2r_bench.real.arms.servo import ServoLoop, step_towards
from h2r_bench.types import FloatArray

TOOL_KEYS = ("ee.x", "ee.y", "ee.z", "ee.wx", "ee.wy", "ee.wz")
"""Cartesian features: position [m] and rotation vector [rad] of a tool frame with z out of the gripper."""
SERVO_HZ = 50.0
LONGEST_STEP = 0.01
"""Longest Cartesian step [m]: 0.5 m/s."""
WIDEST_STEP = 0.04
"""Widest Cartesian step [rad]: 2 rad/s."""
MAX_MISS = 0.01
"""A tool further from its target than this [m] at the joints' limits is out of reach."""


@dataclass(frozen=True)
class LeRobotConfig:
    """Which robot, and how its features are to be read."""

    robot: str = ""
    """Import path of the class, e.g. `lerobot.robots.so_follower:SO101Follower`."""
    robot_args: str = "{}"
    """Fields of the robot's own config, as JSON, e.g. {"port": "/dev/ttyACM0", "id": "mine"}."""
    host: str = ""
    """Becomes the field `port` of the robot's config."""
    model: str = ""
    """URDF or MJCF file of an arm with joint features."""
    tool_site: str = "tool"
    """Name of the site in that model between the finger tips, identity with the gripper straight down."""
    degrees: bool = True
    """Whether joint features are in degrees, else radians."""
    gripper_key: str = "gripper.pos"
    """Feature of the gripper; robots with Cartesian features usually have ee.gripper_pos."""
    gripper_open: float = 100.0
    """Its value when open."""
    gripper_closed: float = 0.0
    """Its value when closed."""
    joint_speed: Positive = 1.5
    """Fastest joint [rad/s]."""
    mount: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """Where the arm's base stands on the bench: x, y, z [m] and yaw [rad]."""


class LeRobotArm:
    """A LeRobot robot as one of our arms."""

    Config = LeRobotConfig

    def __init__(self, config: LeRobotConfig, clock: Clock | None = None) -> None:
        """Make the robot; nothing is reached before `connect`. Raises MissingExtraError, ArmError."""
        self.config = config
        self.clock: Clock = clock or MonotonicClock()
        self._robot = _make_robot(config)
        self.name = f"lerobot {type(self._robot).__name__}"
        self._mount = Mount(*config.mount)
        self._features = _Features.of(self._robot.action_features, config)
        self._lock = threading.RLock()
        self._goal: FloatArray | None = None
        """Where to go, in the features' own numbers; None when the arm stands."""
        self._told: FloatArray | None = None
        self._open = True
        self.sent: dict[str, float] = {}
        """What the robot said it was really sent last."""
        self._fault = ""
        self._loop: ServoLoop | None = None

    def connect(self) -> None:
        """Reach the robot, anew where it was; it must be calibrated. Raises ArmError."""
        self.close()
        with self._lock, _told_errors(self.name):
            if not self._robot.is_connected:
                self._robot.connect(calibrate=False)
            if not self._robot.is_calibrated:
                raise ArmError(f"{self.name} is not calibrated: run lerobot-calibrate once")
            self._goal = self._told = None
            self._fault = ""
        self._loop = ServoLoop(self.servo_step, SERVO_HZ, "lerobot servo")
        self._loop.start()

    def read_state(self) -> ArmState:
        """Where the tool is now. Raises ArmError."""
        with self._lock, _told_errors(self.name):
            seen = self._robot.get_observation()
        pose = self._mount.to_bench(self._features.pose(self._features.read(seen)))
        span = self.config.gripper_open - self.config.gripper_closed
        opening = (float(seen[self.config.gripper_key]) - self.config.gripper_closed) / span
        faults = (self._fault,) if self._fault else ()
        return ArmState(
            self.clock.now(), pose.position, pose.rotvec, float(np.clip(opening, 0.0, 1.0)), faults
        )

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """Aim at a tool pose; one out of reach leaves the last target as it is. Raises ArmError."""
        wanted = self._mount.from_bench(ToolPose(np.array(position, float), np.array(rotation, float)))
        with self._lock:
            if self._told is None:
                with _told_errors(self.name):
                    self._told = self._features.read(self._robot.get_observation())
            start = self._told if self._goal is None else self._goal
            self._goal = self._features.solve(wanted, start)
            told = self._mount.to_bench(self._features.pose(self._goal))
        return Commanded(self.clock.now(), told.position, told.rotvec, self._open)

    def grip(self, open_: bool, force_n: float) -> None:
        """Open or close; LeRobot's grippers take a position, no force."""
        with self._lock:
            self._open = open_
            if self._told is None:
                with _told_errors(self.name):
                    self._told = self._features.read(self._robot.get_observation())
            self._send(self._told)

    def stop(self) -> None:
        """Take no further step."""
        with self._lock:
            self._goal = self._told = None

    def close(self) -> None:
        """Stop and disconnect."""
        self.stop()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        with self._lock, contextlib.suppress(Exception):  # whatever was wrong, it is over
            if self._robot.is_connected:
                self._robot.disconnect()

    def servo_step(self) -> None:
        """One step towards the goal, if there is one. A step the robot refuses ends the motion."""
        with self._lock:
            if self._goal is None or self._told is None or self._fault:
                return
            following = self._features.step(self._told, self._goal)
            try:
                self._send(following)
            except ArmError as error:
                self._fault, self._goal = str(error), None
                return
            self._told = following

    def _send(self, values: FloatArray) -> None:
        gripper = self.config.gripper_open if self._open else self.config.gripper_closed
        action = {**self._features.write(values), self.config.gripper_key: float(gripper)}
        with _told_errors(self.name):
            self.sent = self._robot.send_action(action)


class _Features:
    """How the robot's features stand for a tool pose: Cartesian ones, as they are."""

    keys: tuple[str, ...] = TOOL_KEYS
    scale = 1.0

    @staticmethod
    def of(features: dict[str, Any], config: LeRobotConfig) -> _Features:
        """The kind that fits the robot's `features`. Raises ArmError when none does."""
        if config.gripper_key not in features:
            raise ArmError(f"no feature {config.gripper_key!r}; the robot has {', '.join(features)}")
        if all(key in features for key in TOOL_KEYS):
            return _Features()
        return _JointFeatures(features, config)

    def read(self, seen: dict[str, Any]) -> FloatArray:
        """The features' numbers, in radians and metres."""
        return np.array([float(seen[key]) for key in self.keys]) / self.scale

    def write(self, values: FloatArray) -> dict[str, float]:
        """The inverse of `read`."""
        return dict(zip(self.keys, (values * self.scale).tolist(), strict=True))

    def pose(self, values: FloatArray) -> ToolPose:
        """The tool pose in the arm's base frame."""
        return ToolPose(values[:3], from_driver_rotation(values[3:6]))

    def solve(self, pose: ToolPose, start: FloatArray) -> FloatArray:
        """The numbers for a pose, `start` when it is out of reach."""
        return np.array([*pose.position, *to_driver_rotation(pose.rotvec)])

    def step(self, start: FloatArray, goal: FloatArray) -> FloatArray:
        """The next numbers on the way."""
        following = step_towards(self.pose(start), self.pose(goal), LONGEST_STEP, WIDEST_STEP)
        return self.solve(following, start)


class _JointFeatures(_Features):
    """Joint positions, with a model that knows what they mean for the tool."""

    def __init__(self, features: dict[str, Any], config: LeRobotConfig) -> None:
        self.keys = tuple(key for key in features if key.endswith(".pos") and key != config.gripper_key)
        self.scale = 180.0 / np.pi if config.degrees else 1.0
        self._reach = config.joint_speed / SERVO_HZ
        if not config.model:
            raise ArmError(
                "this robot has joint features: give its model, a URDF or MJCF file, as arm option model"
            )
        model = _load_model(config.model)
        found = tuple(f"{model.joint(index).name}.pos" for index in range(model.njnt))
        if found != self.keys:
            raise ArmError(f"the model's joints {found} are not the robot's features {self.keys}")
        middle = model.jnt_range.mean(axis=1)
        self._kinematics = InverseKinematics(model, middle, config.tool_site)

    def pose(self, values: FloatArray) -> ToolPose:
        return self._kinematics.forward(values)

    def solve(self, pose: ToolPose, start: FloatArray) -> FloatArray:
        self._kinematics.reset(start)
        joints = self._kinematics.solve(pose)
        miss = np.linalg.norm(self.pose(joints).position - pose.position)
        return joints if miss <= MAX_MISS else start

    def step(self, start: FloatArray, goal: FloatArray) -> FloatArray:
        way = goal - start
        return start + way * min(1.0, self._reach / max(float(np.abs(way).max()), 1e-9))


def _load_model(path: str) -> mujoco.MjModel:
    try:
        return mujoco.MjModel.from_xml_path(path)
    except ValueError as error:
        raise ArmError(f"cannot read the model {path}: {error}") from error


def _make_robot(config: LeRobotConfig) -> Any:
    """The robot of an import path. Raises MissingExtraError, ArmError."""
    module_name, _, class_name = config.robot.partition(":")
    if not (module_name and class_name):
        raise ArmError(
            "say which robot: --arm-option robot=lerobot.robots.so_follower:SO101Follower, or your own"
        )
    try:
        robot_class = getattr(importlib.import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "lerobot":
            raise MissingExtraError("lerobot", "lerobot") from None
        raise ArmError(f"cannot import {module_name!r}: {error}") from error
    except AttributeError:
        raise ArmError(f"module {module_name!r} has no {class_name!r}") from None
    try:
        arguments = json.loads(config.robot_args) | ({"port": config.host} if config.host else {})
        return robot_class(robot_class.config_class(**arguments))
    except (TypeError, ValueError) as error:
        raise ArmError(f"robot_args do not fit {class_name}: {error}") from error


@contextlib.contextmanager
def _told_errors(name: str) -> Any:
    """Turns whatever a robot raises into an ArmError."""
    try:
        yield
    except ArmError:
        raise
    except Exception as error:  # drivers raise what they like
        raise ArmError(f"{name} stopped: {error}. Check power and cable, then connect again.") from error
