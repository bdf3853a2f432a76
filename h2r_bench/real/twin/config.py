"""How a twin is started."""

from __future__ import annotations

from dataclasses import dataclass

from h2r_bench.ranges import NotNegative, Pixels


@dataclass(frozen=True)
class TwinConfig:
    """The simulated bench."""

    image_size: tuple[Pixels, Pixels] = (128, 128)
    """Width and height of the camera image [pixels]."""
    speed: NotNegative = 1.0
    """Simulated seconds per second; 0 is as fast as it goes. A busy machine is slower than asked."""
    feedforward: bool = True
    """Servos that follow as closely as a Franka's; false: that trail by 0.1 s as in `env.step`."""
    tied: bool = False
    """Stop when standard input ends, that is, with whoever started it."""
    host: str = ""
    """Loopback address to serve Franka's protocol at; the first free one where none is given."""
