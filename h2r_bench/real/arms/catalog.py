"""The arms by name. No driver is imported before an arm is made."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from h2r_bench import ranges
from h2r_bench.real.arms.base import Arm, ArmError
from h2r_bench.registry import Registry, UnknownNameError


@dataclass(frozen=True)
class ArmSpec:
    """Where an arm's driver is found."""

    target: str
    """The class, as "package.module:Class"; it is made from its own `Config` dataclass."""
    summary: str = ""
    """One line for `--help`."""

    def find(self) -> Any:
        """The class itself. Raises ArmError."""
        module_name, _, class_name = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), class_name)
        except (ModuleNotFoundError, AttributeError) as error:
            raise ArmError(f"there is no arm {self.target!r}: {error}") from error


ARMS: Registry[ArmSpec] = Registry("arm")
for _name, _target, _summary in (
    ("franka", "h2r_bench.real.arms.franka:FrankaArm", "Franka Panda or FR3, by libfranka"),
    ("xarm", "h2r_bench.real.arms.xarm:XArm", "UFACTORY xArm, by its SDK"),
    ("lerobot", "h2r_bench.real.arms.lerobot:LeRobotArm", "any LeRobot robot, by import path"),
    ("twin", "h2r_bench.real.twin.twin_arm:TwinArm", "the simulated bench behind Franka's own protocol"),
):
    ARMS.add(_name, ArmSpec(_target, _summary))


@dataclass(frozen=True)
class ArmConfig:
    """Which arm, and how it is reached."""

    arm: str = "twin"
    """franka, xarm, lerobot, twin, or package.module:Class."""
    host: str = ""
    """Address of the arm; the twin starts one of its own where none is given."""
    arm_option: tuple[str, ...] = ()
    """Further settings of the driver, as name=value."""

    def make(self) -> Arm:
        """The arm, not yet connected. Raises UnknownNameError, ArmError, MissingExtraError."""
        options = dict(_option(text) for text in self.arm_option)
        return make_arm(self.arm, self.host, options)


def make_arm(name: str, host: str = "", options: Mapping[str, str] | None = None) -> Arm:
    """The arm called `name`, or the class "package.module:Class", not yet connected.

    Args:
        name: see `ARMS`.
        host: address of the arm.
        options: fields of the driver's `Config`, as text.

    Raises:
        UnknownNameError: no such arm, or no such option.
        ArmError: an option makes no sense.
        MissingExtraError: the driver is not installed.
    """
    spec = ArmSpec(name) if ":" in name else ARMS.get(name)
    driver = spec.find()
    given = {**({"host": host} if host else {}), **(options or {})}
    hints = get_type_hints(driver.Config)
    fields = {entry.name for entry in dataclasses.fields(driver.Config)}
    values = {key: _read(key, text, hints, fields) for key, text in given.items()}
    try:
        config = driver.Config(**values)
        ranges.check(config, "arm option ")
        arm: Arm = driver(config)
    except (TypeError, ranges.RangeError) as error:
        raise ArmError(f"arm {name!r}: {error}") from error
    return arm


def _read(key: str, text: str, hints: Mapping[str, Any], fields: set[str]) -> Any:
    """One option in the type its field has."""
    if key not in fields:
        raise UnknownNameError("arm option", key, sorted(fields))
    try:
        if hints[key] is bool:
            return {"true": True, "false": False}[text.lower()]
        if hints[key] in (int, float):
            return hints[key](text)
        if hints[key] is str:
            return text
        return tuple(float(part) for part in text.split(","))
    except (KeyError, ValueError):
        raise ArmError(f"arm option {key}={text!r} cannot be read") from None


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ArmError(f"an arm option has the form name=value, got {text!r}")
    return key, value
