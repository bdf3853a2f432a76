"""`python -m h2r_bench.real.trials`: measure policies on an arm, blinded, scene card by scene card.

A session that was stopped, for whatever reason, goes on where it was when the same command is given again.
Which policy ran when is shown once every run has its verdict.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence

from h2r_bench.cli import INTERRUPTED, NOT_FINISHED, parse, refused
from h2r_bench.real.errors import BridgeError
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.session.preparation import (
    ArmMaker,
    TrialsConfig,
    dry_run,
    policies_and_cards,
    prepare,
    session_folder,
)
from h2r_bench.real.session.results import show_results, unblind
from h2r_bench.real.session.session import only_writer
from h2r_bench.real.session.session_runner import SessionStoppedError


def main(
    argv: Sequence[str] | None = None,
    *,
    make: ArmMaker = lambda config: config.arm.make(),
    terminal: Terminal | None = None,
) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    terminal = terminal or Terminal()
    again = shlex.join(["python", "-m", "h2r_bench.real.trials", *argv])
    try:
        config = parse(TrialsConfig, prog="python -m h2r_bench.real.trials", description=__doc__, args=argv)
        if config.dry_run:
            with contextlib.ExitStack() as stack:
                dry_run(config, make, terminal, stack)
            return 0
        tested_policies, cards = policies_and_cards(config)
        with only_writer(session_folder(config, cards[0].task)):
            with contextlib.ExitStack() as stack:
                session, runner = prepare(config, tested_policies, cards, make, terminal, stack)
                if runner is not None:
                    runner.run()
            show_results(session, unblind(session, config.out), terminal.console)
    except SessionStoppedError as error:
        terminal.say(f"\nStopped: {error}. Every verdict is kept. To go on:\n  {again}")
        return NOT_FINISHED
    except (BridgeError, ValueError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        terminal.say(f"\nStopped; the arm holds. Every verdict is kept. To go on:\n  {again}")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
