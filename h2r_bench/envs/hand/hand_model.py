"""Moves the hand: from the tool pose and opening to the pose of every bone, and into MuJoCo's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from h2r_bench.envs.hand.attach import (
    HAND_GROUP,
    HIDDEN_GROUP,
    MIRROR,
    body_name,
    bones_of_side,
    matrices_to_quaternions,
    mesh_of_side,
    skin_name,
)
from h2r_bench.envs.hand.bundle import hand_bundle
from h2r_bench.envs.hand.forearm import arm_pose, palm_orientation
from h2r_bench.envs.hand.grasp import GAPS, TIP_RADII
from h2r_bench.envs.hand.skeleton import BONES, FINGERS, INDEX, LENGTHS, THUMB, FingerPose, finger_pose
from h2r_bench.envs.hand.style import SIDES
from h2r_bench.geometry import Array, wrap_angle, yaw_of

if TYPE_CHECKING:
    from h2r_bench.envs.hand.mesh import SkinMesh
    from h2r_bench.envs.hand.style import HandStyle, Side
    from h2r_bench.types import FloatArray

FULL_OPENING = 0.08
"""Gap between the tips at opening 1 [m], that of the gripper."""

COMFORTABLE_YAW = np.radians(60.0)
"""Tool yaw [rad] at which a right hand pinches with a straight wrist."""

HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""The gripper looks the same after half a turn about its approach axis; a hand does not."""


@dataclass(frozen=True)
class HandPose:
    """Where the bones are."""

    positions: FloatArray
    """Shape (20, 3) [m], world frame."""
    rotations: FloatArray
    """Shape (20, 3, 3), world frame."""
    pads: FloatArray
    """Shape (2, 3) [m], world frame: where thumb and index touch what they hold."""


def turned_is_natural(tool_rotations: Array, side: Side = "right") -> bool:
    """Whether the hand follows a trajectory better with the tool frame turned by half a turn.

    `tool_rotations`: shape (3, 3) or (T, 3, 3), relative to gripper-down. One answer for the whole trajectory
    keeps the motion continuous.
    """
    yaw = yaw_of(np.asarray(tool_rotations)) * (1.0 if side == "right" else -1.0)
    straight = np.square(wrap_angle(yaw - COMFORTABLE_YAW)).mean()
    turned = np.square(wrap_angle(yaw + np.pi - COMFORTABLE_YAW)).mean()
    return bool(turned < straight)


def posture_at(opening: float, scale: float) -> FloatArray:
    """Joint angles [rad], shape (5, 4), for an opening 0..1 of a hand of a given scale."""
    gap = np.clip(opening * FULL_OPENING / scale, GAPS[0], GAPS[-1])
    place = gap / (GAPS[1] - GAPS[0])
    low = min(int(place), len(GAPS) - 2)
    postures = hand_bundle().postures
    blended: FloatArray = postures[low] + (place - low) * (postures[low + 1] - postures[low])
    return blended


