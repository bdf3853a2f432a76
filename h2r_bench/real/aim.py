"""`python -m h2r_bench.real.aim`: aim the camera, with the live view over the reference view.

The agents were trained on one view of the table. A page on loopback shows the camera's picture mixed with
that view and with the lines of the work area: move the camera until they lie on each other, then press Enter.
What the agents see of the frame is saved and used by every later command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from h2r_bench.cli import INTERRUPTED, parse, refused
from h2r_bench.real.errors import BridgeError
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.setup.aiming import AimConfig, aim


def main(argv: Sequence[str] | None = None, *, terminal: Terminal | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    terminal = terminal or Terminal()
    try:
        config = parse(AimConfig, prog="python -m h2r_bench.real.aim", description=__doc__, args=argv)
        aim(config, terminal)
    except (BridgeError, ValueError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
