"""Calibrating: touch three marks, look at the gripper."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from h2r_bench.envs.robot.model import FINGER_TIP_BELOW_TOOL
from h2r_bench.motion import ToolPose
from h2r_bench.real.arms.base import Arm
from h2r_bench.real.arms.catalog import ArmConfig
from h2r_bench.real.cameras import CameraConfig, make_camera
from h2r_bench.real.cameras.catalog import load_view
from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.simulated import SimulatedArm
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.safety.emergency_stop import EmergencyStop
from h2r_bench.real.safety.safe_arm import SafeArm, SafetyLimits
from h2r_bench.real.safety.startup_checks import refuse_unless_passed, startup_checks
from h2r_bench.real.setup.calibration import MARKS, Calibration, HandEye, find_fingers, fit_mount
from h2r_bench.types import DEFAULT_IMAGE_SIZE, FloatArray, UInt8Array

DEFAULT_CALIBRATION = Path("lab/calibration.json")
"""Where it is saved."""
HOVER = 0.10
"""Height at which the tool travels between marks [m]."""
PLACES = ((0.42, -0.12, 0.15), (0.42, 0.12, 0.15), (0.56, -0.12, 0.10), (0.56, 0.12, 0.10), (0.50, 0.0, 0.20))
"""Where the gripper is looked at [m], robot base frame."""
GRIP_S = 5.0
"""How long opening or closing may take [s]."""
STILL_S = 0.5
"""How long an arm that has arrived is given to stand still [s]."""
NEARLY = 0.05
"""Open and closed mean within this share of the opening."""
JOG = {"w": (0, 1), "s": (0, -1), "a": (1, 1), "d": (1, -1), "r": (2, 1), "f": (2, -1)}
"""Keys to axis and sign: forward, back, left, right, up, down."""
JOG_STEP, FINE_STEP = 0.01, 0.001
"""How far a small and, with its number key 1, a fine step goes [m]."""
UP = np.array([0.0, 0.0, 1.0])
Look = Callable[[], UInt8Array]
Touch = Callable[[SafeArm, int, FloatArray], FloatArray]
"""Brings the tip onto mark number i at (3,) [m] and returns where the tool then is (3,) [m]."""


@dataclass(frozen=True)
class CalibrateConfig:
    """Find out where the arm stands and whether the camera sees it there."""

    out: Path = DEFAULT_CALIBRATION
    """Where to save it."""
    arm: Annotated[ArmConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ArmConfig)
    camera: Annotated[CameraConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=CameraConfig)
    limits: SafetyLimits = field(default_factory=SafetyLimits)


def calibrate(config: CalibrateConfig, terminal: Terminal) -> Calibration:
    """Touch, look, and say how well it went. Raises SetupError, BridgeError."""
    if any(option.startswith("mount=") for option in config.arm.arm_option):
        raise SetupError("the mount is what a calibration finds: leave out the arm option mount")
    with contextlib.ExitStack() as stack:
        arm = config.arm.make()
        safe = SafeArm(arm, config.limits)
        safe.connect()
        stack.callback(safe.close)
        # Keys are for jogging here, so only signals stop the arm; holding still is one key away too.
        stack.enter_context(EmergencyStop(safe.emergency_stop, keys=False))
        refuse_unless_passed(startup_checks(safe), terminal.say)
        look = open_look(config, arm, stack)
        touched = touch_marks(safe, terminal, touch_by_itself if is_twin(arm) else by_hand(terminal))
        fit = fit_mount(touched)
        terminal.say(
            f"residual {1000 * fit.residual:.1f} mm, tilt {fit.tilt_deg:.2f} degrees, "
            f"distances off by {100 * fit.stretch:.2f} %"
        )
        if found := fit.complaint():
            raise SetupError(found)
        eye = look_at_gripper(safe, terminal, look, fit.mount.from_bench)
    return Calibration(
        arm=config.arm.arm,
        host="" if is_twin(arm) else config.arm.host,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        fit=fit,
        touched=tuple(tuple(row) for row in touched.tolist()),
        hand_eye=eye,
    )


def is_twin(arm: Arm) -> bool:
    """Whether the arm brings a world of its own."""
    return isinstance(arm, SimulatedArm)


def open_look(config: CalibrateConfig, arm: Arm, stack: contextlib.ExitStack) -> Look:
    """What the agents see, from whatever camera there is. Raises BridgeError."""
    if isinstance(arm, SimulatedArm):
        twin = arm.twin
        return lambda: twin.frame().image
    camera, view = make_camera(config.camera), load_view(config.camera)
    camera.open()
    stack.callback(camera.close)
    return lambda: view.image(camera.latest(timeout_s=2.0).image, DEFAULT_IMAGE_SIZE)


def touch_marks(safe: SafeArm, terminal: Terminal, touch: Touch) -> FloatArray:
    """Where the tool was with its tip on each mark, shape (3, 3) [m]."""
    grip_and_wait(safe, open_=False)
    found = []
    for number, mark in enumerate(np.array(MARKS), 1):
        terminal.say(f"mark {number} of 3: x {100 * mark[0]:.0f} cm, y {100 * mark[1]:+.0f} cm")
        found.append(touch(safe, number, mark))
        terminal.say(f"  touched at {np.round(found[-1], 4).tolist()} m")
    return np.array(found)


def touch_by_itself(safe: SafeArm, number: int, mark: FloatArray) -> FloatArray:
    """Go to the mark as far as the arm's own idea of itself goes, and read where it is."""
    above, on = mark + UP * HOVER, mark + UP * FINGER_TIP_BELOW_TOOL
    safe.move_to(above, np.zeros(3), speed=0.2)
    safe.move_to(on, np.zeros(3), speed=0.05)
    safe.clock.sleep_until(safe.clock.now() + STILL_S)
    place = safe.read_state().position
    safe.move_to(above, np.zeros(3), speed=0.1)
    return place


