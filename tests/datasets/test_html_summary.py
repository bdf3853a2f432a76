from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from h2r_bench.datasets import DatasetError, DatasetMeta, EpisodeStore

from episodes import make_dataset, make_episode

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from h2r_bench.datasets import html_summary as page_module
from h2r_bench.datasets.html_summary import write_page

if TYPE_CHECKING:
    from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZE = (64, 64)
"""Pictures that are less high x264 encodes now and then with other bytes."""
TRICKY = 'Put <b>"it"</b> & <script>alert(1)</script> there.'

PHONE = """<!DOCTYPE html><body><iframe style="width:390px;height:800px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre><script>
onload = async () => {{
  const inside = document.querySelector("iframe").contentDocument;
  const durations = [...inside.querySelectorAll("video")].map(video => new Promise(tell => {{
    const read = () => tell(video.error ? -1 : video.duration);
    if (video.readyState || video.error) read();
    video.onloadedmetadata = video.onerror = read;
  }}));
  const {{scrollWidth, clientWidth}} = inside.documentElement;
  const found = {{scrollWidth, clientWidth, durations: await Promise.all(durations)}};
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script>"""
"""Shows a page as wide as a phone, and writes what it finds there below it."""


class Addresses(HTMLParser):
    """Collects whatever a page could fetch, and the ids it defines."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
                self.found.append(value or "")
            if name == "id":
                self.ids.append(value or "")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Three episodes of push_pull and two of pick_place, one of them shifted, with a tricky instruction."""
    store = make_dataset(tmp_path_factory.mktemp("page") / "small", 3, SIZE)
    other = replace(make_episode(3, steps=20, size=SIZE), task="pick_place", instruction=TRICKY, cue="video")
    store.write(3, other)
    store.write(4, replace(other, seed=4, shift_cm=2.5))
    store.publish()
    return EpisodeStore.open(store.root)


@pytest.fixture(scope="module")
def page(store: EpisodeStore, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "new" / "page.html"
    write_page(store, path, clips_per_task=2)
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_fetches_nothing(page: str) -> None:
    parser = Addresses()
    parser.feed(page)
    assert all(address.startswith(("#", "data:")) for address in parser.found)
    assert {address[1:] for address in parser.found if address[0] == "#"} <= set(parser.ids)
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_facts_are_those_of_the_dataset(page: str) -> None:
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts["episodes"] == "5"
    assert facts["steps"] == str(3 * 12 + 2 * 20)
    assert facts["mean length"] == "15 steps"
    assert facts["mean duration"] == "1.5 s"
    assert facts["recorded"] == "8 s"
    assert facts["World version"] == "1"
    assert facts["Image size"] == "64 × 64 pixels"
    assert facts["Rate"] == "10 Hz"
    assert facts["Shifted scenes"] == "20 %, by 2.5 cm on average, 2.5 cm at most"
    assert facts["Cues"] == "scene 60 %, video 40 %"
    assert re.fullmatch(r"[\d.]+ kB", facts["on disk"])


def test_every_task_is_named_with_its_count_and_clips(page: str) -> None:
    sections = re.findall(r'<section class="task" id="(\w+)".*?</section>', page, re.DOTALL)
    assert sections == ["pick_place", "push_pull"]
    assert "2 episodes" in page
    assert "3 episodes" in page
    assert page.count("data:video/mp4;base64,") == 4
    assert page.count("<svg") == 4


def test_instructions_are_escaped(page: str) -> None:
    assert html.escape("<script>alert(1)</script>") in page
    assert "<script>alert(1)" not in page
    assert "<b>" not in page


def test_the_same_dataset_gives_the_same_page(store: EpisodeStore, page: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_page(
        store, tmp_path / "again.html", clips_per_task=2, progress=lambda done, of: seen.append((done, of))
    )
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    assert seen == [(done, 5) for done in range(1, 6)]


def test_only_the_videos_that_are_shown_are_decoded(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    original = EpisodeStore.__getitem__
    monkeypatch.setattr(
        EpisodeStore, "__getitem__", lambda self, at: decoded.append(at) or original(self, at)
    )
    write_page(store, tmp_path / "one.html", clips_per_task=1)
    assert sorted(decoded) == [1, 4]
    write_page(store, tmp_path / "none.html", clips_per_task=0)
    assert len(decoded) == 2


def test_episodes_of_one_step_make_a_page(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 0, SIZE)
    store.write(0, make_episode(0, steps=1, size=SIZE))
    store.publish()
    write_page(EpisodeStore.open(store.root), tmp_path / "page.html")
    assert "1 episode," in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_errors_name_what_is_wrong(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = EpisodeStore.create(tmp_path / "empty", DatasetMeta(world=1))
    with pytest.raises(DatasetError, match="no published episodes"):
        write_page(empty, tmp_path / "page.html")
    with pytest.raises(ValueError, match="clips_per_task"):
        write_page(store, tmp_path / "page.html", clips_per_task=-1)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'h2r-bench\[report\]'"):
        write_page(store, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("count", "text"),
    [(7, "7 B"), (999, "999 B"), (1500, "1.5 kB"), (43_800_000, "43.8 MB"), (2 * 10**15, "2000.0 TB")],
)
def test_sizes_in_words(count: int, text: str) -> None:
    assert page_module._bytes(count) == text


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_a_phone_shows_it_without_scrolling_sideways_and_plays_the_clips(page: str, tmp_path: Path) -> None:
    (tmp_path / "phone.html").write_text(PHONE.format(page=html.escape(page)), encoding="utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += [
        "--hide-scrollbars",
        "--virtual-time-budget=20000",
        "--dump-dom",
        (tmp_path / "phone.html").as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = json.loads(re.findall(r'<pre id="found">(.*?)</pre>', shown)[-1])
    assert found["scrollWidth"] == found["clientWidth"] == 390
    assert found["durations"] == pytest.approx([2.0, 2.0, 1.2, 1.2], abs=0.05)
