"""The command line, the site as files, and the site in a browser."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from browser import BROWSER, Browser
from synthetic import draw, make_record, write_run

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("statsmodels")

from h2r_bench import report
from h2r_bench.datasets.h264 import write_video
from h2r_bench.evaluation.log import video_path

ROOT = Path(__file__).parents[2]
TRICKY = '<script>alert(1)</script>"&|'
LONG = "a_package_with_a_long_name.policies.of_many_kinds:AnAgentThatHasALongName"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of five agents, two of them with names that need care; three films, one of them broken."""
    results = tmp_path_factory.mktemp("records") / "results"
    for number, (task, policy, rate) in enumerate(
        [
            ("push_pull", "h2r", 0.9), ("push_pull", "vpp", 0.4), ("push_pull", "expert", 1.0),
            ("push_pull", TRICKY, 0.2), ("pick_place", "h2r", 0.7), ("pick_place", LONG, 0.5),
            ("brand_new", "h2r", 0.6), ("tray_then_pen", "expert", 1.0),
        ]
    ):  # fmt: skip
        write_run(results, task, policy, draw(rate, 25, number))
    write_run(results, "push_pull", "h2r", draw(0.3, 20, 90), shift_cm=4.0)
    write_run(results, "push_pull", "h2r", draw(0.1, 20, 91), demo="blank")
    with (results / "trials/push_pull/vpp.jsonl").open("a") as log:
        log.write("rubbish\n")
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 128, 3), np.uint8)
    for trial in (0, 3):
        path = video_path(results, make_record(trial=trial), trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, 10.0)
    video_path(results, make_record(trial=4), 4).write_bytes(b"no film")
    return results


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of these records; what the command said lies beside it."""
    folder = tmp_path_factory.mktemp("made") / "site"
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        assert report.main(["--results", str(results), "--site", str(folder)]) == 0
    (folder.parent / "said").write_text(said.getvalue())
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@cache
def read(path: Path) -> Page:
    return Page(path)


class Page(HTMLParser):
    """Collects whatever a page could fetch, and the ids it defines."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
                self.found.append(value or "")
            if name == "id":
                self.ids.append(value or "")


