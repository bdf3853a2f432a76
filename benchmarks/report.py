"""How long a report of many trials takes, how heavy its pages are, and how fast a browser has them.

The records are made up: every agent of the paper's table and more, on the nine tasks, success drawn at
random. The browser needs websocket-client and Chromium; without them its figures are left out.
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from h2r_bench import report
from h2r_bench.reporting.paper_results import HALVES, LABELS

from browser import BROWSER, Browser
from synthetic import draw, write_run

POLICIES = (*LABELS, "expert", "replay", "hand_tracker", "blind", "random")


@dataclass(frozen=True)
class Config:
    """Measure a report."""

    records: int = 10_000
    loads: int = 5
    """How often the browser loads the front page; the median counts."""


def make_records(results: Path, count: int) -> int:
    """At least `count` records, evenly over agents and tasks; returns how many."""
    tasks = [task for half in HALVES for task in half.columns]
    each = -(-count // (len(POLICIES) * len(tasks)))
    for number, policy in enumerate(POLICIES):
        for task in tasks:
            write_run(results, task, policy, draw((number + 1) / 14, each, number))
    return each * len(POLICIES) * len(tasks)


def load_seconds(page: Path, width: int, loads: int) -> float:
    """Median time from opening a page to its load event [s]."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        browser.look(width)
        times = []
        for _ in range(loads):
            started = time.perf_counter()
            browser.open(page.as_uri())
            times.append(time.perf_counter() - started)
        browser.close()
    return statistics.median(times)


def main() -> None:
    """Print the figures as one JSON line."""
    config = tyro.cli(Config, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        results, site = Path(folder) / "results", Path(folder) / "site"
        count = make_records(results, config.records)
        started, used = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            report.main(["--results", str(results), "--site", str(site)])
        figures = {
            "records": count,
            "report_seconds": round(time.perf_counter() - started, 1),
            "report_cpu_seconds": round(time.process_time() - used, 1),
            "pages": len(list(site.rglob("*.html"))),
            "site_megabytes": round(sum(file.stat().st_size for file in site.rglob("*.*")) / 1e6, 2),
            "front_page_kilobytes": round((site / "index.html").stat().st_size / 1e3, 1),
            "largest_page_kilobytes": round(max(f.stat().st_size for f in site.rglob("*.html")) / 1e3, 1),
        }
        if BROWSER is not None:
            for width in (390, 1280):
                seconds = load_seconds(site / "index.html", width, config.loads)
                figures[f"front_page_load_ms_at_{width}"] = round(1000 * seconds)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
