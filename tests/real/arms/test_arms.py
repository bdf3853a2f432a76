from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from h2r_bench.real.arms import ARMS, make_arm
from h2r_bench.real.arms.base import ArmError, MissingExtraError
from h2r_bench.real.arms.catalog import ArmConfig
from h2r_bench.real.arms.franka import check_reachable
from h2r_bench.registry import UnknownNameError


@dataclass(frozen=True)
class ToyConfig:
    host: str = ""
    speed: float = 1.0
    brisk: bool = False
    mount: tuple[float, ...] = (0.0,)


class ToyArm:
    Config = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        self.config = config


def test_the_arms_of_the_bench() -> None:
    assert list(ARMS) == ["franka", "xarm", "lerobot", "twin"]


def test_ones_own_arm_by_import_path_with_its_options() -> None:
    options = ("speed=0.5", "brisk=true", "mount=0.1,0.2,0,1.5")
    arm: Any = ArmConfig("test_arms:ToyArm", "10.0.0.1", options).make()
    assert arm.config == ToyConfig("10.0.0.1", 0.5, True, (0.1, 0.2, 0.0, 1.5))


def test_wrong_names_are_told_with_the_right_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'franka'"):
        make_arm("frank")
    with pytest.raises(UnknownNameError, match="Did you mean 'speed'"):
        make_arm("test_arms:ToyArm", options={"sped": "1"})
    with pytest.raises(ArmError, match="there is no arm"):
        make_arm("test_arms:NoArm")


@pytest.mark.parametrize("option", ["speed=fast", "brisk=maybe", "mount=a,b", "speed", "=1"])
def test_options_that_cannot_be_read(option: str) -> None:
    with pytest.raises(ArmError):
        ArmConfig("test_arms:ToyArm", arm_option=(option,)).make()


def test_an_unreachable_host_is_told_at_once_with_the_remedy() -> None:
    with pytest.raises(ArmError, match=r"no Franka answers at 127\.0\.0\.1:9 .*Desk"):
        check_reachable("127.0.0.1", 9)


def test_a_missing_driver_names_its_extra() -> None:
    try:
        import franky  # noqa: F401
    except ImportError:
        for arm in ("franka", "twin"):
            with pytest.raises(MissingExtraError, match=r"h2r-bench\[real\]"):
                make_arm(arm, "172.16.0.2")
    else:
        with pytest.raises(ArmError, match="--host"):
            make_arm("franka")
        with pytest.raises(UnknownNameError, match="Franka model"):
            make_arm("franka", "172.16.0.2", {"model": "fr2"})


def test_the_robot_computer_needs_no_torch() -> None:
    """Every module of the bridge that a robot's computer loads, in an interpreter of its own."""
    modules = (
        "arms arms.franka arms.xarm arms.lerobot twin.twin_arm twin.twin_client calibrate "
        "safety.startup_checks safety.emergency_stop safety trials"
    )
    code = "import sys\n" + "\n".join(f"import h2r_bench.real.{name}" for name in modules.split())
    heavy = "('torch', 'diffusers', 'stable_baselines3', 'transformers', 'franky', 'xarm', 'lerobot')"
    code += f"\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
