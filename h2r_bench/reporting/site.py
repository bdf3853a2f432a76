"""The HTML site: static files that need no server and fetch nothing from elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from h2r_bench.evaluation.film import views_of
from h2r_bench.evaluation.log import video_path
from h2r_bench.evaluation.trial import TrialRecord
from h2r_bench.files import replacing, write_whole
from h2r_bench.reporting import charts
from h2r_bench.reporting.changes import Change, changes
from h2r_bench.reporting.charts import Chart, Estimate
from h2r_bench.reporting.leaderboard import HEADLINE, Leaderboard, LeaderboardEntry, Run, task_title
from h2r_bench.reporting.paper_results import TRIALS
from h2r_bench.reporting.record_loading import Notice
from h2r_bench.reporting.tables import Table, tables
from h2r_bench.reporting.text_tables import SIGNS, bounds, needed_in_words, percent

MANIFEST = ".h2r_bench_site.json"
"""Names the files of a site, so that the next one can take away what it no longer has."""
ASSETS = ("site.css", "site.js")


class SiteFolderError(ValueError):
    """The site cannot go there; the message says why."""


@dataclass(frozen=True)
class Video:
    """A filmed trial."""

    title: str
    record: TrialRecord
    path: str
    """Below the site, and below the results folder."""
    views: tuple[str, ...]
    """What it shows, left to right."""


@dataclass(frozen=True)
class Size:
    """What was written."""

    pages: int
    videos: int
    page_bytes: int
    """Of everything but the videos."""


class Site:
    """One site being made: the board, its films, and the files so far."""

    def __init__(self, board: Leaderboard, results: Path) -> None:
        self.board = board
        self.results = results
        self.notices: list[Notice] = list(board.notices)
        self.files: dict[str, bytes] = {}
        self.films = self._find_films()
        self._environment = Environment(
            loader=PackageLoader("h2r_bench.reporting"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            percent=percent, bounds=_bounds, points=_points, task_title=task_title
        )
        self._environment.globals.update(board=board, signs=SIGNS)

    def add_pages(self) -> None:
        """Make every page."""
        for name in ASSETS:
            self.files[name] = self._source(name)
        self._add_index()
        for task in self.board.tasks:
            self._add_group(
                f"tasks/{task}.html",
                self.board.of(task=task),
                "agent",
                lambda run: run.entry.name,
                title=task_title(task),
                about=f"The task {task}: every agent on the same scenes.",
            )
        for entry in self.board.entries:
            self._add_group(
                f"agents/{entry.slug}.html",
                self.board.of(entry=entry),
                "task",
                lambda run: task_title(run.task),
                title=entry.name,
                about=_about(entry),
            )
        for task in self.board.tasks:
            for entry in self.board.entries:
                if runs := self.board.of(task=task, entry=entry):
                    self._add_trials(task, entry, runs)

    def save(self, folder: Path, before: list[str]) -> Size:
        """Write all files into `folder`, each whole, and remove those of `before` that are no more."""
        films = sorted(set(self.films.values()))
        for name, content in self.files.items():
            write_whole(folder / name, content)
        for name in films:
            _copy(self.results / name, folder / name)
        now = sorted([*self.files, *films])
        write_whole(folder / MANIFEST, json.dumps(now, indent=0).encode())
        for name in sorted(set(before) - set(now)):
            (folder / name).unlink(missing_ok=True)
        pages = sum(name.endswith(".html") for name in self.files)
        return Size(pages, len(films), sum(map(len, self.files.values())))

    # --- pages -------------------------------------------------------------------------------------------

    def _add_index(self) -> None:
        every = tables(self.board)
        drawn = {
            table.half.key: _table_charts(table)
            for table in every
            if table.trials == TRIALS and table.measured
        }
        self._add(
            "index.html",
            "index.html",
            tables=every,
            charts={table.half.key: drawn.get(table.half.key, []) for table in every},
            first_trials=TRIALS,
            needed=needed_in_words(),
        )

    def _add_group(
        self,
        path: str,
        runs: list[Run],
        row_kind: str,
        label: Callable[[Run], str],
        *,
        title: str,
        about: str,
    ) -> None:
        """A page about a task or an agent."""
        results = [(label(run), run) for run in runs if run.setting == HEADLINE]
        settings = changes(self.board, runs, label)
        self._add(
            path,
            "group.html",
            title=title,
            about=about,
            row_kind=row_kind,
            results=results,
            settings=settings,
            further=any(row.run.further for row in settings),
            charts=_group_charts(results),
            setting_charts=_setting_charts(settings),
            videos=self._highlights(runs, label),
        )

    def _add_trials(self, task: str, entry: LeaderboardEntry, runs: list[Run]) -> None:
        """A page about every trial of an agent on a task."""
        rows = [
            (record, str(run.setting), self.films.get(record.key())) for run in runs for record in run.records
        ]
        self._add(
            f"trials/{task}/{entry.slug}.html",
            "trials.html",
            task=task,
            entry=entry,
            runs=runs,
            rows=rows,
            filmed=sum(film is not None for *_, film in rows),
        )

    def _add(self, path: str, template: str, **values: Any) -> None:
        root = "../" * path.count("/")
        page = self._environment.get_template(template).render(root=root, **values)
        self.files[path] = page.encode()

    def _source(self, name: str) -> bytes:
        return (Path(__file__).parent / "templates" / name).read_bytes()

    # --- films -------------------------------------------------------------------------------------------

    def _find_films(self) -> dict[Any, str]:
        """Key of a record to its film, below the results folder; notes those that are no MP4."""
        films = {}
        for run in self.board.runs.values():
            for record in run.records:
                path = video_path(self.results, record, record.trial)
                if not path.is_file():
                    continue
                name = path.relative_to(self.results).as_posix()
                if is_mp4(path):
                    films[record.key()] = name
                else:
                    self.notices.append(Notice(name, "no MP4, not shown"))
        return films

    def _highlights(self, runs: list[Run], label: Callable[[Run], str]) -> list[Video]:
        """The first filmed success and the first filmed failure of each run."""
        videos = []
        for run in runs:
            for success in (True, False):
                filmed = (r for r in run.records if r.success == success and r.key() in self.films)
                if record := next(filmed, None):
                    setting = "" if run.setting == HEADLINE else f", {run.setting}"
                    path = self.films[record.key()]
                    videos.append(
                        Video(f"{label(run)}{setting}", record, path, views_of(self.results / path))
                    )
        return videos


def write_site(board: Leaderboard, results: Path, folder: Path) -> tuple[Size, tuple[Notice, ...]]:
    """Make the site of `board` in `folder`, with the videos below `results`.

    Returns:
        What was written, and all notices, those about videos included.

    Raises:
        SiteFolderError: the folder holds something that is no site.
    """
    before = _earlier_files(folder)
    site = Site(board, results)
    site.add_pages()
    return site.save(folder, before), tuple(site.notices)


def is_mp4(path: Path) -> bool:
    """Whether a file begins as an MP4 does."""
    with path.open("rb") as file:
        return file.read(12)[4:8] == b"ftyp"


def _table_charts(table: Table) -> list[Chart]:
    """One chart of intervals for each column of a table."""
    made = []
    for key, title in table.columns.items():
        estimates = [
            Estimate(row.label, *_estimate(row.cells[key]), row.cells[key].paper)
            for row in table.rows
            if row.cells[key].trials or row.cells[key].paper is not None
        ]
        if estimates:
            made.append(charts.intervals(f"{table.half.key}-{key.replace('_', '-')}", title, estimates))
    return made


def _estimate(cell: Any) -> tuple[float | None, tuple[float, float]]:
    return (cell.rate, cell.interval) if cell.trials else (None, (0.0, 1.0))


def _group_charts(rows: charts.Rows) -> list[Chart]:
    """What trials of the protocol looked like."""
    if not rows:
        return []
    estimates = [Estimate(label, run.rate, run.interval) for label, run in rows]
    made = [
        charts.intervals("success", "Success", estimates, "95 % Wilson interval, all trials"),
        charts.by_trial("by-trial", rows),
        charts.progress("progress", rows),
        charts.failures("failures", rows),
        charts.times("times", rows),
    ]
    return [chart for chart in made if chart is not None]


def _setting_charts(rows: list[Change]) -> list[Chart]:
    """Rates by setting: one chart for each setting but the protocol's."""
    kinds = dict.fromkeys(row.run.setting for row in rows)
    return [
        charts.intervals(
            f"setting-{number}",
            str(setting),
            [
                Estimate(row.label, row.run.rate, row.run.interval)
                for row in rows
                if row.run.setting == setting
            ],
        )
        for number, setting in enumerate(kinds)
    ]


def _about(entry: LeaderboardEntry) -> str:
    weights = "no weights" if entry.weights == "none" else f"weights {entry.weights}"
    return f"{entry.summary or entry.title}; {weights}."


def _bounds(interval: tuple[float, float]) -> str:
    return f"{bounds(interval)}\N{NO-BREAK SPACE}%"


def _points(difference: float) -> str:
    """A difference of rates in percentage points, with a real minus."""
    return f"{100 * difference:+.0f} points".replace("+0 ", "0 ").replace("-", "\N{MINUS SIGN}")


def _earlier_files(folder: Path) -> list[str]:
    """Files that an earlier site put into `folder`. Raises SiteFolderError when it is no site's folder."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise SiteFolderError(f"--site: {folder} is a file; name a folder")
    if not any(folder.iterdir()):
        return []
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SiteFolderError(
            f"--site: {folder} holds other files; name a new folder or one with an earlier site"
        ) from None
    inside = os.path.realpath(folder) + os.sep
    return [name for name in names if os.path.realpath(folder / str(name)).startswith(inside)]


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as unfinished:
        shutil.copyfile(source, unfinished)
