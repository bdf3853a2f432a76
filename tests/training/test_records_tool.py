from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from h2r_bench.evaluation.runner import RunConfig, prepare
from h2r_bench.run import read_command

from tool_modules import TOOLS, load_tool

PARTS = ("protocol", "video", "controls", "shifts", "hundred")


@pytest.fixture(scope="module")
def tool() -> Any:
    return load_tool("records")


def test_every_command_is_one(tool: Any, tmp_path: Path) -> None:
    commands = tool.commands_of(tool.Records(("random",), PARTS, out=tmp_path))
    assert len(commands) == len(set(commands)) == 9 + 3 + 15 + 6 + 9
    for command in commands:
        config, _ = prepare(*read_command(shlex.split(command)))
        assert isinstance(config, RunConfig)
        assert config.out == tmp_path


def test_two_runs_never_write_to_one_log(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    code = (
        "import sys, time\n"
        "say = lambda word: open(sys.argv[1], 'a').write(word + ' ' + sys.argv[2] + '\\n')\n"
        "say('begin'); time.sleep(0.3); say('end'); print('3/20'); raise SystemExit(int(sys.argv[3]))"
    )

    def fake(command: str) -> subprocess.Popen[str]:
        task, failing = shlex.split(command)[1], "--cue video" in command
        words = [sys.executable, "-c", code, str(log), task, str(int(failing))]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(tool, "start", fake)
    settings = tool.Records(("random",), ("protocol", "video"), tasks=("rotation",), slots=2)
    assert tool.main(settings) == 1
    assert log.read_text().split() == ["begin", "rotation", "end", "rotation"] * 2
    said = capsys.readouterr().out
    assert "2/2  FAILED" in said
    assert "3/20" in said


@pytest.mark.slow
def test_records_are_written_and_the_same_command_adds_none(tool: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(TOOLS / "records.py"), "--policies", "random", "--tasks", "rotation"]
    command += ["--parts", "protocol", "--out", str(tmp_path)]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
        lines = (tmp_path / "trials" / "rotation" / "random.jsonl").read_text().splitlines()
        assert [json.loads(line)["trial"] for line in lines] == list(range(20))
