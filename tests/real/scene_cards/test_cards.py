from __future__ import annotations

import functools

import mujoco
import numpy as np
import pytest
from PIL import Image, ImageDraw

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.scene.arena import ROBOT_CAMERA
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation.trial import trial_seed
from h2r_bench.real.errors import SetupError
from h2r_bench.real.scene_cards.card_drawing import card_picture, guides, overlay, plan
from h2r_bench.real.scene_cards.cards import draw_cards, placements, refuse_unreal, shopping_list
from h2r_bench.real.scene_cards.outline import outlines
from h2r_bench.real.scene_cards.projection import ReferenceCamera, TablePlan
from h2r_bench.registry import UnknownNameError

from bench_fakes import demonstration

REAL = [name for name in TASKS if not TASKS.get(name).unreal]
SIZE = (320, 240)


@functools.cache
def cards(task: str = "pick_place", trials: int = 2, seed: int = 5) -> list:
    return draw_cards(task, cue="scene", shift_cm=0.0, seed=seed, trials=trials)


def test_cards_repeat_what_the_runner_plays() -> None:
    card = cards(trials=2)[1]
    env = TabletopEnv("pick_place", obs="state")
    _, info = env.reset(seed=trial_seed(5, 1), options={"trial": 1})
    assert card.robot_scene == env.pair.robot_scene
    assert card.human_scene == env.pair.human_scene
    assert card.instruction == info["instruction"]
    np.testing.assert_array_equal(card.start.position, env.simulation.target.position)
    assert info["failure"] in card.rubric


def test_first_cards_of_many_are_the_few() -> None:
    assert [card.robot_scene for card in cards(trials=3)][:2] == [
        card.robot_scene for card in cards(trials=2)
    ]


@pytest.mark.parametrize("task", REAL)
def test_every_real_task_has_cards_that_can_be_drawn(task: str) -> None:
    card = cards(task, trials=1)[0]
    assert len(card.outlines) == len(card.robot_scene.props)
    assert card.rubric
    assert card_picture(np.zeros((240, 424, 3), np.uint8), card, card.robot_scene, "title").ndim == 3


@pytest.mark.parametrize("task", [name for name in TASKS if name not in REAL])
def test_tasks_without_a_protocol_are_refused_with_the_remedy(task: str) -> None:
    with pytest.raises(SetupError, match=r"no protocol on an arm: .*Tasks that have one: .*pick_place"):
        refuse_unreal(task)


def test_unknown_task_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pick_place'"):
        cards("pick_plac")


def test_placements_are_in_a_labs_units() -> None:
    card = cards()[0]
    for place, prop in zip(placements(card.robot_scene, card.outlines), card.robot_scene.props, strict=True):
        assert place.forward_cm == pytest.approx(100 * prop.x, abs=0.05)
        assert place.left_cm == pytest.approx(100 * prop.y, abs=0.05)
        assert abs(place.turn_deg) <= 180
        assert prop.color in place.name
    cube = [place for place in placements(card.robot_scene, card.outlines) if "cube" in place.name]
    assert all(place.size_cm == "4.0 x 4.0 x 4.0" for place in cube)


def test_shopping_list_has_the_most_of_each_thing_in_one_scene() -> None:
    drawn = draw_cards("two_cubes_one_tray", cue="scene", shift_cm=0.0, seed=0, trials=4)
    things = {name: count for name, _, count in shopping_list(drawn)}
    for card in drawn:
        for prop in card.robot_scene.props:
            assert things[prop.name] >= 1
    assert max(things.values()) <= 2


def test_reference_camera_is_the_simulators() -> None:
    env = TabletopEnv("pick_place", obs="state")
    env.reset(seed=0)
    data, model = env.simulation.data, env.pair.stage.model
    mujoco.mj_forward(model, data)
    camera = model.camera(ROBOT_CAMERA).id
    points = np.random.default_rng(0).uniform((0.3, -0.2, 0.0), (0.7, 0.2, 0.3), (20, 3))
    seen = (points - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
    focal = SIZE[1] / 2 / np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    expected = np.array(SIZE) / 2 + focal * seen[:, :2] / -seen[:, 2:] * (1, -1)
    np.testing.assert_allclose(ReferenceCamera(SIZE).pixels(points), expected, atol=1e-6)
    np.testing.assert_allclose(ReferenceCamera(SIZE).depth(points), -seen[:, 2], atol=1e-9)


@pytest.mark.parametrize("task", ["instance_gen", "rotation", "push_pull"])
def test_silhouettes_lie_on_what_the_simulator_renders(task: str) -> None:
    """What changes in the picture with a prop's colour lies inside its outline, and fills most of it."""
    env = TabletopEnv(task, image_size=SIZE)
    env._film = lambda: demonstration()  # type: ignore[method-assign]  # nobody looks at it
    env.reset(seed=3)
    pair, simulation = env.pair, env.simulation
    views = env._camera_views()
    before = views.robot(simulation).astype(int)
    for index, outline in enumerate(outlines(pair.stage, pair.robot_scene.props)):
        geoms = np.flatnonzero(pair.stage.prop_of_geom == index)
        kept = pair.stage.model.geom_rgba[geoms].copy()
        pair.stage.model.geom_rgba[geoms, :3] = (1.0, 0.0, 1.0)
        changed = abs(views.robot(simulation).astype(int) - before).sum(axis=2) > 40
        pair.stage.model.geom_rgba[geoms] = kept
        mask = Image.new("1", SIZE)
        pen = ImageDraw.Draw(mask)
        for corners, _ in outline.polygons(pair.robot_scene.props[index], ReferenceCamera(SIZE)):
            pen.polygon([tuple(corner) for corner in corners], fill=1, outline=1)
        drawn = np.asarray(mask)
        assert changed.any()
        # A pixel at the edge, and settling by a fraction of a millimetre, are allowed.
        assert (changed & drawn).sum() >= 0.9 * changed.sum()
        assert (changed & drawn).sum() >= 0.6 * drawn.sum()
    env.close()


def test_plan_has_the_robot_at_the_top_and_its_left_on_the_right() -> None:
    above = TablePlan((0.3, 0.7), (-0.2, 0.2), 100.0)
    near, left = above.pixels(np.array([[0.3, 0.0, 0.0], [0.5, 0.1, 0.0]]))
    np.testing.assert_allclose(near, (20, 0))
    np.testing.assert_allclose(left, (30, 20))


def test_pictures_show_the_scene_over_the_frame() -> None:
    card = cards(trials=1)[0]
    frame = np.full((240, 424, 3), 90, np.uint8)
    shown = overlay(frame, card, card.robot_scene)
    assert shown.shape == frame.shape
    assert 0.01 < (shown != frame).any(axis=2).mean() < 0.3
    assert (guides(frame) != frame).any()
    assert plan(card, card.robot_scene).shape == (480, 600, 3)
