"""The Franka Panda with the Franka Hand, composed with `dm_control.mjcf`.

Kinematics and limits: Franka's published DH parameters (shared by Panda and FR3). Gains: values that hold
the FR3 well in MuJoCo. The arm is gravity compensated, as the real controller does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dm_control import mjcf

from h2r_bench.envs.robot.meshes import franka_mesh_dir, light_mesh

VISUAL_GROUP = 2
COLLISION_GROUP = 3

TOOL_OFFSET = 0.1034
"""Tool frame below the hand's flange [m]: between the finger tips."""
WRIST_CAMERA = "wrist"
"""Name of the camera beside the fingers."""
FINGER_TRAVEL = 0.04
"""Travel of each finger [m]."""
FINGER_TIP_BELOW_TOOL = 0.0095
"""How far the finger tips reach beyond the tool frame [m]."""
FINGER_SHAFT_ABOVE_TOOL = 0.010
"""How far above the tool frame the thick part of the fingers begins [m]."""
FINGER_HALF_THICKNESS = 0.0105
"""Half the extent of the closed fingers along the tool's x axis [m]."""

HOME = np.array([0.0, -0.15, 0.0, -2.45, 0.0, 2.3, np.pi / 4])
"""Joint angles [rad] near the middle of the workspace, gripper down: where inverse kinematics starts."""
MAX_JOINT_SPEED = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])
"""Fastest turn of each joint [rad/s]: the Panda's limits, which are below the FR3's."""

_Q90 = (0.7071067811865476, 0.7071067811865476, 0.0, 0.0)
_QM90 = (0.7071067811865476, -0.7071067811865476, 0.0, 0.0)
_WHITE = (0.92, 0.93, 0.94, 1.0)
_DARK = (0.22, 0.23, 0.25, 1.0)


@dataclass(frozen=True)
class _Link:
    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    joint_range: tuple[float, float]
    mass: float
    stiffness: float
    torque: float


_LINKS = (
    _Link((0, 0, 0.333), (1, 0, 0, 0), (-2.8973, 2.8973), 2.71, 4500, 87),
    _Link((0, 0, 0), _QM90, (-1.7628, 1.7628), 2.73, 4500, 87),
    _Link((0, -0.316, 0), _Q90, (-2.8973, 2.8973), 2.04, 3500, 87),
    _Link((0.0825, 0, 0), _Q90, (-3.0718, -0.0698), 2.08, 3500, 87),
    _Link((-0.0825, 0.384, 0), _QM90, (-2.8973, 2.8973), 3.0, 2000, 12),
    _Link((0, 0, 0), _Q90, (-0.0175, 3.7525), 1.32, 2000, 12),
    _Link((0.088, 0, 0), _Q90, (-2.8973, 2.8973), 0.6, 2000, 12),
)
ARM_JOINTS = tuple(f"joint{i}" for i in range(1, 8))
_FIRST_COLLIDING_LINK = 5
"""Links below the elbow cannot reach the table's props in the workspace; leaving them out saves time."""


def build_arm(*, visual: bool = True, gripper: bool = True) -> mjcf.RootElement:
    """The robot as an mjcf model; without `visual` and `gripper` the bare chain for inverse kinematics."""
    root = mjcf.RootElement(model="panda")
    root.compiler.angle = "radian"
    root.compiler.autolimits = True
    if visual:
        _add_meshes(root)
    body = root.worldbody.add("body", name="link0", gravcomp=1)
    if visual:
        _add_visual(root, body, "link0", _WHITE)
    for index, link in enumerate(_LINKS, start=1):
        body = body.add(
            "body", name=f"link{index}", pos=link.position, quat=link.quaternion, gravcomp=1, childclass=None
        )
        _add_joint(root, body, index, link)
        body.add("inertial", pos=(0, 0, 0), mass=link.mass, diaginertia=(0.02, 0.02, 0.02))
        if visual:
            _add_visual(root, body, f"link{index}", _WHITE)
            if index >= _FIRST_COLLIDING_LINK:
                _add_collision(body, f"link{index}")
    _add_hand(root, body, visual=visual, gripper=gripper)
    return root


def _add_meshes(root: mjcf.RootElement) -> None:
    folder = franka_mesh_dir()
    for name in [f"link{i}" for i in range(8)] + ["hand", "finger"]:
        stl = mjcf.Asset(light_mesh(folder / "visual" / f"{name}.stl"), ".stl")
        root.asset.add("mesh", name=f"{name}_visual", file=stl, inertia="shell")
    for name in [f"link{i}" for i in range(_FIRST_COLLIDING_LINK, 8)] + ["hand"]:
        stl = mjcf.Asset((folder / "collision" / f"{name}.stl").read_bytes(), ".stl")
        root.asset.add("mesh", name=f"{name}_collision", file=stl)
    root.asset.add("material", name="white", rgba=_WHITE, specular=0.3, shininess=0.4)
    root.asset.add("material", name="dark", rgba=_DARK, specular=0.3, shininess=0.4)


