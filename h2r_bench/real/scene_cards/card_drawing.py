"""Drawing scene cards: over the camera's view, and on a plan of the table."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from h2r_bench.envs.scene.arena import CAMERA_POSITION
from h2r_bench.envs.scene.splits import TABLE_AREA
from h2r_bench.real.scene_cards.cards import placements
from h2r_bench.real.scene_cards.projection import Projection, ReferenceCamera, TablePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2r_bench.envs.scene.compiled import SceneSpec
    from h2r_bench.real.scene_cards.cards import SceneCard
    from h2r_bench.real.scene_cards.outline import Outline
    from h2r_bench.types import FloatArray, UInt8Array

_PLAN_X, _PLAN_Y = (0.28, 0.76), (-0.30, 0.30)
"""What the plan shows of the table [m]."""
_PLAN_SCALE = 1000.0
"""Pixels of the plan for each metre."""
_INK, _PALE, _GROUND = (40, 40, 44), (205, 207, 210), (247, 247, 245)
_MARK = (255, 0, 200)
"""A colour that no table and no prop has."""


def overlay(frame: UInt8Array, card: SceneCard, scene: SceneSpec, opacity: float = 0.55) -> UInt8Array:
    """`scene` of `card` drawn over the camera's view (H, W, 3), which is aimed like the reference view."""
    base = Image.fromarray(frame)
    drawn = base.copy()
    camera = ReferenceCamera(base.size)
    pen = ImageDraw.Draw(drawn)
    _draw_props(pen, scene, card.outlines, camera)
    mixed = Image.blend(base, drawn, opacity)
    _draw_marks(ImageDraw.Draw(mixed), scene, camera)
    return np.asarray(mixed)


def plan(card: SceneCard, scene: SceneSpec) -> UInt8Array:
    """`scene` of `card` from above with a grid of 5 cm, the robot at the top, (H, W, 3)."""
    above = TablePlan(_PLAN_X, _PLAN_Y, _PLAN_SCALE)
    picture = Image.new("RGB", above.size, _GROUND)
    pen = ImageDraw.Draw(picture)
    _draw_grid(pen, above)
    _draw_props(pen, scene, card.outlines, above)
    _draw_marks(pen, scene, above)
    _draw_labels(pen, card, scene, above)
    return np.asarray(picture)


