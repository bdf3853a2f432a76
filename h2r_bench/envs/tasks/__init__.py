"""The tasks. A new task costs one file here and one line below."""

from h2r_bench.envs.tasks import (  # noqa: F401  (they register)
    combination_gen,
    generalization,
    instance_gen,
    long_horizon,
    pick_place,
    push_pull,
    rotation,
    writing,
)
from h2r_bench.envs.tasks.base import CUES, TASKS, Cue, Goal, Judgement, Task, TaskSource

__all__ = ["CUES", "TASKS", "Cue", "Goal", "Judgement", "Task", "TaskSource"]