def _add_visual(root: mjcf.RootElement, body: mjcf.Element, mesh: str, color: tuple[float, ...]) -> None:
    body.add(
        "geom",
        type="mesh",
        mesh=f"{mesh}_visual",
        contype=0,
        conaffinity=0,
        group=VISUAL_GROUP,
        mass=0,
        material="dark" if color == _DARK else "white",
    )


def _add_collision(body: mjcf.Element, mesh: str) -> None:
    body.add("geom", type="mesh", mesh=f"{mesh}_collision", group=COLLISION_GROUP, mass=0, condim=3)


def _add_joint(root: mjcf.RootElement, body: mjcf.Element, index: int, link: _Link) -> None:
    joint = body.add(
        "joint",
        name=f"joint{index}",
        type="hinge",
        axis=(0, 0, 1),
        range=link.joint_range,
        damping=0.21,
        armature=0.195,
        frictionloss=1.137,
    )
    _add_servo(root, joint, link.stiffness, link.stiffness / 10, link.joint_range, link.torque)


def _add_servo(
    root: mjcf.RootElement,
    joint: mjcf.Element,
    stiffness: float,
    damping: float,
    reach: tuple[float, float],
    force: float,
) -> None:
    """A position servo whose target moves at the commanded velocity: a whole control step in one call."""
    root.actuator.add(
        "general",
        name=joint.name,
        joint=joint,
        dyntype="integrator",
        actearly=True,
        gaintype="fixed",
        gainprm=(stiffness,),
        biastype="affine",
        biasprm=(0, -stiffness, -damping),
        actrange=reach,
        forcerange=(-force, force),
    )


def _add_hand(root: mjcf.RootElement, link7: mjcf.Element, *, visual: bool, gripper: bool) -> None:
    hand = link7.add(
        "body",
        name="hand",
        pos=(0, 0, 0.107),
        quat=(0.9238795325112867, 0, 0, -0.3826834323650898),
        gravcomp=1,
    )
    hand.add("inertial", pos=(0, 0, 0.03), mass=0.73, diaginertia=(0.001, 0.0025, 0.0017))
    # The tool frame is turned so that gripper-down is the identity in the robot base frame.
    hand.add("site", name="tool", pos=(0, 0, TOOL_OFFSET), quat=(0, 1, 0, 0), group=5, size=(0.004,))
    if visual:
        _add_visual(root, hand, "hand", _WHITE)
        _add_collision(hand, "hand")
        hand.add("camera", name=WRIST_CAMERA, pos=(0.07, 0, 0.02), euler=(np.pi, 0.35, -np.pi / 2), fovy=70)
    if gripper:
        _add_fingers(root, hand)


def _add_fingers(root: mjcf.RootElement, hand: mjcf.Element) -> None:
    for name, quaternion in (("left", (1, 0, 0, 0)), ("right", (0, 0, 0, 1))):
        finger = hand.add("body", name=f"{name}_finger", pos=(0, 0, 0.0584), quat=quaternion, gravcomp=1)
        finger.add("inertial", pos=(0, 0.012, 0.03), mass=0.05, diaginertia=(2e-5, 2e-5, 5e-6))
        joint = finger.add(
            "joint",
            name=f"{name}_finger",
            type="slide",
            axis=(0, 1, 0),
            range=(0, FINGER_TRAVEL),
            armature=0.1,
            damping=10,
        )
        if name == "left":
            _add_servo(root, joint, 1500, 60, (0, FINGER_TRAVEL), 60)
        _add_visual(root, finger, "finger", _DARK)
        finger.add(
            "geom",
            name=f"{name}_pad",
            type="box",
            size=(0.0085, 0.004, 0.0085),
            pos=(0, 0.0055, 0.0445),
            group=COLLISION_GROUP,
            mass=0,
            friction=(1.5, 0.02, 0.001),
            condim=4,
            solref=(0.005, 1),
            priority=1,
        )
        finger.add(
            "geom",
            name=f"{name}_shaft",
            type="box",
            size=(0.0095, 0.0085, 0.017),
            pos=(0, 0.0165, 0.018),
            group=COLLISION_GROUP,
            mass=0,
        )
    # Both fingers run on one spindle.
    root.equality.add(
        "joint", joint1="left_finger", joint2="right_finger", polycoef=(0, 1, 0, 0, 0), solref=(0.005, 1)
    )
