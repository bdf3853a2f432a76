from __future__ import annotations

import itertools

import mujoco
import numpy as np
import pytest
from dm_control import mjcf

from h2r_bench.envs.hand import (
    HAND_GROUP,
    SIZES,
    TONES,
    HandModel,
    HandStyle,
    attach_hand,
    turned_is_natural,
)
from h2r_bench.envs.hand.attach import skin_name
from h2r_bench.envs.hand.bundle import build_bundle, hand_bundle
from h2r_bench.envs.hand.mesh import MAX_BONES
from h2r_bench.envs.hand.skeleton import BONES, rest_bones
from h2r_bench.envs.robot.mesh_cache import CACHE_VARIABLE
from h2r_bench.geometry import rotvec_to_matrix

POSITIONS = [(0.30, -0.30, 0.01), (0.48, 0.0, 0.02), (0.72, 0.32, 0.10), (0.45, 0.1, 0.40)]
YAWS = np.radians([-149, -110, -60, 0, 45, 90, 149])
STYLES = [HandStyle(), HandStyle(scale=0.9, side="left"), HandStyle(scale=1.08, tone="dark")]


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model()


def build_model(with_hand: bool = True) -> mujoco.MjModel:
    root = mjcf.RootElement(model="scene")
    root.worldbody.add("geom", type="plane", size=(1, 1, 0.1))
    ball = root.worldbody.add("body", name="ball", pos=(0.48, 0.0, 0.2))
    ball.add("freejoint")
    ball.add("geom", type="box", size=(0.02, 0.03, 0.02), mass=0.1)
    if with_hand:
        attach_hand(root)
    return mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())


def yawed(yaw: float, tilt: float = 0.0) -> np.ndarray:
    return rotvec_to_matrix(np.array([0.0, 0.0, yaw])) @ rotvec_to_matrix(np.array([0.0, tilt, 0.0]))


def skinned(puppet: HandModel, position: object, rotation: np.ndarray, opening: float) -> np.ndarray:
    """World positions of the right hand's skin by linear blending."""
    pose = puppet.pose(np.asarray(position), rotation, opening)
    mesh, scale = hand_bundle().hand, puppet.style.scale
    origins, rotations = rest_bones()
    local = np.einsum("bji,vbj->vbi", rotations, scale * (mesh.vertices[:, None] - origins))
    world = pose.positions + np.einsum("bij,vbj->vbi", pose.rotations, local)
    return (mesh.weights[..., None] * world).sum(1)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("opening", [0.0, 0.1, 0.5, 1.0])