def card_picture(frame: UInt8Array, card: SceneCard, scene: SceneSpec, title: str) -> UInt8Array:
    """The whole card: title, instruction, camera view with the scene drawn over it, and the plan."""
    above = Image.fromarray(plan(card, scene))
    view = Image.fromarray(overlay(frame, card, scene))
    width = round(view.width * above.height / view.height)
    view = view.resize((width, above.height), Image.Resampling.LANCZOS)
    head = 62
    sheet = Image.new("RGB", (view.width + above.width, above.height + head), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((14, 8), title, _INK, font=font(22))
    pen.text((14, 36), card.instruction, _INK, font=font(17))
    sheet.paste(view, (0, head))
    sheet.paste(above, (view.width, head))
    return np.asarray(sheet)


def guides(frame: UInt8Array) -> UInt8Array:
    """The work area, its middle and the robot's foot, as the reference view has them, over (H, W, 3)."""
    picture = Image.fromarray(frame)
    camera, pen = ReferenceCamera(picture.size), ImageDraw.Draw(picture)
    (low_x, high_x), (low_y, high_y) = TABLE_AREA.x, TABLE_AREA.y
    area = [(low_x, low_y), (low_x, high_y), (high_x, high_y), (high_x, low_y), (low_x, low_y)]
    middle = ((low_x + high_x) / 2, 0.0)
    lines = [area, [(low_x, 0.0), (high_x, 0.0)], [(middle[0], low_y), (middle[0], high_y)]]
    for line in lines:
        _line(pen, camera, np.array([(x, y, 0.0) for x, y in line]), _MARK)
    return np.asarray(picture)


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at `size` [pixels]."""
    return ImageFont.load_default(size)


def _draw_props(
    pen: ImageDraw.ImageDraw, scene: SceneSpec, shapes: Sequence[Outline], projection: Projection
) -> None:
    """Painter's algorithm: what lies flat first, then from far to near."""
    order = sorted(
        range(len(scene.props)),
        key=lambda i: (scene.props[i].shape.free, -_distance(scene.props[i].x, scene.props[i].y)),
    )
    for index in order:
        for corners, color in shapes[index].polygons(scene.props[index], projection):
            pen.polygon([(float(x), float(y)) for x, y in corners], fill=color, outline=_INK)


def _distance(x: float, y: float) -> float:
    return math.dist((x, y), CAMERA_POSITION[:2])


def _draw_marks(pen: ImageDraw.ImageDraw, scene: SceneSpec, projection: Projection) -> None:
    """A cross at the middle of each prop and a line along its heading, on the table."""
    for prop in scene.props:
        heading = np.array([math.cos(prop.yaw), math.sin(prop.yaw), 0.0])
        aside = np.array([-heading[1], heading[0], 0.0])
        middle = np.array([prop.x, prop.y, 0.0])
        _line(pen, projection, np.stack([middle - 0.012 * aside, middle + 0.012 * aside]), _MARK)
        ahead = middle + (prop.shape.radius + 0.015) * heading
        _line(pen, projection, np.stack([middle - 0.012 * heading, ahead]), _MARK)


def _draw_labels(pen: ImageDraw.ImageDraw, card: SceneCard, scene: SceneSpec, above: TablePlan) -> None:
    """What each thing is and where, below it, or below the label that is there already."""
    taken: list[tuple[float, float, float, float]] = []
    for prop, place in zip(scene.props, placements(scene, card.outlines), strict=True):
        column, row = above.pixels(np.array([[prop.x, prop.y, 0.0]]))[0]
        text = f"{place.name}\n{place.forward_cm:.1f} | {place.left_cm:+.1f} cm | {place.turn_deg:+.0f}°"
        row += _PLAN_SCALE * prop.shape.radius + 4
        box = pen.multiline_textbbox((column, row), text, font=font(15), anchor="ma")
        while over := next((each for each in taken if _overlap(each, box)), None):
            row += over[3] - box[1] + 5
            box = pen.multiline_textbbox((column, row), text, font=font(15), anchor="ma")
        taken.append(box)
        pen.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=_GROUND)
        pen.multiline_text((column, row), text, _INK, font=font(15), anchor="ma", align="center")


def _overlap(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (left, top, right, bottom) share a point."""
    return first[0] <= second[2] and second[0] <= first[2] and first[1] <= second[3] and second[1] <= first[3]


def _draw_grid(pen: ImageDraw.ImageDraw, above: TablePlan) -> None:
    """Lines every 5 cm, labelled in cm, and the edge of the area where things rest."""
    (low_x, high_x), (low_y, high_y) = _PLAN_X, _PLAN_Y
    for x in np.arange(0.30, high_x, 0.05):
        _line(pen, above, np.array([(x, low_y, 0), (x, high_y, 0)]), _PALE, 1)
        column, row = above.pixels(np.array([(x, low_y, 0)]))[0]
        pen.text((column + 3, row), f"{100 * x:.0f}", _INK, font=font(12), anchor="lm")
    for y in np.arange(-0.25, high_y, 0.05):
        _line(pen, above, np.array([(low_x, y, 0), (high_x, y, 0)]), _PALE, 1)
        column, row = above.pixels(np.array([(low_x, y, 0)]))[0]
        pen.text((column, row + 3), f"{100 * y:+.0f}", _INK, font=font(12), anchor="ma")
    (left_x, right_x), (left_y, right_y) = TABLE_AREA.x, TABLE_AREA.y
    edge = [(left_x, left_y), (left_x, right_y), (right_x, right_y), (right_x, left_y), (left_x, left_y)]
    _line(pen, above, np.array([(x, y, 0.0) for x, y in edge]), (150, 152, 156), 1)
    column, row = above.pixels(np.array([(low_x, 0.0, 0.0)]))[0]
    pen.text((column, row + 20), "robot's base this way", _INK, font=font(13), anchor="ma")


def _line(
    pen: ImageDraw.ImageDraw,
    projection: Projection,
    points: FloatArray,
    color: tuple[int, int, int],
    width: int = 2,
) -> None:
    pen.line([(float(x), float(y)) for x, y in projection.pixels(points)], fill=color, width=width)