class HandModel:
    """A hand in a compiled model that contains what `attach_hand` adds.

    The model's skin arrays are this puppet's to write; physics never sees the hand.
    """

    def __init__(self, model: mujoco.MjModel, style: HandStyle) -> None:
        self.model = model
        self.style = style
        self._turned: bool | None = None
        bodies = [model.body(body_name(bone)).id for bone in BONES]
        self._mocap = model.body_mocapid[bodies]
        self._bone_of_body = {body: index for index, body in enumerate(bodies)}
        self.apply_style()

    def apply_style(self, style: HandStyle | None = None) -> None:
        """Writes size, side and colours into the model; takes effect at the next render."""
        self.style = style or self.style
        bundle = hand_bundle()
        for side in SIDES:
            seen = side == self.style.side
            self._write(skin_name("skin", side), bundle.hand, seen, (*self.style.rgb, 1.0))
            sleeve = self.style.sleeve_rgba
            self._write(skin_name("sleeve", side), bundle.sleeve, seen and sleeve is not None, sleeve)

    def begin(self, tool_rotations: Array) -> None:
        """Chooses how the hand grips for a whole trajectory of tool rotations, shape (3, 3) or (T, 3, 3).

        Without it the first pose after construction chooses; call it at the start of every episode.
        """
        self._turned = turned_is_natural(tool_rotations, self.style.side)

    def pose(self, tool_position: Array, tool_rotation: Array, opening: float) -> HandPose:
        """Bones for a tool pose.

        `tool_position` (3,) [m] in the robot base frame, `tool_rotation` (3, 3) relative to gripper-down,
        `opening` 0..1. The pinch centre is the tool centre and the pinch axis the tool's y axis.
        """
        rotation = np.asarray(tool_rotation, float)
        if self._turned is None:
            self.begin(rotation)
        if self._turned:
            rotation = rotation @ HALF_TURN
        if self.style.side == "right":
            return self._right_pose(np.asarray(tool_position, float), rotation, opening)
        mirror = np.outer(MIRROR, MIRROR)
        half = self._right_pose(np.asarray(tool_position, float) * MIRROR, rotation * mirror, opening)
        return HandPose(half.positions * MIRROR, half.rotations * mirror, half.pads * MIRROR)

    def set(
        self, data: mujoco.MjData, tool_position: Array, tool_rotation: Array, opening: float
    ) -> HandPose:
        """Poses the hand in `data` (mocap arrays only) and returns the pose; see `pose`."""
        pose = self.pose(tool_position, tool_rotation, opening)
        data.mocap_pos[self._mocap] = pose.positions
        data.mocap_quat[self._mocap] = matrices_to_quaternions(pose.rotations)
        return pose

    def pads(self, data: mujoco.MjData) -> FloatArray:
        """Pads of thumb and index [m], world frame, shape (2, 3), read back from the bodies in `data`."""
        tips = np.empty((2, 3))
        reach = self.style.scale * _TIP_REACH
        for row, finger in enumerate((THUMB, INDEX)):
            body = self._mocap[BONES.index(f"{FINGERS[finger]}_distal")]
            matrix = np.empty(9)
            mujoco.mju_quat2Mat(matrix, data.mocap_quat[body])
            tips[row] = data.mocap_pos[body] + matrix.reshape(3, 3)[:, 0] * reach[row]
        return _pads_of_tips(tips, self.style.scale)

    def pinch_point(self, data: mujoco.MjData) -> FloatArray:
        """Midpoint between the pads of thumb and index [m], world frame, shape (3,)."""
        middle: FloatArray = self.pads(data).mean(0)
        return middle

    def _right_pose(self, position: FloatArray, rotation: FloatArray, opening: float) -> HandPose:
        """`pose` for a right hand, the half turn already applied."""
        scale = self.style.scale
        fingers = finger_pose(posture_at(opening, scale))
        tips = fingers.tip[[THUMB, INDEX]]
        pads = _pads_of_tips(tips, 1.0)
        palm = palm_orientation(position, rotation[:, 1], -rotation[:, 2], _axis_of_tips(tips))
        wrist = position - palm @ pads.mean(0) * scale
        return _assembled(wrist, palm, fingers, pads, scale)

    def _write(self, name: str, mesh: SkinMesh, seen: bool, rgba: tuple[float, ...] | None) -> None:
        """Sets one skin's size, colour and visibility to the style's."""
        model, scale, skin = self.model, self.style.scale, self.model.skin(name).id
        model.skin_group[skin] = HAND_GROUP if seen else HIDDEN_GROUP
        if not seen:
            return
        model.skin_rgba[skin] = model.mat_rgba[model.skin_matid[skin]] = rgba
        first, count = model.skin_vertadr[skin], model.skin_vertnum[skin]
        model.skin_vert[first : first + count] = mesh_of_side(mesh, self.style.side)[0] * scale
        origins, _ = bones_of_side(self.style.side)
        first, count = model.skin_boneadr[skin], model.skin_bonenum[skin]
        bones = [self._bone_of_body[int(body)] for body in model.skin_bonebodyid[first : first + count]]
        model.skin_bonebindpos[first : first + count] = origins[bones] * scale


_TIP_REACH: FloatArray = LENGTHS[[THUMB, INDEX], 2]
"""From the last joint to the centre of the tip sphere [m] at scale 1: thumb, index."""


def _axis_of_tips(tips: FloatArray) -> FloatArray:
    """Unit vector from the index's tip to the thumb's, shape (3,), for tips (2, 3): thumb, index."""
    apart = tips[0] - tips[1]
    axis: FloatArray = apart / np.sqrt(apart @ apart)
    return axis


def _pads_of_tips(tips: FloatArray, scale: float) -> FloatArray:
    """Points of the thumb's and index's tip spheres (2, 3) [m] nearest to each other, shape (2, 3)."""
    pads: FloatArray = tips + np.outer([-scale * TIP_RADII[0], scale * TIP_RADII[1]], _axis_of_tips(tips))
    return pads


def _assembled(
    wrist: FloatArray, palm: FloatArray, fingers: FingerPose, pads: FloatArray, scale: float
) -> HandPose:
    """All bones in the world from the palm's pose (right hand)."""
    arm_positions, arm_rotations = arm_pose(wrist, palm, scale)
    positions = wrist + scale * fingers.origin.reshape(-1, 3) @ palm.T
    rotations = palm @ fingers.rotation.reshape(-1, 3, 3)
    return HandPose(
        np.concatenate([arm_positions, positions]),
        np.concatenate([arm_rotations, rotations]),
        wrist + scale * pads @ palm.T,
    )
