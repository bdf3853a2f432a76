from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "benchmarks" / "vpm_cost.py"


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["parameters", "features", "generate", "train"])
def test_every_measure_of_the_compact_preset_gives_a_line(measure: str) -> None:
    words = ["--presets", "compact", "--measures", measure, "--steps", "1", "--rounds", "1", "--warm-up", "0"]
    done = subprocess.run(
        [sys.executable, str(TOOL), *words, "--clips", "1"], check=True, capture_output=True, text=True
    )
    (line,) = (json.loads(each) for each in done.stdout.splitlines())
    assert line["preset"] == "compact"
    assert line["measure"] == measure
    numbers = [value for key, value in line.items() if isinstance(value, float) and key != "load"]
    assert numbers
    assert all(number >= 0 for number in numbers)