def by_hand(terminal: Terminal) -> Touch:
    """An operator who guides the arm or jogs it. Raises SetupError where nobody is there."""
    if not terminal.interactive:
        raise SetupError(
            "a person has to touch the marks: run this in a terminal, or rehearse with --arm twin"
        )

    def touch(safe: SafeArm, number: int, mark: FloatArray) -> FloatArray:
        terminal.say(
            "guide the tip onto it, or type w s a d r f (forward back left right up down, 1 cm each;"
        )
        terminal.say(
            "put 1 before a letter for 1 mm), several at once if you like; plain Enter when it touches"
        )
        while text := terminal.line("> ").lower():
            jog(safe, text)
        return safe.read_state().position

    return touch


def jog(safe: SafeArm, text: str) -> None:
    """Move by the steps typed; letters that mean nothing are passed over."""
    step = JOG_STEP
    for letter in text:
        if letter == "1":
            step = FINE_STEP
        elif letter in JOG:
            axis, sign = JOG[letter]
            state = safe.read_state()
            goal = state.position.copy()
            goal[axis] += sign * step
            safe.move_to(goal, state.rotation, speed=0.05, timeout_s=10.0)
            step = JOG_STEP


def grip_and_wait(safe: SafeArm, *, open_: bool) -> None:
    """Open or close the empty gripper and wait until it is. Raises SetupError."""
    safe.grip(open_)
    until = safe.clock.now() + GRIP_S
    while abs(safe.read_state().opening - float(open_)) > NEARLY:
        if safe.clock.now() > until:
            raise SetupError(
                f"the gripper does not {'open' if open_ else 'close'}: take out what is in it, home it"
            )
        safe.clock.sleep_until(safe.clock.now() + 0.1)


def look_at_gripper(
    safe: SafeArm, terminal: Terminal, look: Look, to_arm: Callable[[ToolPose], ToolPose]
) -> HandEye:
    """Open and close the gripper at several places and find it in the picture.

    `to_arm` carries poses of the bench into the frame the arm was calibrated in.
    """
    seen, size = [], (0, 0)
    for place in np.array(PLACES):
        goal = to_arm(ToolPose(place, np.zeros(3)))
        safe.move_to(goal.position, goal.rotvec, speed=0.2)
        safe.clock.sleep_until(
            safe.clock.now() + STILL_S
        )  # nothing but the fingers may move between pictures
        pictures = []
        for open_ in (True, False):
            grip_and_wait(safe, open_=open_)
            pictures.append(look())
        seen.append(find_fingers(*pictures))
        size = (pictures[0].shape[1], pictures[0].shape[0])
    eye = HandEye(PLACES, tuple(tuple(spot.tolist()) for spot in seen), size)
    terminal.say(f"the camera sees the tool up to {eye.off().max():.1f} pixels from where it should")
    return eye
