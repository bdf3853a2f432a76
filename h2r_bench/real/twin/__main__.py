"""`python -m h2r_bench.real.twin`: the simulated bench; it says in one line of JSON where it is reached."""

from __future__ import annotations

import contextlib
import sys

from h2r_bench.cli import parse, refused
from h2r_bench.real.twin.config import TwinConfig


def main() -> int:
    """Serve until interrupted or told to stop."""
    try:
        config = parse(TwinConfig, prog="python -m h2r_bench.real.twin", description=__doc__)
    except ValueError as error:
        return refused(error)
    try:
        from h2r_bench.real.twin.twin_server import serve
    except ImportError as error:
        print(f"error: the twin needs franky-sim: pip install 'h2r-bench[real]' ({error})", file=sys.stderr)
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        serve(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
