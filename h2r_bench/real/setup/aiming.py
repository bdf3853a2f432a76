"""Aiming the camera: the live view over the reference view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from h2r_bench.envs.scene.arena import CAMERA_FOVY, CAMERA_POSITION, CAMERA_TARGET
from h2r_bench.ranges import Port, Range
from h2r_bench.real.cameras import Camera, CameraConfig, View, make_camera
from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.live_page import LivePage
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.card_drawing import guides
from h2r_bench.real.session.demos import STORED_SIZE
from h2r_bench.types import UInt8Array


def view_of(config: AimConfig) -> View:
    """What the options make of the frame. Raises SetupError."""
    if config.crop is not None and config.fovy is not None:
        raise SetupError("--crop and --fovy both say what is cut off: give one of them")
    if config.fovy is not None:
        return View.of_angle(config.fovy, CAMERA_FOVY, config.half_turn)
    return View(config.crop or View().crop, config.half_turn)


def load_reference(path: Path | None) -> UInt8Array:
    """The view to aim at, (H, W, 3) of `STORED_SIZE`: a picture, or the simulator's robot at rest."""
    if path is None:
        return simulated_reference()
    try:
        picture = Image.open(path).convert("RGB")
    except OSError as error:
        raise SetupError(f"--reference {path}: no picture ({error})") from None
    return View().image(np.asarray(picture), STORED_SIZE)


def simulated_reference() -> UInt8Array:
    """The simulator's view of an empty table with the arm at rest, (H, W, 3) of `STORED_SIZE`."""
    from h2r_bench.envs.rendering.views import Cameras
    from h2r_bench.envs.robot.control import InverseKinematics
    from h2r_bench.envs.scene.compiled import CompiledScene, SceneSpec
    from h2r_bench.envs.scene.splits import TRAIN_TABLES, TRAIN_WALLS
    from h2r_bench.envs.simulation import Simulation
    from h2r_bench.motion import ToolPose

    scene = SceneSpec((), TRAIN_TABLES[0], next(iter(TRAIN_WALLS.values())))
    stage = CompiledScene(())
    stage.apply_appearance(scene)
    simulation = Simulation(stage, InverseKinematics())
    simulation.reset(scene, ToolPose.at(0.45, 0.0, 0.2))
    views = Cameras(stage, STORED_SIZE, fine=True)
    try:
        return views.robot(simulation)
    finally:
        views.close()


def live_view(camera: Camera, view: View) -> UInt8Array:
    """What the agents would see now, at the size of `STORED_SIZE`."""
    return view.image(camera.latest(timeout_s=1.0).image, STORED_SIZE)


def mixed(live: UInt8Array, reference: UInt8Array) -> UInt8Array:
    """Left to right the live view, both views mixed, the reference, all with the lines; (H, 3W, 3)."""
    half = (live.astype(np.uint16) + reference) // 2
    parts = [guides(live), guides(half.astype(np.uint8)), guides(reference)]
    return np.concatenate(parts, axis=1)


def say_where(terminal: Terminal, frame: UInt8Array, view: View) -> None:
    """Where the camera belongs, and what is used of its frame."""
    x, y, z = CAMERA_POSITION
    target = ", ".join(f"{100 * value:.0f}" for value in CAMERA_TARGET)
    terminal.say(
        f"Stand the camera {100 * x:.0f} cm in front of the robot's base, {100 * y:.0f} cm aside and "
        f"{100 * z:.0f} cm above the table, looking back at ({target}) cm; {CAMERA_FOVY:g} degrees high."
    )
    left, top, right, bottom = view.box((frame.shape[1], frame.shape[0]), STORED_SIZE)
    terminal.say(
        f"Of its {frame.shape[1]} x {frame.shape[0]} pixels {right - left:.0f} x {bottom - top:.0f} are used."
    )


@contextlib.contextmanager
def opened(camera: Camera) -> Iterator[Camera]:
    """`camera`, open meanwhile."""
    camera.open()
    try:
        yield camera
    finally:
        camera.close()


@dataclass(frozen=True)
class AimConfig:
    """Aim the camera."""

    fovy: Annotated[float, Range(1.0, 179.0)] | None = None
    """Vertical field of view of the camera [degrees], from its data sheet: crops the picture to the reference
    view's. Without it the whole height is used."""
    crop: tuple[float, float, float, float] | None = None
    """Left, top, width and height of what the agents see, as shares of the frame, instead of `--fovy`."""
    half_turn: bool = False
    """The camera hangs upside down."""
    reference: Path | None = None
    """A picture to aim at, instead of the simulator's view; `--save-reference` makes one."""
    save_reference: Path | None = None
    """Save the aimed view here, to find it again after somebody has moved the camera."""
    port: Port = 8787
    """Port on loopback of the page; 0 for any free one."""
    camera: Annotated[CameraConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=CameraConfig)


def aim(config: AimConfig, terminal: Terminal) -> None:
    """Show the page until the person is content, then save. Raises SetupError, CameraError."""
    if not terminal.interactive:
        raise SetupError("somebody has to move the camera: run this in a terminal")
    view = view_of(config)
    reference = load_reference(config.reference)
    with opened(make_camera(config.camera)) as camera:
        frame = camera.latest(timeout_s=5.0).image
        say_where(terminal, frame, view)
        page = LivePage(lambda: mixed(live_view(camera, view), reference), config.port)
        try:
            terminal.say(f"Look at {page.url} (over ssh: ssh -L {config.port}:127.0.0.1:{config.port} ...)")
            answers = {"": "the lines lie on the table, save", "q": "leave without saving"}
            if terminal.choose("Move the camera.", answers) == "q":
                return
            if config.save_reference is not None:
                config.save_reference.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(live_view(camera, view)).save(config.save_reference)
        finally:
            page.close()
    view.save(config.camera.view)
    terminal.say(f"saved {config.camera.view}", "green")