def test_pinch_point_and_axis_follow_the_tool(
    model: mujoco.MjModel, style: HandStyle, opening: float
) -> None:
    data = mujoco.MjData(model)
    for position, yaw, tilt in itertools.product(POSITIONS, YAWS, (0.0, 0.6)):
        puppet = HandModel(model, style)
        rotation = yawed(yaw, tilt)
        pose = puppet.set(data, np.array(position), rotation, opening)
        assert np.linalg.norm(puppet.pinch_point(data) - position) < 0.005
        assert np.allclose(puppet.pads(data), pose.pads, atol=1e-9)
        if opening:
            axis = pose.pads[0] - pose.pads[1]
            assert abs(axis / np.linalg.norm(axis) @ rotation[:, 1]) > 0.999
        assert np.allclose(pose.rotations @ pose.rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_gap_between_the_pads_is_that_of_the_gripper(model: mujoco.MjModel, style: HandStyle) -> None:
    puppet = HandModel(model, style)
    openings = np.linspace(0, 1, 50)
    poses = [puppet.pose(np.array([0.5, 0, 0.1]), np.eye(3), w) for w in openings]
    gaps = np.array([np.linalg.norm(p.pads[0] - p.pads[1]) for p in poses])
    assert (np.diff(gaps) > 0).all()
    assert np.abs(gaps - 0.08 * openings).max() < 1e-3


@pytest.mark.parametrize("opening", [0.25, 0.5, 0.75, 1.0])
def test_skin_closes_on_what_is_held(model: mujoco.MjModel, opening: float) -> None:
    """Within the width of the object, the skin of the two tips stands as far apart as the opening says."""
    puppet = HandModel(model, HandStyle())
    skin = skinned(puppet, (0.5, 0.0, 0.1), np.eye(3), opening) - (0.5, 0.0, 0.1)
    weights = hand_bundle().hand.weights
    near = np.hypot(skin[:, 0], skin[:, 2]) < 0.02
    thumb = skin[near & (weights[:, BONES.index("thumb_distal")] > 0.5), 1].min()
    index = skin[near & (weights[:, BONES.index("index_distal")] > 0.5), 1].max()
    assert thumb - index == pytest.approx(0.08 * opening, abs=0.003)


def test_motion_is_continuous_along_a_yaw_sweep(model: mujoco.MjModel) -> None:
    yaws = np.radians(np.arange(-110, 111, 1.0))
    rotations = np.stack([yawed(y) for y in yaws])
    puppet = HandModel(model, HandStyle())
    puppet.begin(rotations)
    poses = np.stack([puppet.pose(np.array([0.5, 0, 0.05]), r, 0.5).positions for r in rotations])
    hand = np.linalg.norm(np.diff(poses, axis=0), axis=-1)
    assert hand.max() < 0.02


def test_the_more_natural_grip_is_chosen_for_the_whole_trajectory() -> None:
    assert not turned_is_natural(yawed(0.5))
    assert turned_is_natural(yawed(-2.0))
    assert turned_is_natural(yawed(2.0), side="left")
    assert not turned_is_natural(np.stack([yawed(y) for y in (-0.6, 0.5, 1.5)]))


def test_elbow_and_wrist_stay_above_the_table(model: mujoco.MjModel) -> None:
    for position, yaw in itertools.product(POSITIONS, YAWS):
        pose = HandModel(model, HandStyle()).pose(np.array(position), yawed(yaw), 0.5)
        assert pose.positions[: BONES.index("thumb_proximal"), 2].min() > 0.03


def test_left_mirrors_right(model: mujoco.MjModel) -> None:
    right, left = (HandModel(model, HandStyle(side=side)) for side in ("right", "left"))
    a = right.pose(np.array([0.5, 0.1, 0.05]), yawed(0.7), 0.4)
    b = left.pose(np.array([0.5, -0.1, 0.05]), yawed(-0.7), 0.4)
    mirror = np.array([1, -1, 1])
    assert np.allclose(a.positions * mirror, b.positions)
    assert np.allclose(a.rotations * np.outer(mirror, mirror), b.rotations)


def test_physics_does_not_see_the_hand() -> None:
    paths = []
    for with_hand, moving in ((False, False), (True, False), (True, True)):
        model = build_model(with_hand)
        data = mujoco.MjData(model)
        puppet = HandModel(model, HandStyle()) if with_hand else None
        path = []
        for step in range(300):
            if puppet is not None and moving:
                puppet.set(data, np.array([0.48, 0.0, 0.2 - 5e-4 * step]), yawed(0.01 * step), 0.5)
            mujoco.mj_step(model, data)
            path.append(data.qpos.copy())
        paths.append(np.array(path))
    assert (paths[0] == paths[1]).all()
    assert (paths[0] == paths[2]).all()


def test_skins_are_well_formed(model: mujoco.MjModel) -> None:
    for mesh in (hand_bundle().hand, hand_bundle().sleeve):
        assert np.allclose(mesh.weights.sum(1), 1)
        assert (mesh.weights > 0).sum(1).max() <= MAX_BONES
        edges = np.sort(
            np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), 1
        )
        shared = np.unique(edges, axis=0, return_counts=True)[1]
        assert (shared % 2 == 0).mean() > 0.999
        a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
        assert (a * np.cross(b, c)).sum() / 6 > 0.001
        assert len(mesh.faces) <= 5000
    assert model.nv == 6
    assert model.ngeom == 2


def test_build_is_deterministic_and_cached(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    first = build_bundle()
    hand_bundle.cache_clear()
    stored, loaded = hand_bundle(), (hand_bundle.cache_clear(), hand_bundle())[1]
    for bundle in (stored, loaded):
        assert (bundle.hand.vertices == first.hand.vertices).all()
        assert (bundle.hand.faces == first.hand.faces).all()
        assert (bundle.hand.weights == first.hand.weights).all()
        assert (bundle.sleeve.vertices == first.sleeve.vertices).all()
        assert (bundle.postures == first.postures).all()


def test_damaged_cache_is_rebuilt(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    hand_bundle.cache_clear()
    hand_bundle()
    (file,) = tmp_path.glob("*.npz")  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:1000])
    hand_bundle.cache_clear()
    assert hand_bundle().postures.shape[1:] == (5, 4)


def test_style_shows_one_side_and_the_sleeve(model: mujoco.MjModel) -> None:
    puppet = HandModel(model, HandStyle(side="left", sleeve_rgba=(0.1, 0.2, 0.3, 1.0), tone="brown"))
    shown = {
        (p, s): model.skin_group[model.skin(skin_name(p, s)).id]
        for p in ("skin", "sleeve")
        for s in ("left", "right")
    }
    assert {key for key, group in shown.items() if group == HAND_GROUP} == {
        ("skin", "left"),
        ("sleeve", "left"),
    }
    assert np.allclose(model.skin(skin_name("skin", "left")).rgba[:3], TONES["brown"])
    puppet.apply_style(HandStyle())
    assert model.skin_group[model.skin(skin_name("skin", "right")).id] == HAND_GROUP
    assert model.skin_group[model.skin(skin_name("sleeve", "right")).id] != HAND_GROUP


def test_styles_are_many_and_checked() -> None:
    assert len(TONES) >= 5
    assert len(SIZES) >= 3
    rng = np.random.default_rng(0)
    styles = [HandStyle.sample(rng) for _ in range(200)]
    assert {s.side for s in styles} == {"left", "right"}
    assert {s.tone for s in styles} == set(TONES)
    assert any(s.sleeve_rgba is None for s in styles)
    with pytest.raises(ValueError, match="porcelain"):
        HandStyle(tone="green")
    with pytest.raises(ValueError, match="scale"):
        HandStyle(scale=2.0)
