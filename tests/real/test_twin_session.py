"""A whole session through the real driver and its network protocol, without hardware."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from h2r_bench.evaluation.log import TrialLog, log_path
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.trials import main

pytest.importorskip("franky", reason="franky-control is not installed: pip install 'h2r-bench[real]'")
pytest.importorskip("franky_sim", reason="franky-sim is not installed: pip install 'h2r-bench[real]'")


@pytest.mark.slow
def test_two_trials_of_the_expert_run_unattended(tmp_path: Path) -> None:
    terminal = Terminal(Console(quiet=True))
    command = ["--task", "pick_place", "--policy", "expert", "--trials", "2", "--out", str(tmp_path)]
    # As fast as it goes: simulated time passes all the same.
    assert main([*command, "--arm", "twin", "--arm-option", "speed=0"], terminal=terminal) == 0
    records = TrialLog(log_path(tmp_path, "pick_place", "expert")).load()
    assert [record.trial for record in records] == [0, 1]
    assert all(record.versions["arm"] == "twin" for record in records)
    journal = next((tmp_path / "sessions").iterdir()) / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    results = [line["result"] for line in lines if line["event"] == "done"]
    assert [result["missed"] for result in results] == [0, 0]
    # The demonstrator's script succeeds in the simulator; on the way through the driver it still does.
    assert sum(record.success for record in records) == 2
