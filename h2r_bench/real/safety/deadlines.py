"""By when a moving arm must be told to stand: for want of commands, and during a trial for want of frames."""

from __future__ import annotations

import math
from collections.abc import Callable

from h2r_bench.real.arms.base import Clock
from h2r_bench.real.cameras.base import AHEAD_S
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.real.safety.newest_frame import AskCamera, NewestFrame
from h2r_bench.real.safety.worker import Worker
from h2r_bench.types import one_line

ASK_EARLY_S = 0.05
"""So much before it is needed the camera is asked for its newest frame [s]: it may take time to answer."""


class Deadlines:
    """Remembers when commands and frames came."""

    def __init__(self, limits: SafetyLimits, clock: Clock, failed: Callable[[str], None]) -> None:
        """`failed` is told in one line what a camera raised."""
        self._limits, self._clock, self._failed = limits, clock, failed
        self.needs_frames = False
        """Whether frames are asked for."""
        self.command_s = 0.0
        """When the last command was given [s]."""
        self._frame_s = -math.inf
        self._camera: NewestFrame | None = None
        self._asker = Worker("newest frame")

    def begin(self, needs_frames: bool, camera: AskCamera | None) -> None:
        """From now on frames count, or do not; none has come yet. `camera` is asked for newer ones."""
        if self._camera is not None and self._camera.hangs:
            self._asker = Worker("newest frame")
        self.needs_frames, self._frame_s = needs_frames, -math.inf
        self._camera = None if camera is None else NewestFrame(camera, self._asker)

    def frame_arrived(self, time_s: float) -> None:
        """A frame came that was taken at `time_s` [s]. One from the future is none: its clock has jumped."""
        if time_s <= self._clock.now() + AHEAD_S:
            self._frame_s = max(self._frame_s, time_s)

    def lacking(self, now: float) -> str:
        """What has stayed away too long at `now` [s]: `no_command`, `no_frame`, or nothing.

        Commands come first: no camera is asked before they are found in time. A clock that went back says
        nothing of how long ago they came.
        """
        if now >= self.commands_due or now < self.command_s:
            return "no_command"
        return "no_frame" if self.needs_frames and now >= self.frames_due(now) else ""

    @property
    def next_s(self) -> float:
        """When something may be lacking next, as far as is known [s]; no camera is asked."""
        if not self.needs_frames:
            return self.commands_due
        newest_s = -math.inf if self._camera is None else self._camera.time_s
        return min(self.commands_due, self._frames_due_of(newest_s))

    @property
    def commands_due(self) -> float:
        """When the arm must be told to stand unless a new command comes [s]."""
        return self.command_s + self._patience

    def frames_due(self, now: float) -> float:
        """When the arm must be told to stand unless a new frame comes [s]; long ago when the camera fails."""
        if self._camera is None:
            return self._frame_s + self._patience
        newest_s = self._camera.time_s
        if now >= newest_s + self._camera_patience - ASK_EARLY_S:  # the camera is asked only when it matters
            try:
                newest_s = self._camera.refresh()
            except Exception as error:  # whatever a camera raises
                self._failed(f"the camera: {one_line(error)}")
                return -math.inf
        if not newest_s <= self._clock.now() + AHEAD_S:
            return -math.inf
        return self._frames_due_of(newest_s)

    def _frames_due_of(self, newest_s: float) -> float:
        due = self._frame_s + self._patience
        return due if self._camera is None else min(due, newest_s + self._camera_patience)

    @property
    def _patience(self) -> float:
        """How long commands and frames may stay away before the arm is told to stand [s]."""
        return self._limits.timeout_s - self._limits.braking_s

    @property
    def _camera_patience(self) -> float:
        """The same for the camera's newest frame [s]: commands go on, so the arm may be in full motion."""
        return self._limits.timeout_s - self._limits.moving_braking_s
