"""Skills: the waypoints of picking and placing, pushing, turning. Tasks are put together from these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from h2r_bench.envs.demonstration.script import Correction, Waypoint
from h2r_bench.envs.robot.model import FINGER_HALF_THICKNESS, FINGER_SHAFT_ABOVE_TOOL, FINGER_TIP_BELOW_TOOL
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.prop_kind import PropKind
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.geometry import wrap_angle
from h2r_bench.motion import ToolPose
from h2r_bench.types import FloatArray

YAW_LIMIT = np.deg2rad(105)
"""How far scripts turn the gripper either way [rad]: well inside what arm and wrist can do."""
HOVER = 0.09
"""Height of the tool above what it approaches [m]."""
CARRY = 0.13
"""Lowest height of the tool while carrying [m]."""
_LOWEST = FINGER_TIP_BELOW_TOOL + 0.004
_DROP = 0.006
"""Room left under an object when it is let go [m]."""
_RIM_CLEARANCE = 0.006
_SHAFT_CLEARANCE = 0.005
_CLOSE_TIME, _OPEN_TIME = 0.7, 0.6
_PUSH_APPROACH = 0.03
_PUSH_PARTS = 4


def nearest_yaw(yaw: float, symmetry: float) -> float:
    """The gripper yaw nearest to zero [rad] among those that a thing at `yaw` looks the same from."""
    if symmetry == 0.0:
        return 0.0
    # A gripper is symmetric under half a turn, whatever it holds.
    period = min(symmetry, np.pi)
    return float((yaw + period / 2) % period - period / 2)


def grasp_height(scene: SceneSpec, index: int) -> float:
    """Tool height above the body frame of prop `index` when grasping it [m]."""
    return -scene.props[index].shape.grasp_below


def _over(snapshot: Snapshot, index: int, height: float, yaw: float) -> ToolPose:
    x, y, z = snapshot.prop_position[index]
    return ToolPose.at(x, y, max(z + height, _LOWEST), yaw)


def pick(snapshot: Snapshot, scene: SceneSpec, index: int) -> list[Waypoint]:
    """Approach prop `index` from above, close, lift."""
    shape = scene.props[index].shape
    height = grasp_height(scene, index)

    def facing(now: Snapshot) -> float:
        return nearest_yaw(now.prop_yaw(index), shape.symmetry)

    def seek(above: float) -> Correction:
        return lambda now, _: _over(now, index, height + above, facing(now))

    yaw = facing(snapshot)
    grasp = _over(snapshot, index, height, yaw)
    lifted = ToolPose.at(grasp.position[0], grasp.position[1], max(CARRY, grasp.position[2] + 0.06), yaw)
    return [
        Waypoint("approach", _over(snapshot, index, height + HOVER, yaw), 1.0, correct=seek(HOVER), bow=True),
        Waypoint("descend", grasp, 1.0, pace=0.1, dwell=0.1, correct=seek(0.0)),
        Waypoint("grasp", grasp, 0.0, dwell=_CLOSE_TIME, correct=_stay),
        Waypoint("lift", lifted, 0.0, pace=0.11, correct=_stay),
    ]


def _stay(now: Snapshot, pose: ToolPose) -> ToolPose:
    """Where the tool is, at the nominal height."""
    x, y, _ = now.tool_position
    yaw = float(np.arctan2(now.tool_matrix[1, 0], now.tool_matrix[0, 0]))
    return ToolPose.at(x, y, pose.position[2], yaw)


def place(
    snapshot: Snapshot, scene: SceneSpec, index: int, goal: int, offset: tuple[float, float] = (0.0, 0.0)
) -> list[Waypoint]:
    """Carry the held prop `index` over prop `goal`, let go, retreat. Continues `pick`.

    `offset` is where on the goal, from its middle, in the goal's frame [m].
    """
    shape, target = scene.props[index].shape, scene.props[goal].shape
    bottom = shape.half_height + grasp_height(scene, index)
    low = max(
        target.surface + bottom + _DROP,
        target.rim + FINGER_TIP_BELOW_TOOL + _RIM_CLEARANCE if target.rim else 0.0,
    )
    carry = max(CARRY, target.rim + bottom + 0.06)
    yaw = _placing_yaw(snapshot, scene, index, goal)

    def put(height: float) -> Correction:
        return lambda now, _: _centred(now, scene, index, goal, height, offset)

    x, y, _ = snapshot.prop_position[goal]
    return [
        Waypoint("carry", ToolPose.at(x, y, carry, yaw), 0.0, correct=put(carry), bow=True),
        Waypoint("lower", ToolPose.at(x, y, low, yaw), 0.0, pace=0.1, dwell=0.15, correct=put(low)),
        Waypoint("release", ToolPose.at(x, y, low, yaw), 1.0, dwell=_OPEN_TIME, correct=_stay),
        Waypoint("retreat", ToolPose.at(x, y, low + 0.1, yaw), 1.0, pace=0.12, dwell=0.6, correct=_stay),
    ]


def _placing_yaw(now: Snapshot, scene: SceneSpec, index: int, goal: int) -> float:
    """Gripper yaw at the goal: long things are laid along the goal's long side, others keep theirs."""
    shape, target = scene.props[index].shape, scene.props[goal].shape
    if shape.symmetry == np.pi and target.symmetry == np.pi:
        return nearest_yaw(now.prop_yaw(goal), np.pi)
    return nearest_yaw(now.prop_yaw(index), shape.symmetry)


