"""What the two cameras see: the robot at work, and the hand doing the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from h2r_bench.envs.hand import HandModel
from h2r_bench.envs.rendering.paper_texture import ShownPaper
from h2r_bench.envs.rendering.renderer import CameraRenderer
from h2r_bench.envs.robot.model import WRIST_CAMERA as _WRIST
from h2r_bench.envs.scene.arena import HUMAN_CAMERA, ROBOT_CAMERA, TOOL_SHADOW
from h2r_bench.geometry import Array, matrix_from_6d
from h2r_bench.types import FloatArray, UInt8Array

if TYPE_CHECKING:
    from h2r_bench.envs.demonstration.paired_scenes import CameraNoise
    from h2r_bench.envs.demonstration.render_trajectory import RenderTrajectory
    from h2r_bench.envs.scene.compiled import CompiledScene
    from h2r_bench.envs.simulation import Simulation


_SHADOW_HEIGHT = 0.0018
"""Above mats and marks, so that the soft shadow falls on them too [m]."""
_FINE_SAMPLES = 4
"""Samples a pixel of fine rendering."""


class Cameras:
    """The cameras of one stage at one image size."""

    def __init__(self, stage: CompiledScene, image_size: tuple[int, int], *, fine: bool = False) -> None:
        """Prepare for `image_size` (width, height) [pixels]; `fine` adds shadows and smooth edges.

        Raises GLUnavailableError without OpenGL.
        """
        self.stage = stage
        width, height = image_size
        stage.model.vis.quality.offsamples = _FINE_SAMPLES if fine else 0
        self._renderer = CameraRenderer(stage.model, width, height, shadows=fine)
        camera = stage.model.camera(HUMAN_CAMERA)
        self._soft_shadow = not fine
        shadow = stage.model.body(TOOL_SHADOW)
        self._shadow_ids = (shadow.mocapid[0], shadow.id, stage.model.geom(TOOL_SHADOW).id)
        self._camera_id = int(camera.id)
        self._camera_home = (camera.pos.copy(), camera.quat.copy())
        self._dressing = stage.dressings
        self._paper = ShownPaper(stage, self._renderer)

    def close(self) -> None:
        """Free the graphics memory."""
        self._renderer.close()

    def robot(self, simulation: Simulation) -> UInt8Array:
        """The robot as it stands, shape (H, W, 3)."""
        self.begin_robot(simulation)
        return self.finish()

    def begin_robot(self, simulation: Simulation) -> None:
        """Start to draw the robot as it stands; `finish` gives the image."""
        self._cast_shadow(simulation, simulation.tool()[0])
        self._refresh()
        self._show_ink(simulation, simulation.ink_steps)
        self._renderer.begin(simulation.data, ROBOT_CAMERA, show_hand=False, show_robot=True)

    def paint_ink(self, simulation: Simulation) -> None:
        """Paint the ink so far for the next image; one that was begun is still drawn without it."""
        self._paper.paint(simulation, simulation.ink_steps)

    def finish(self) -> UInt8Array:
        """The image that was begun last, shape (H, W, 3)."""
        return self._renderer.finish()

    def wrist(self, simulation: Simulation) -> UInt8Array:
        """What the gripper sees, shape (H, W, 3)."""
        self.robot(simulation)  # brings ink and shadow up to date
        mujoco.mj_camlight(self.stage.model, simulation.data)  # and this the camera on the hand
        return self._renderer.render(simulation.data, f"panda/{_WRIST}", show_hand=False, show_robot=True)

    def robot_video(self, simulation: Simulation, film: RenderTrajectory) -> UInt8Array:
        """The robot at each moment of `film`, shape (N, H, W, 3). Moves the simulation's data."""
        frames = []
        for number, qpos in enumerate(film.qpos):
            self._pose(simulation, qpos)
            simulation.ink_steps = list(film.ink[: number + 1])
            frames.append(self.robot(simulation))
        return np.stack(frames)

    def human_video(
        self, simulation: Simulation, film: RenderTrajectory, puppet: HandModel, camera: CameraNoise
    ) -> UInt8Array:
        """The hand doing what the robot did in `film`, shape (N, H, W, 3). Moves the simulation's data."""
        self._refresh()
        self._move_camera(camera)
        rotations = matrix_from_6d(film.state[:, 3:9])
        puppet.begin(rotations)
        frames = []
        for number, (qpos, state, rotation) in enumerate(zip(film.qpos, film.state, rotations, strict=True)):
            puppet.set(simulation.data, state[:3], rotation, float(state[9]))
            self._pose(simulation, qpos)
            self._cast_shadow(simulation, state[:3])
            self._show_ink(film, film.ink[: number + 1])
            frames.append(
                self._renderer.render(simulation.data, HUMAN_CAMERA, show_hand=True, show_robot=False)
            )
        return np.stack(frames)

    def _refresh(self) -> None:
        """Send textures again that were repainted since."""
        if self._dressing != self.stage.dressings:
            for texture in self.stage.painted_textures:
                self._renderer.refresh_texture(texture)
            self._dressing = self.stage.dressings

    def _show_ink(self, owner: object, steps: Sequence[FloatArray]) -> None:
        """Show the ink of `steps`, each (M, 2) in the paper's frame [m]; `owner` is whose ink it is."""
        self._paper.paint(owner, steps)
        self._paper.send()

    def _pose(self, simulation: Simulation, qpos: np.ndarray) -> None:
        """Bring the drawn bodies to `qpos` without running physics."""
        simulation.show(qpos)
        mujoco.mj_camlight(self.stage.model, simulation.data)

    def _cast_shadow(self, simulation: Simulation, tool: Array) -> None:
        """Lay the soft shadow under the tool at `tool` (3,) [m]: wider and fainter from higher up."""
        model, data = self.stage.model, simulation.data
        slot, body, geom = self._shadow_ids
        x, y, z = tool.tolist()
        height = max(z, 0.0)
        spot = (x, y, _SHADOW_HEIGHT)
        data.mocap_pos[slot] = data.xpos[body] = data.geom_xpos[geom] = spot
        model.geom_size[geom, 0] = 0.022 + 0.12 * height
        model.geom_rgba[geom, 3] = 0.5 * math.exp(-height / 0.15) if self._soft_shadow else 0.0

    def _move_camera(self, camera: CameraNoise) -> None:
        position, quaternion = self._camera_home
        home = Rotation.from_quat(quaternion, scalar_first=True)
        turned = home * Rotation.from_rotvec(camera.turn)
        self.stage.model.cam_pos[self._camera_id] = position + camera.offset
        self.stage.model.cam_quat[self._camera_id] = turned.as_quat(scalar_first=True)
