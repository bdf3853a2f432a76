"""`--dry-run`: everything as in a session, and nothing moves."""

from __future__ import annotations

from h2r_bench.real.arms.base import Arm, ArmState, Commanded
from h2r_bench.types import FloatArray


class DryArm:
    """An arm that is read and never told anything; `commands` counts what it would have been told."""

    def __init__(self, arm: Arm) -> None:
        """Watch `arm`."""
        self.arm = arm
        self.name = f"{arm.name} (dry run)"
        self.clock = arm.clock
        self.commands = 0
        self._open = True

    def connect(self) -> None:
        """Reach the arm."""
        self.arm.connect()

    def read_state(self) -> ArmState:
        """Where the real tool is."""
        return self.arm.read_state()

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """What would be commanded."""
        self.commands += 1
        return Commanded(self.clock.now(), position.copy(), rotation.copy(), self._open)

    def grip(self, open_: bool, force_n: float) -> None:
        """Remember what the gripper would do."""
        self._open = open_

    def stop(self) -> None:
        """Nothing moves anyway."""

    def close(self) -> None:
        """Let go of the arm."""
        self.arm.close()
