"""UFACTORY xArm by its SDK, in servo mode: the paper's arm. Millimetres and degrees stay in this file.

Servo mode executes whatever it is told at once, so a target is approached in small steps by a thread of our
own: at 100 Hz and 5 mm, within the controller's 250 Hz and 10 mm. The controller's own fence (box and speed)
is set as well, as a second line behind ours.
"""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from h2r_bench.motion import ToolPose
from h2r_bench.ranges import Positive, Range
from h2r_bench.real.arms.base import ArmError, ArmState, Clock, Commanded, MissingExtraError, MonotonicClock
from h2r_bench.real.arms.mount import Mount, from_driver_rotation, to_driver_rotation
from h2r_bench.real.arms.servo import ServoLoop, step_towards
from h2r_bench.types import DEFAULT_LIMITS, FloatArray

MM = 1000.0
"""Millimetres in a metre."""
SERVO_HZ = 100.0
"""Steps per second; the controller takes 250 at most."""
MAX_SERVO_STEP = 0.005
"""Longest step [m]; the controller takes 10 mm at most. At 100 Hz it allows 0.5 m/s."""
MAX_SERVO_TURN = 0.03
"""Widest step [rad]: 3 rad/s."""
SERVO_MODE, MOTION_STATE, STOP_STATE = 1, 0, 4
GRIPPER_OPEN = 850
"""Pulses of an open gripper; 0 is closed."""
GRIPPER_SPEED = 3000
"""[r/min]; 5000 at most."""
G2_OPEN_MM = 84.0
"""Opening of the second gripper [mm]."""
OPENING_AGE_S = 0.2
"""The opening is read no more often than this [s]: it comes over a slow bus, and servo steps wait for it."""


@dataclass(frozen=True)
class XArmConfig:
    """How an xArm is reached and mounted."""

    host: str = ""
    """Address of the control box."""
    gripper: str = "standard"
    """`standard` or `g2`; only the second takes a force."""
    g2_full_force: Positive = 50.0
    """What 100 per cent of force are with the second gripper [N]; the SDK does not say, so measure yours."""
    mount: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """Where the arm's base stands on the bench: x, y, z [m] and yaw [rad]."""
    fence_margin: Annotated[float, Range(0.0, 0.2)] = 0.03
    """How far outside our workspace box the controller's own fence lies [m]."""


