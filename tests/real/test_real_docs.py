"""The page for labs names commands that exist, and pictures that are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tyro

from h2r_bench.evaluation.runner import RunConfig
from h2r_bench.real.record import RecordConfig
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.real.scenes import ScenesConfig
from h2r_bench.real.session.policies_under_test import PolicySpec
from h2r_bench.real.session.preparation import TrialsConfig
from h2r_bench.real.setup.aiming import AimConfig
from h2r_bench.real.setup.calibrating import CalibrateConfig
from h2r_bench.report import ReportConfig
from h2r_bench.serve import ServeConfig

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "real.md").read_text()
CONFIGS: dict[str, Any] = {
    "h2r_bench.real.aim": AimConfig,
    "h2r_bench.real.calibrate": CalibrateConfig,
    "h2r_bench.real.record": RecordConfig,
    "h2r_bench.real.scenes": ScenesConfig,
    "h2r_bench.real.trials": TrialsConfig,
    "h2r_bench.report": ReportConfig,
    "h2r_bench.run": RunConfig,
    "h2r_bench.serve": ServeConfig,
}
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith("python -m ")]


def test_every_step_has_a_command() -> None:
    used = {shlex.split(command)[2] for command in COMMANDS}
    assert used == set(CONFIGS)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    module, *arguments = shlex.split(command)[2:]
    config = tyro.cli(CONFIGS[module], args=arguments)
    for policy in getattr(config, "policy", None) or () if module.endswith("trials") else ():
        PolicySpec.parse(policy)


@pytest.mark.parametrize("path", re.findall(r"\]\((images/[^)]+)\)", PAGE))
def test_pictures_are_there(path: str) -> None:
    assert (DOCS / path).stat().st_size > 1000


def test_limits_are_those_of_the_table() -> None:
    limits = SafetyLimits()
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", PAGE, re.MULTILINE))
    low, high = limits.box
    box = f"x {100 * low[0]:g} to {100 * high[0]:g} cm, y ±{100 * high[1]:g} cm"
    assert rows["workspace of the tool"].startswith(f"{box}, z {100 * low[2]:g} to {100 * high[2]:g} cm")
    motion = limits.motion
    assert rows["speed, acceleration"] == (
        f"{motion.max_speed:g} m/s, {limits.max_acceleration:g} m/s²; "
        f"{motion.max_rotation_speed:g} rad/s, {limits.max_rotation_acceleration:g} rad/s²"
    )
    rate = 1 / limits.min_interval_s
    step = (
        f"{100 * limits.max_step:g} cm, {limits.max_rotation_step:g} rad, from the pose asked for before and "
        f"from the one the arm took; at most {rate:g} commands a second"
    )
    assert rows["step per command"] == step
    assert rows["tilt, yaw"] == f"{motion.max_tilt:g} rad from straight down, ±{motion.max_yaw:g} rad"
    assert rows["gripper"] == f"{limits.grip_force:g} N, changes {limits.min_grip_interval_s:g} s apart"
    assert f"for {1000 * limits.timeout_s:g} ms" in PAGE
