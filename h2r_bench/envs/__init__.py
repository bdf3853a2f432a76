"""The world: scene, robot, hand, objects, tasks, demonstrator, rendering."""

from h2r_bench.envs.rendering import gl

WORLD_VERSION = 2
"""Bumped by any change that alters images, physics or the meaning of a task: see docs/tasks.md."""

gl.configure()  # before any module here imports MuJoCo or dm_control, which read the choice once