class XArm:
    """An xArm 5, 6 or 7 with its gripper."""

    name = "xarm"
    Config = XArmConfig

    def __init__(self, config: XArmConfig, clock: Clock | None = None, api: Any = None) -> None:
        """Prepare; `api` stands in for the SDK's class. Raises MissingExtraError, ArmError."""
        if not config.host:
            raise ArmError("an xArm needs its address: --host 192.168.1.xxx, printed on its control box")
        if config.gripper not in ("standard", "g2"):
            raise ArmError(f"gripper={config.gripper!r}: it is standard or g2")
        self._make = api or import_xarm()
        self.config = config
        self.clock: Clock = clock or MonotonicClock()
        self._mount = Mount(*config.mount)
        self._arm: Any = None
        self._lock = threading.RLock()
        self._target: ToolPose | None = None
        """Where to go, in the arm's own frame; None when it stands."""
        self._told: ToolPose | None = None
        """The last servo step, in the arm's own frame."""
        self._open = True
        self._fault = ""
        self._loop: ServoLoop | None = None
        self._opening, self._opening_s = 1.0, -math.inf

    def connect(self) -> None:
        """Reach the arm, anew where it was; set its fence, enter servo mode. Raises ArmError."""
        self.close()
        with self._lock:
            try:
                self._arm = self._make(self.config.host, is_radian=True)
            except Exception as error:  # the SDK raises bare exceptions
                raise ArmError(f"no xArm answers at {self.config.host} ({error})") from error
            arm = self._arm
            arm.clean_warn()
            arm.clean_error()
            self._set_fence()
            _check(arm.motion_enable(True), "motion_enable")
            _check(arm.set_mode(SERVO_MODE), "set_mode")
            _check(arm.set_state(MOTION_STATE), "set_state")
            self._start_gripper()
            self._target = self._told = None
            self._fault = ""
        self._loop = ServoLoop(self.servo_step, SERVO_HZ, "xarm servo")
        self._loop.start()

    def read_state(self) -> ArmState:
        """Where the tool is now. Raises ArmError when the arm is gone."""
        with self._lock:
            pose = self._mount.to_bench(self._read_pose())
            opening = self._read_opening()
            faults = self._faults()
        return ArmState(self.clock.now(), pose.position, pose.rotvec, opening, faults)

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """Aim at a tool pose: the servo thread goes there."""
        wanted = ToolPose(np.array(position, float), np.array(rotation, float))
        with self._lock:
            if self._fault:
                raise ArmError(
                    f"the xArm stopped: {self._fault}. Look at its controller, then connect again."
                )
            if self._told is None:
                self._told = self._read_pose()
            self._target = self._mount.from_bench(wanted)
        return Commanded(self.clock.now(), wanted.position, wanted.rotvec, self._open)

    def grip(self, open_: bool, force_n: float) -> None:
        """Open or close; the force [N] counts with the second gripper alone."""
        with self._lock:
            arm = self._connected()
            self._open = open_
            if self.config.gripper == "g2":
                share = int(np.clip(100.0 * force_n / self.config.g2_full_force, 1, 100))
                width = G2_OPEN_MM if open_ else 0.0
                _check(arm.set_gripper_g2_position(width, force=share, wait=False), "gripper")
            else:
                _check(arm.set_gripper_position(GRIPPER_OPEN if open_ else 0, wait=False), "gripper")

    def stop(self) -> None:
        """Send no further step: in servo mode the arm then stands."""
        with self._lock:
            self._target = self._told = None

    def close(self) -> None:
        """Stop and disconnect."""
        self.stop()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        with self._lock:
            if self._arm is None:
                return
            with contextlib.suppress(Exception):  # whatever was wrong, it is over
                self._arm.set_state(STOP_STATE)
            self._arm.disconnect()
            self._arm = None

    # --- inside --------------------------------------------------------------------------------------------

    def _connected(self) -> Any:
        if self._arm is None:
            raise ArmError("the xArm is not connected: call connect() first")
        return self._arm

    def _set_fence(self) -> None:
        """The controller's own box and speed, a little wider than ours."""
        arm, margin = self._connected(), self.config.fence_margin
        low = np.array(DEFAULT_LIMITS.workspace_low) - margin
        high = np.array(DEFAULT_LIMITS.workspace_high) + margin
        corners = [np.array([x, y, 0.0]) for x in (low[0], high[0]) for y in (low[1], high[1])]
        own = np.array([self._mount.from_bench(ToolPose(corner, np.zeros(3))).position for corner in corners])
        x, y = own[:, 0] * MM, own[:, 1] * MM
        z = (np.array([high[2], low[2]]) - self.config.mount[2]) * MM
        box = [x.max(), x.min(), y.max(), y.min(), z[0], z[1]]
        _check(arm.set_reduced_tcp_boundary([round(float(value)) for value in box]), "tcp boundary")
        _check(arm.set_reduced_max_tcp_speed(round(DEFAULT_LIMITS.max_speed * MM * 1.2)), "tcp speed")
        _check(arm.set_fence_mode(True), "fence")
        _check(arm.set_reduced_mode(True), "reduced mode")

    def _start_gripper(self) -> None:
        arm = self._connected()
        if self.config.gripper == "standard":
            _check(arm.set_gripper_mode(0), "gripper mode")
            _check(arm.set_gripper_enable(True), "gripper")
            _check(arm.set_gripper_speed(GRIPPER_SPEED), "gripper speed")

    def _read_pose(self) -> ToolPose:
        """Tool pose in the arm's own frame, our tool convention."""
        code, values = self._connected().get_position_aa(is_radian=True)
        _check(code, "get_position_aa")
        numbers = np.asarray(values, float)
        return ToolPose(numbers[:3] / MM, from_driver_rotation(numbers[3:6]))

    def _read_opening(self) -> float:
        if self.clock.now() - self._opening_s < OPENING_AGE_S:
            return self._opening
        g2 = self.config.gripper == "g2"
        arm = self._connected()
        code, value = arm.get_gripper_g2_position() if g2 else arm.get_gripper_position()
        _check(code, "gripper position")
        self._opening = float(np.clip(value / (G2_OPEN_MM if g2 else GRIPPER_OPEN), 0.0, 1.0))
        self._opening_s = self.clock.now()
        return self._opening

    def _faults(self) -> tuple[str, ...]:
        code, (error, warning) = self._connected().get_err_warn_code()
        _check(code, "error code")
        found = [f"controller error {error}"] if error else []
        found += [f"controller warning {warning}"] if warning else []
        return (*found, *([self._fault] if self._fault else []))

    def servo_step(self) -> None:
        """One step towards the target, if there is one. A step the controller refuses ends the motion."""
        with self._lock:
            self._servo_step()

    def _servo_step(self) -> None:
        if self._target is None or self._told is None or self._fault:
            return
        told = step_towards(self._told, self._target, MAX_SERVO_STEP, MAX_SERVO_TURN)
        values = [*(told.position * MM).tolist(), *to_driver_rotation(told.rotvec).tolist()]
        code = self._connected().set_servo_cartesian_aa(values, is_radian=True)
        if code:
            self._fault, self._target = f"servo command refused with code {code}", None
            return
        self._told = told


def import_xarm() -> Any:
    """The SDK's class. Raises MissingExtraError."""
    try:
        from xarm.wrapper import XArmAPI
    except ImportError:
        raise MissingExtraError("xarm-python-sdk", "xarm") from None
    return XArmAPI


def _check(code: int, what: str) -> None:
    """Raises ArmError for a code of the SDK that is not 0."""
    if code:
        raise ArmError(f"the xArm refused {what} with code {code}: see the SDK's xarm_api_code.md")
