"""The tasks. A new task costs one file here and one line below."""

from h2r_bench.envs.tasks import instance_gen, pick_place, push_pull, rotation  # noqa: F401  (they register)
from h2r_bench.envs.tasks.base import CUES, TASKS, Cue, Goal, Judgement, Task

__all__ = ["CUES", "TASKS", "Cue", "Goal", "Judgement", "Task"]
