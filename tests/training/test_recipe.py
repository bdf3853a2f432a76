from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tyro

from h2r_bench import train

from tool_modules import load_tool


@pytest.fixture(scope="module")
def recipe() -> Any:
    return load_tool("recipe")


def test_every_command_is_one_and_builds_on_earlier_ones(recipe: Any) -> None:
    earlier: set[str] = set()
    for job in recipe.JOBS:
        words = recipe.words_of(job, recipe.Recipe(Path("data"), cpu=True))
        parsed = tyro.cli(train.Job, args=words)
        assert parsed.data == Path("data")
        assert set(job.needs) <= earlier
        for need in job.needs:
            assert f"runs/recipe/{need}" in words
        earlier.add(job.name)
    for parts in recipe.WEIGHTS.values():
        runs = [word for word in parts.format(runs="runs").split() if not word.startswith("--")]
        assert {Path(run).name for run in runs} <= earlier


def test_jobs_wait_for_what_they_need_and_the_same_command_goes_on(
    recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"

    def fake(job: Any, settings: Any) -> subprocess.Popen[bytes]:
        out = settings.runs / job.name
        code = (
            f"open({str(log)!r}, 'a').write({job.name + ' '!r})\n"
            f"import pathlib; folder = pathlib.Path({str(out)!r}); folder.mkdir()\n"
            f"(folder / 'run.json').write_text('{{\"steps\": 1}}')\n"
            f"raise SystemExit({int(job.name == 'skills')})"
        )
        return subprocess.Popen([sys.executable, "-c", code])

    monkeypatch.setattr(recipe, "start", fake)
    packed: list[str] = []
    weights = {"one": "--vpm {runs}/vpm1 --decoder {runs}/dec", "other": "--policy {runs}/xs"}
    monkeypatch.setattr(recipe, "WEIGHTS", weights)
    real = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        if "pack" not in command:
            return real(command, **options)
        packed.append(Path(command[-1]).name + (" late" if (tmp_path / "runs" / "xs").exists() else ""))
        return real([sys.executable, "-c", ""])

    monkeypatch.setattr(recipe.subprocess, "Popen", popen)
    settings = recipe.Recipe(
        tmp_path, runs=tmp_path / "runs", slots=2, only=("vpm1", "vpm2", "dec", "xs", "skills", "dp")
    )
    assert recipe.main(settings) == 2
    begun = log.read_text().split()
    assert begun.index("vpm1") < begun.index("vpm2") < begun.index("dec")
    assert "skills" in begun
    assert "xs" not in begun
    assert packed == ["one"]
    assert recipe.main(settings) == 0
    assert set(packed[1:]) == {"one late", "other late"}  # nothing was written, so both are packed
    assert log.read_text().split() == [*begun, "xs"]


def test_a_job_without_what_it_builds_on_is_refused(recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="add dp skills"):
        recipe.main(recipe.Recipe(tmp_path, runs=tmp_path / "runs", only=("xs",)))
