"""`python -m h2r_bench.real.calibrate`: touch three marks, look at the gripper, save what came out.

Clear the table, lay the three marks on it, and bring the tip of the closed gripper onto each in turn: by hand
where the arm can be guided, else with the keys shown. The twin touches its marks by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from h2r_bench.cli import INTERRUPTED, parse, refused
from h2r_bench.real.errors import BridgeError
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.setup.calibrating import CalibrateConfig, calibrate


def main(argv: Sequence[str] | None = None, *, terminal: Terminal | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    terminal = terminal or Terminal()
    try:
        config = parse(
            CalibrateConfig,
            prog="python -m h2r_bench.real.calibrate",
            description=__doc__,
            args=None if argv is None else list(argv),
        )
        found = calibrate(config, terminal)
        found.save(config.out)
    except (BridgeError, ValueError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        terminal.say("Stopped; the arm holds. Nothing was saved.")
        return INTERRUPTED
    terminal.say(f"Saved to {config.out}. Trials will use it.", "green")
    return 0


if __name__ == "__main__":
    sys.exit(main())
