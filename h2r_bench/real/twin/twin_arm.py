"""`--arm twin`: starts a simulated bench on loopback and drives it with the real driver."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from dataclasses import dataclass

from h2r_bench.ranges import NotNegative, Pixels
from h2r_bench.real.arms.base import ArmError, ArmState, Clock, Commanded
from h2r_bench.real.arms.franka import FrankaArm, FrankaConfig, import_franky
from h2r_bench.real.twin.twin_client import TwinClient, TwinClock
from h2r_bench.types import FloatArray

START_SECONDS = 180.0
"""How long a twin may take to start on a busy machine [s]."""


@dataclass(frozen=True)
class TwinArmConfig:
    """Which twin."""

    host: str = ""
    """Of a twin that already runs, its `host:port` as it said them; without, one is started."""
    width: Pixels = 128
    """Width of the camera image [pixels]."""
    height: Pixels = 128
    """Height of the camera image [pixels]."""
    speed: NotNegative = 1.0
    """Simulated seconds per second; 0 is as fast as it goes."""
    lockstep: bool = False
    """Let simulated time all but stand while the thread that connected computes: for slow and busy machines.
    The time an agent takes then does not count."""
    feedforward: bool = True
    """Servos that follow as closely as a Franka's; false: that trail by 0.1 s as in `env.step`."""
    mount: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """What is believed of where the base stands: x, y, z [m] and yaw [rad]; in truth it is zero."""


class TwinArm:
    """The driver of a Franka, connected to a simulated one."""

    name = "twin"
    Config = TwinArmConfig
    clock: Clock

    def __init__(self, config: TwinArmConfig) -> None:
        """Start the twin, or find the one that runs. Raises MissingExtraError, ArmError."""
        import_franky()
        self.config = config
        self._process: subprocess.Popen[str] | None = None
        host, port = _split(config.host) if config.host else self._start(config)
        self.address = f"{host}:{port}"
        """Where others reach this twin."""
        self.twin = TwinClient(port)
        """What only a simulator can tell: frames, scenes, verdicts."""
        self.clock = TwinClock(self.twin)
        self._franka = FrankaArm(
            FrankaConfig(host, model="panda", realtime=False, mount=config.mount), self.clock
        )
        self.twin.quiet = self._franka.quiet

    def connect(self) -> None:
        """Reach the arm as a real one is reached."""
        if self.config.lockstep:
            self.twin.ask("lead")
        self._franka.connect()

    def read_state(self) -> ArmState:
        """Where the tool is now."""
        return self._franka.read_state()

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """Aim at a tool pose."""
        return self._franka.stream(position, rotation)

    def grip(self, open_: bool, force_n: float) -> None:
        """Open, or close with `force_n` [N]."""
        self._franka.grip(open_, force_n)

    def stop(self) -> None:
        """Brake at once."""
        self._franka.stop()

    def recover(self) -> None:
        """Clear the errors of a stopped arm."""
        self._franka.recover()

    def kill(self) -> None:
        """End the twin that was started here without a word, as a control box that loses power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Disconnect, and stop the twin that was started here."""
        self._franka.close()
        self.twin.close()
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process = None

    def _start(self, config: TwinArmConfig) -> tuple[str, int]:
        """Start a twin that ends with this process; returns where it is reached."""
        command = [sys.executable, "-m", "h2r_bench.real.twin", "--tied", "--speed", str(config.speed)]
        command += ["--image-size", str(config.width), str(config.height)]
        command += ["--feedforward" if config.feedforward else "--no-feedforward"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            raise ArmError("the twin did not start: run python -m h2r_bench.real.twin to see why")
        address = json.loads(line)
        return str(address["host"]), int(address["port"])


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.partition(":")
    if not (colon and port.isdigit()):
        raise ArmError(f"a twin's address has the form host:port, as it says when it starts; got {text!r}")
    return host, int(port)
