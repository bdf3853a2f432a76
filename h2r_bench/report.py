"""`python -m h2r_bench.report`: from trial records to tables and an HTML site.

Writes `<results>/leaderboard.md` and `leaderboard.csv`, and with `--site` a static site. The same records
give the same bytes. `--compare A B` and `--verify` write neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from h2r_bench.cli import BAD_INPUT, INTERRUPTED, parse, refused
from h2r_bench.files import write_whole
from h2r_bench.ranges import Index

if TYPE_CHECKING:
    from h2r_bench.reporting.leaderboard import Leaderboard
    from h2r_bench.reporting.record_loading import Notice

DIFFERENT = 1
"""Exit status when a record could not be made again."""


@dataclass(frozen=True)
class ReportConfig:
    """Make the leaderboard, compare two agents, or make records again."""

    results: Path = Path("results")
    """Folder with `trials/` and, where trials were filmed, `videos/`."""
    site: Path | None = None
    """Folder for the HTML site."""
    world: int | None = None
    """World version of the tables; the newest in the records if not given."""
    compare: tuple[str, str] | None = None
    """Two agents to compare trial by trial, by their names in the tables."""
    verify: bool = False
    """Run some recorded trials again and say which come out the same."""
    sample: Index = 5
    """How many to verify, drawn at random."""
    sample_seed: Index = 0
    """Which: the same seed draws the same of the same records."""
    policy: str | None = None
    """Verify records of this agent only."""
    weights: Path | None = None
    """Weights for verifying records that were not made with the shipped ones."""
    film: bool = False
    """Film the verified trials that come out the same, into `<results>/videos`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    try:
        return report(parse(ReportConfig, prog="python -m h2r_bench.report", description=__doc__, args=argv))
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "matplotlib", "statsmodels"):
            raise
        print(f"error: this needs {error.name}: pip install 'h2r-bench[report]'", file=sys.stderr)
    except (ValueError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return BAD_INPUT


def report(config: ReportConfig) -> int:
    """Do what the configuration says; returns the exit status."""
    from h2r_bench.reporting.leaderboard import build
    from h2r_bench.reporting.record_loading import load

    if config.sample < 1:
        raise ValueError(f"--sample must be at least 1, got {config.sample}")
    board = build(load(config.results), config.world)
    if config.compare is not None:
        from h2r_bench.reporting.agent_comparison import comparison

        print(comparison(board, *config.compare), end="")
        return 0
    if config.verify:
        return verify(config, board)
    write(config, board)
    return 0


def write(config: ReportConfig, board: Leaderboard) -> None:
    """Write tables and site, and say what a reader should know."""
    from h2r_bench.reporting.text_tables import markdown, table_csv

    notices = board.notices
    if config.site is not None:
        from h2r_bench.reporting.site import write_site

        size, notices = write_site(board, config.results, config.site)
        what = f"{size.pages} pages, {size.page_bytes / 1e6:.1f} MB, and {size.videos} videos"
        print(f"{config.site / 'index.html'}  ({what})")
    for name, content in (("leaderboard.md", markdown(board)), ("leaderboard.csv", table_csv(board))):
        write_whole(config.results / name, content)
        print(config.results / name)
    tell(notices)


def tell(notices: Sequence[Notice]) -> None:
    """Print notices where errors go, one line each."""
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)


def verify(config: ReportConfig, board: Leaderboard) -> int:
    """Run records again, print what came out, and return the exit status."""
    from h2r_bench.reporting.verify import Verifier, sample

    records = sample(board, config.sample, config.sample_seed, config.policy)
    verifier = Verifier(config.weights, config.results if config.film else None)
    verdicts = []
    try:
        for number, record in enumerate(records, 1):
            verdicts.append(verifier.verify(record))
            print(f"{number}/{len(records)}  {verdicts[-1]}", flush=True)
    finally:
        verifier.close()
    exact = sum(verdict.exact for verdict in verdicts)
    same = sum(verdict.same for verdict in verdicts)
    skipped = sum(verdict.skipped for verdict in verdicts)
    line = f"{same} of {len(verdicts) - skipped} reproduce, {exact} of them bit for bit"
    print(line + (f"; {skipped} could not be run here" if skipped else ""))
    return DIFFERENT if same + skipped < len(verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
