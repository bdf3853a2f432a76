from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.training.engine.loss_curve import POINTS, curve

from tool_modules import load_tool


@pytest.fixture(scope="module")
def tool() -> Any:
    return load_tool("curves")


def log_of(path: Path, losses: list[float]) -> Path:
    lines = (json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses, 1))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def run(command: str, losses: list[float], samples: int = 400, **more: Any) -> dict[str, Any]:
    kept = {"step": [10.0 * place for place in range(1, len(losses) + 1)], "loss": losses}
    record = {"command": f"python -m h2r_bench.train {command}", "config": {"tasks": ["a"]}, **more}
    return {**record, "steps": 40, "samples": samples, **({"losses": kept} if losses else {})}


@given(losses=st.lists(st.floats(1e-3, 1e3), max_size=200))
def test_a_curve_is_short_and_in_order(tmp_path_factory: pytest.TempPathFactory, losses: list[float]) -> None:
    found = curve(log_of(tmp_path_factory.mktemp("run") / "loss.jsonl", losses))
    assert len(found["step"]) == len(found["loss"]) == min(POINTS, len(losses))
    assert found["step"] == sorted(found["step"])
    assert all(min(losses) * 0.999 <= loss <= max(losses) * 1.001 for loss in found["loss"])


def test_a_single_step_without_a_condition_is_no_peak(tmp_path: Path) -> None:
    losses = [0.1] * 400
    losses[200] = 5.0
    assert set(curve(log_of(tmp_path / "loss.jsonl", losses))["loss"]) == {0.1}


def test_runs_of_a_part_are_one_curve_with_gaps(tool: Any, tmp_path: Path) -> None:
    other = run("diffusion_policy", [7.0])
    uncounted = {**run("vpp", [9.0]), "samples": None}
    first = run("vpp", [4.0, 3.0], initial=[uncounted, run("vpp", []), other])
    last = run("vpp", [2.0, 1.0], samples=80, initial=[first])
    (tmp_path / "manifest.json").write_text(json.dumps({"runs": [first, last]}))
    (drawn,) = tool.curves_of(tmp_path)
    assert drawn.title == "vpp"
    np.testing.assert_allclose(drawn.samples, [500, 600, np.nan, 820, 840, np.nan])
    np.testing.assert_allclose(drawn.loss, [4, 3, np.nan, 2, 1, np.nan])


def test_weights_are_drawn_with_a_panel_for_each_part(tool: Any, tmp_path: Path) -> None:
    skills = run("xskill", [3.0, 2.0])
    policy = run("xskill --stage 2 --tasks b", [2.0, 1.0])
    policy["config"] = {"tasks": ["b"], "stage": 2}
    (tmp_path / "manifest.json").write_text(json.dumps({"runs": [run("vae", []), skills, policy]}))
    assert [each.title for each in tool.curves_of(tmp_path)] == ["xskill", "xskill, stage 2, b"]
    tool.main(tool.Config((tmp_path,), tmp_path / "loss.png"))
    assert iio.imread(tmp_path / "loss.png").ndim == 3
    (tmp_path / "manifest.json").write_text(json.dumps({"runs": [run("vae", [])]}))
    with pytest.raises(SystemExit, match="no losses were kept"):
        tool.main(tool.Config((tmp_path,), tmp_path / "loss.png"))