def _centred(
    now: Snapshot, scene: SceneSpec, index: int, goal: int, height: float, offset: tuple[float, float]
) -> ToolPose:
    """The tool pose that brings the held prop over `offset` [m] from the middle of the goal, in its frame."""
    tool_yaw = float(np.arctan2(now.tool_matrix[1, 0], now.tool_matrix[0, 0]))
    in_hand = wrap_angle(now.prop_yaw(index) - tool_yaw)
    shape, target = scene.props[index].shape, scene.props[goal].shape
    yaw = tool_yaw
    if shape.symmetry == np.pi and target.symmetry == np.pi:
        yaw = nearest_yaw(now.prop_yaw(goal) - float(in_hand), np.pi)
    held = _turned(now.prop_position[index][:2] - now.tool_position[:2], yaw - tool_yaw)
    spot = now.prop_position[goal][:2] + _turned(np.array(offset), now.prop_yaw(goal)) - held
    return ToolPose.at(spot[0], spot[1], height, yaw)


def _turned(vector: FloatArray, angle: float) -> FloatArray:
    """`vector` (2,) turned by `angle` [rad]."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1]])


class _Pusher:
    """Fingers behind prop `index` on its way to prop `goal`."""

    def __init__(self, snapshot: Snapshot, scene: SceneSpec, index: int, goal: int) -> None:
        shape = scene.props[index].shape
        self.index, self.goal = index, goal
        self.gripper = 1.0 if shape.wide else 0.0
        self.reach = shape.support + FINGER_HALF_THICKNESS
        self.height = _push_height(shape)
        way = (snapshot.prop_position[goal] - snapshot.prop_position[index])[:2]
        self.direction = way / np.linalg.norm(way)
        heading = float(np.arctan2(way[1], way[0]))
        if shape.wide and shape.symmetry:
            # Flush with the face it pushes: the nearest of the prop's sides to the way.
            side = snapshot.prop_yaw(index) - shape.push_yaw
            heading += float(wrap_angle(2 * (side - heading))) / 2
        self.rotvec = np.array([0.0, 0.0, nearest_yaw(heading, np.pi)])

    def behind(self, now: Snapshot, back: float, share: float = 0.0, lead: float = 0.0) -> ToolPose:
        """`back` [m] behind the contact, after `share` of the way that is left; aimed afresh at the goal."""
        start, end = now.prop_position[self.index][:2], now.prop_position[self.goal][:2]
        way = end - start
        along = way / max(float(np.linalg.norm(way)), 1e-6)
        spot = start + share * way - along * (self.reach + back)
        return ToolPose(np.array([*spot, self.height + lead]), self.rotvec)

    def onward(self, now: Snapshot, share: float) -> ToolPose:
        """From where the tool is, over `share` of the way that is left."""
        way = (now.prop_position[self.goal] - now.prop_position[self.index])[:2]
        return ToolPose(np.array([*(now.tool_position[:2] + share * way), self.height]), self.rotvec)

    def away(self, end: ToolPose, back: float, lift: float) -> tuple[ToolPose, Correction]:
        """Backwards by `back` and up by `lift` [m] from wherever the push ended; nominally from `end`."""
        offset = np.array([*(-back * self.direction), 0.0])
        height = self.height + lift

        def correct(now: Snapshot, pose: ToolPose) -> ToolPose:
            x, y, _ = now.tool_position + offset
            return ToolPose(np.array([x, y, height]), pose.rotvec)

        x, y, _ = end.position + offset
        return ToolPose(np.array([x, y, height]), self.rotvec), correct


def _push_height(shape: PropKind) -> float:
    """Height of the tool while it pushes [m]."""
    height = max(_LOWEST + 0.002, shape.half_height - 0.008)
    # On a rim that ends where the thick part of the fingers does they would wedge, press down and jam.
    if shape.wide and abs(height + FINGER_SHAFT_ABOVE_TOOL - shape.rim) < _SHAFT_CLEARANCE:
        return shape.rim - FINGER_SHAFT_ABOVE_TOOL + _SHAFT_CLEARANCE
    return height


def push(snapshot: Snapshot, scene: SceneSpec, index: int, goal: int) -> list[Waypoint]:
    """Slide prop `index` along the table to prop `goal`, fingers behind it: closed, or open if it is wide."""
    pusher = _Pusher(snapshot, scene, index, goal)
    grip = pusher.gripper

    def at(name: str, back: float, share: float, left: float, pace: float) -> Waypoint:
        """A waypoint at `share` of the whole way, which is `left` of what is left when it begins."""
        nominal = pusher.behind(snapshot, back, share)
        return Waypoint(name, nominal, grip, pace, correct=lambda now, _: pusher.behind(now, back, left))

    def part(number: int) -> Waypoint:
        """One part of the push: what two open fingers push is carried along, closed ones have to steer."""
        way = at(f"push {number}", 0.0, number / _PUSH_PARTS, 1.0 / (_PUSH_PARTS - number + 1), 0.09)
        if grip:
            left = 1.0 / (_PUSH_PARTS - number + 1)
            return replace(way, correct=lambda now, _: pusher.onward(now, left))
        return way

    end = pusher.behind(snapshot, 0.0, 1.0)
    off, leave = pusher.away(end, 0.03, 0.0)
    up, rise = pusher.away(off, 0.0, 0.11)
    return [
        Waypoint("approach", pusher.behind(snapshot, _PUSH_APPROACH, lead=HOVER), grip, bow=True),
        at("descend", _PUSH_APPROACH, 0.0, 0.0, 0.1),
        at("touch", 0.004, 0.0, 0.0, 0.06),
        *(part(number) for number in range(1, _PUSH_PARTS + 1)),
        Waypoint("back off", off, grip, pace=0.08, correct=leave),
        Waypoint("retreat", up, grip, pace=0.12, dwell=0.6, correct=rise),
    ]


def turns(yaw: float, angle: float, symmetry: float) -> list[tuple[float, float]]:
    """Split a turn of a thing at `yaw` by `angle` [rad] into (grasp yaw, turn) inside `YAW_LIMIT`."""
    done: list[tuple[float, float]] = []
    left = angle
    sign = np.sign(angle)
    period = min(symmetry, np.pi)
    while abs(left) > 1e-6:
        candidates = [c for k in range(-4, 5) if abs(c := float(wrap_angle(yaw)) + k * period) <= YAW_LIMIT]
        # The single turn that stays nearest to the middle, else the grasp with the most room.
        fits = [c for c in candidates if abs(c + left) <= YAW_LIMIT]
        grasp = (
            min(fits, key=lambda c: abs(c + left / 2)) if fits else max(candidates, key=lambda c: -sign * c)
        )
        turn = left if fits else sign * (YAW_LIMIT - sign * grasp)
        done.append((grasp, float(turn)))
        yaw, left = yaw + turn, left - turn
    return done


def turn(snapshot: Snapshot, scene: SceneSpec, index: int, angle: float) -> list[Waypoint]:
    """Turn prop `index` about the vertical by `angle` [rad], regrasping where the wrist would not reach."""
    shape = scene.props[index].shape
    start = snapshot.prop_yaw(index)
    waypoints: list[Waypoint] = []
    reached = 0.0
    parts = turns(start, angle, shape.symmetry)
    for number, (grasp, part) in enumerate(parts):
        reached += part
        last = number == len(parts) - 1
        waypoints += _one_turn(snapshot, index, grasp, part, start + reached, last)
    return waypoints


def _one_turn(
    snapshot: Snapshot, index: int, grasp: float, part: float, final: float, last: bool
) -> list[Waypoint]:
    """Grasp at yaw `grasp`, turn by `part` so that the prop's heading becomes `final` [rad], let go."""

    def seek(above: float) -> Correction:
        def correct(now: Snapshot, pose: ToolPose) -> ToolPose:
            slip = wrap_angle(now.prop_yaw(index) - (final - part))
            return _over(now, index, above, pose.yaw + float(slip))

        return correct

    def swing(now: Snapshot, pose: ToolPose) -> ToolPose:
        tool_yaw = float(np.arctan2(now.tool_matrix[1, 0], now.tool_matrix[0, 0]))
        left = wrap_angle(final - now.prop_yaw(index))
        return ToolPose(pose.position, np.array([0.0, 0.0, tool_yaw + float(left)]))

    low, high = _over(snapshot, index, 0.0, grasp), _over(snapshot, index, HOVER, grasp)
    turned = ToolPose(low.position, np.array([0.0, 0.0, grasp + part]))
    above = ToolPose(high.position, turned.rotvec)
    return [
        Waypoint("approach", high, 1.0, correct=seek(HOVER), bow=True),
        Waypoint("descend", low, 1.0, pace=0.1, dwell=0.1, correct=seek(0.0)),
        Waypoint("grasp", low, 0.0, dwell=_CLOSE_TIME),
        Waypoint("turn", turned, 0.0, dwell=0.2, correct=swing),
        Waypoint("release", turned, 1.0, dwell=_OPEN_TIME),
        Waypoint("retreat", above, 1.0, pace=0.12, dwell=0.6 if last else 0.0),
    ]