# --- the committed tables --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["leaderboard.md", "leaderboard.csv"])
def test_the_committed_tables_are_those_of_the_committed_records(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "results"
    copy.mkdir()
    (copy / "trials").symlink_to(ROOT / "results" / "trials")
    assert report.main(["--results", str(copy)]) == 0
    assert (copy / name).read_text() == (ROOT / "results" / name).read_text(), (
        f"results/{name} is out of date: python -m h2r_bench.report"
    )


# --- files -----------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes(results: Path, site: Path, tmp_path: Path) -> None:
    tables = [(results / name).read_bytes() for name in ("leaderboard.md", "leaderboard.csv")]
    assert report.main(["--results", str(results), "--site", str(tmp_path / "again")]) == 0
    assert contents(tmp_path / "again") == contents(site)
    assert tables == [(results / name).read_bytes() for name in ("leaderboard.md", "leaderboard.csv")]


def test_every_page_is_there_and_every_link_leads_somewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    names = {path.relative_to(site).as_posix() for path in pages}
    assert {"index.html", "tasks/push_pull.html", "agents/h2r.html", "trials/brand_new/h2r.html"} <= names
    assert len(pages) == 1 + 4 + 5 + 8
    for path in pages:
        page = read(path)
        assert len(page.ids) == len(set(page.ids)), path
        for address in page.found:
            assert not re.match(r"[a-z]+:(?!,$)|//", address), address
            target, _, anchor = address.partition("#")
            if address == "data:,":
                continue
            file = (path.parent / target).resolve() if target else path
            assert file.is_file(), (path, address)
            if anchor:
                assert anchor in read(file).ids, (path, address)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.js")]:
        assert not re.search(r"https?://|@import|url\((?!#)", path.read_text(encoding="utf-8")), path


def test_names_are_escaped(site: Path, results: Path) -> None:
    text = (site / "index.html").read_text()
    assert "<script>alert" not in text
    assert html.escape("<script>alert(1)</script>") in text
    assert "<script>" not in (results / "leaderboard.md").read_text()


def test_notices_go_everywhere(site: Path, results: Path) -> None:
    said = (site.parent / "said").read_text()
    line = "trials/push_pull/vpp.jsonl, line 26: not JSON, left out"
    assert f"note: {line}" in said
    assert "trial_004.mp4: no MP4, not shown" in said
    assert line in (results / "leaderboard.md").read_text()
    assert "not JSON, left out" in (site / "index.html").read_text()
    assert "18 pages" in said


def test_trials_without_a_film_say_so(site: Path) -> None:
    assert "None of these trials has been filmed." in (site / "tasks/pick_place.html").read_text()
    text = (site / "trials/push_pull/h2r.html").read_text()
    assert "65 trials, 2 of them filmed." in text
    assert text.count('class="play"') == 2


def test_a_new_site_takes_the_old_ones_place(tmp_path: Path) -> None:
    results, site = tmp_path / "results", tmp_path / "site"
    for policy in ("vpp", "h2r"):
        write_run(results, "push_pull", policy, "+")
    command = ["--results", str(results), "--site", str(site)]
    assert report.main(command) == 0
    (site / "mine.txt").write_text("keep")
    (results / "trials/push_pull/vpp.jsonl").unlink()
    assert report.main(command) == 0
    assert not (site / "agents/vpp.html").exists()
    assert (site / "agents/h2r.html").exists()
    assert (site / "mine.txt").read_text() == "keep"
    assert not list(site.rglob(".*.html"))


def test_folders_of_others_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "results", "push_pull", "h2r", "+")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    (tmp_path / "file").write_text("")
    for name in ("home", "file"):
        command = ["--results", str(tmp_path / "results"), "--site", str(tmp_path / name)]
        assert report.main(command) == 2
        assert "error: --site: " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_manifest_cannot_reach_outside(tmp_path: Path) -> None:
    write_run(tmp_path / "results", "push_pull", "h2r", "+")
    (tmp_path / "victim").write_text("alive")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/.h2r_bench_site.json").write_text(json.dumps(["../victim", "index.html"]))
    assert report.main(["--results", str(tmp_path / "results"), "--site", str(tmp_path / "site")]) == 0
    assert (tmp_path / "victim").read_text() == "alive"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--world", "9"), "no sound record of world 9; there are: 1"),
        (("--sample", "0"), "--sample must be at least 1"),
        (("--compare", "h2r", "vp"), "Unknown measured agent 'vp'. Did you mean 'vpp'?"),
        (("--verify", "--policy", "h3r"), "Did you mean 'h2r'?"),
    ],
    ids=str,
)
def test_bad_commands(
    arguments: tuple[str, ...], message: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["--results", str(results), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--results", str(tmp_path)]) == 2
    assert "has no trial records; make some: python -m h2r_bench.run" in capsys.readouterr().err


# --- in a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("websocket")
    if BROWSER is None:
        pytest.skip("needs Chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


ALL_PAGES = (
    "index.html", "tasks/push_pull.html", "tasks/tray_then_pen.html", "agents/h2r.html",
    "trials/push_pull/h2r.html",
)  # fmt: skip


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_load_without_errors_and_fit(site: Path, browser: Browser, width: int, dark: bool) -> None:
    browser.look(width, dark=dark)
    for name in ALL_PAGES:
        browser.open((site / name).as_uri())
        assert browser.errors == [], name
        assert all(address.startswith(("file:", "data:")) for address in browser.addresses)
        sizes = browser.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert sizes[0] <= sizes[1] <= width, name
        background = browser.run("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(20, 23, 26)" if dark else "rgb(246, 247, 248)")


NAMES = (
    "[...document.querySelectorAll('#table-basic-20 tbody tr:not([hidden]) th')].map(h => h.dataset.value)"
)
CLICK = "document.querySelector('#table-basic-20 thead th:nth-child({}) button').click()"


def test_tables_sort(site: Path, browser: Browser) -> None:
    browser.look(1280)
    browser.open((site / "index.html").as_uri())
    given = browser.run(NAMES)
    browser.run(CLICK.format(1))
    assert browser.run(NAMES) == sorted(given, key=str.lower) != given
    browser.run(CLICK.format(2))
    values = (
        "[...document.querySelectorAll('#table-basic-20 tbody td:nth-child(2)')].map(c => +c.dataset.value)"
    )
    falling = browser.run(values)
    assert falling == sorted(falling, reverse=True)
    browser.run(CLICK.format(2))
    assert browser.run(values) == sorted(falling)
    head = "document.querySelector('#table-basic-20 thead th:nth-child(2)').getAttribute('aria-sort')"
    assert browser.run(head) == "ascending"


def test_a_phone_sorts_by_a_menu(site: Path, browser: Browser) -> None:
    browser.look(390)
    browser.open((site / "index.html").as_uri())
    menu = "document.querySelector('[data-for=\"table-basic-20\"] .sorter select')"
    assert browser.run(f"{menu}.offsetWidth") > 0
    browser.run(f"{menu}.value = '0'; {menu}.dispatchEvent(new Event('change'))")
    names = browser.run(NAMES)
    assert names == sorted(names, key=str.lower)


def test_tables_filter(site: Path, browser: Browser) -> None:
    browser.look(1280)
    browser.open((site / "index.html").as_uri())
    search = "document.querySelector('[data-for=\"table-basic-20\"] input')"
    browser.run(f"{search}.value = 'H2R knn'; {search}.dispatchEvent(new Event('input'))")
    assert browser.run(NAMES) == ["h2r_knn"]
    browser.run(f"{search}.value = 'nobody'; {search}.dispatchEvent(new Event('input'))")
    assert browser.run(NAMES) == []
    assert "Nothing fits." in browser.run("document.body.innerText")


def test_trials_filter_by_menu(site: Path, browser: Browser) -> None:
    browser.open((site / "trials/push_pull/h2r.html").as_uri())
    shown = "document.querySelectorAll('#trials tbody tr:not([hidden])').length"
    assert browser.run(shown) == 65
    menu = "document.querySelector('select[data-column=\"1\"]')"
    browser.run(f"{menu}.value = 'scene cue, 4 cm shift'; {menu}.dispatchEvent(new Event('change'))")
    assert browser.run(shown) == 20


PLAYED = """(async () => {
  const video = document.querySelector("%s");
  if (video.paused) await video.play();
  for (let i = 0; i < 200 && !(video.currentTime > 0); i++) await new Promise(r => setTimeout(r, 50));
  return [video.currentTime > 0, video.videoWidth, video.videoHeight, video.error && video.error.message];
})()"""


def test_videos_play_in_place(site: Path, browser: Browser) -> None:
    browser.look(1280)
    browser.open((site / "trials/push_pull/h2r.html").as_uri())
    before = browser.run("location.href")
    browser.run("document.querySelector('a.play').click()")
    assert browser.run(PLAYED % "tr.playing video") == [True, 128, 64, None]
    assert browser.run("location.href") == before
    browser.run("document.querySelectorAll('a.play')[1].click()")
    assert browser.run("document.querySelectorAll('tr.playing').length") == 1
    assert browser.errors == []


def test_highlights_play(site: Path, browser: Browser) -> None:
    browser.look(390)
    browser.open((site / "tasks/push_pull.html").as_uri())
    assert browser.run(PLAYED % ".clips video") == [True, 128, 64, None]
    assert browser.errors == []
