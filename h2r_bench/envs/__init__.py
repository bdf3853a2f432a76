"""The world: scene, robot, hand, objects, tasks, demonstrator, rendering."""

from h2r_bench.envs import gl

WORLD_VERSION = 0
"""Bumped by any change that alters images, physics or the meaning of a task. 0 is not frozen yet."""

gl.configure()  # before any module here imports MuJoCo or dm_control, which read the choice once
