"""Runs a session: set up, drive, judge, and again, until every run has a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from h2r_bench.envs.env import EXTRA_SECONDS
from h2r_bench.evaluation.film import TrialVideo
from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.cameras import CameraError, Frame
from h2r_bench.real.errors import BridgeError, SetupError
from h2r_bench.real.operator.base import Answer, Operator, Void
from h2r_bench.real.safety.emergency_stop import EmergencyStop
from h2r_bench.real.scene_cards.cards import SceneCard
from h2r_bench.real.session.control_loop import (
    Tick,
    TrialFaultError,
    TrialMeasurements,
    TrialStoppedError,
    Workcell,
    drive,
)
from h2r_bench.real.session.demos import resized
from h2r_bench.real.session.policies_under_test import PolicyUnderTest
from h2r_bench.real.session.policy_runner import make_policy_runner
from h2r_bench.real.session.session import DONE, FAULT, STARTED, UNDO, VERDICT, VOID, Session, write_json
from h2r_bench.types import CONTROL_HZ, AgentError, Demonstration, PrivilegedAgent

PARK = (0.32, 0.0, 0.40)
"""Where the tool waits while a person sets up the table [m]: high and near the base, out of the picture."""
APPROACH_SPEED = 0.12
"""Speed between trials [m/s]."""
RISE_S = 15.0
"""How long the arm may take to rise with the gripper as it is [s]."""
RECOVERY_S = 10.0
"""How long an arm may complain before a trial [s]."""
MAX_FAULTS = 2
"""After so many faults in one run a person has to look."""
FILM_SIZE = (424, 240)
"""Largest width and height of each half of a trial's video [pixels]."""


class SessionStoppedError(BridgeError):
    """The session was left before its end; the same command goes on with it."""


class Runner:
    """One session on one bench."""

    def __init__(
        self,
        session: Session,
        cards: Sequence[SceneCard],
        tested_policies: Sequence[PolicyUnderTest],
        workcell: Workcell,
        operator: Operator,
        versions: dict[str, str],
    ) -> None:
        """Run `session`; `versions` are added to every record, for what shapes a result on an arm."""
        self._session, self._cards, self._tested_policies = session, cards, tested_policies
        self._workcell, self._operator, self._versions = workcell, operator, versions
        self._policy_runners = [
            make_policy_runner(each.agent, workcell.arm.clock) for each in tested_policies
        ]
        self._faults = 0

    def run(self) -> None:
        """Everything that is left to do.

        Raises:
            SessionStoppedError: a person wants to go on later, or has to look at the arm.
        """
        fresh: int | None = None
        for run in self._session.open_runs():
            if self._session.standing.awaiting == run:
                self._judge(run, fresh=fresh == run)
            elif self._attempt(run):
                fresh = run

    # --- one run -------------------------------------------------------------------------------------------

    def _attempt(self, run: int) -> bool:
        """Set up and drive `run` once; whether it came to its end. Its verdict is a step of its own."""
        trial, who = self._session.plan.run(run)
        card, label = self._cards[trial], self._session.label(run)
        folder = self._session.run_folder(run)
        folder.mkdir(exist_ok=True)
        with EmergencyStop(self._workcell.arm.emergency_stop):
            self._park()
        answer = self._operator.set_up(card, label, folder)
        if answer is Answer.UNDO:
            self._undo()
            return False
        if answer is Answer.QUIT:
            raise SessionStoppedError("stopped on request")
        self._session.note(STARTED, run)
        try:
            with EmergencyStop(self._workcell.arm.emergency_stop):
                measured, stopped = self._drive(card, who, label, folder)
        except (TrialFaultError, AgentError, ArmError, CameraError) as error:
            self._fault(run, str(error))
            return False
        result = {**asdict(measured), "stopped": stopped, "versions": self._versions}
        self._session.note(DONE, run, result=result)
        self._faults = 0
        return True

    def _drive(self, card: SceneCard, who: int, label: str, folder: Path) -> tuple[TrialMeasurements, bool]:
        """One trial of policy number `who`, filmed from its start pose on; whether a person stopped it."""
        tested_policy, policy_runner = self._tested_policies[who], self._policy_runners[who]
        if policy_runner.busy:
            raise SessionStoppedError(
                "a policy still computes what it was asked in a run before: start again"
            )
        demonstration = self._operator.demonstration(card)
        horizon = len(demonstration) + round(EXTRA_SECONDS * CONTROL_HZ)
        write_json(folder / "card.json", {**card.describe(), "horizon": horizon})
        self._wait_until_well()
        self._go_to_start(card)
        reset_agent(tested_policy, demonstration, card, self._operator)
        film, steps = ArmTrialFilm(demonstration, self._workcell), folder / "steps.jsonl"
        steps.unlink(missing_ok=True)

        def watch(tick: Tick, frame: Frame) -> None:
            film.add(tick, frame)
            did = ", ".join(each["kind"] for each in tick.interventions)
            self._operator.progress(label, tick.step + 1, horizon, did)

        try:
            seen = resized(demonstration, tested_policy.image_size)
            return drive(self._workcell, policy_runner, seen, card.instruction, horizon, steps, watch), False
        except TrialStoppedError as error:
            self._operator.tell(str(error))
            return TrialMeasurements(steps=len(film.video)), True
        finally:
            film.save(folder / "video.mp4")

    def _judge(self, run: int, *, fresh: bool) -> None:
        """Have the run judged that waits for it."""
        trial, _ = self._session.plan.run(run)
        stopped = bool(self._session.standing.results[run].get("stopped"))
        folder = self._session.run_folder(run)
        verdict = self._operator.judge(self._cards[trial], folder, fresh=fresh, stopped=stopped)
        if isinstance(verdict, Answer):
            raise SessionStoppedError("stopped on request; that run waits for its verdict")
        if isinstance(verdict, Void):
            self._session.note(VOID, run, reason=verdict.reason)
        else:
            self._session.note(VERDICT, run, verdict=verdict.to_dict())
        if self._workcell.arm.stopped:
            raise SessionStoppedError("the arm was stopped in an emergency: look at it, then go on")

    def _undo(self) -> None:
        """Take the last verdict back, if there is one."""
        order = self._session.standing.order
        if not order:
            self._operator.tell("there is no verdict to take back")
            return
        self._session.note(UNDO, order[-1])

    def _fault(self, run: int, reason: str) -> None:
        """Write a fault down; the run is repeated, unless it keeps failing."""
        self._session.note(FAULT, run, reason=reason)
        self._operator.tell(f"{self._session.label(run)} does not count: {reason}")
        self._faults += 1
        if self._faults >= MAX_FAULTS:
            raise SessionStoppedError(f"{MAX_FAULTS} faults, the last one: {reason}")

    # --- between runs --------------------------------------------------------------------------------------

    def _park(self) -> None:
        """Rise, then go out of the picture, gripper open."""
        arm = self._workcell.arm
        try:
            self._rise()
            arm.move_to(np.array(PARK), np.zeros(3), speed=APPROACH_SPEED)
            arm.grip(True)
        except ArmError as error:
            raise SessionStoppedError(f"the arm cannot be parked: {error}") from error

    def _rise(self) -> None:
        """Go straight up as the gripper is turned, or, from where that leads nowhere, turning upright."""
        arm = self._workcell.arm
        here = arm.read_state()
        up = np.clip([*here.position[:2], max(PARK[2], here.position[2])], *arm.limits.box)
        try:
            arm.move_to(up, here.rotation, speed=APPROACH_SPEED, timeout_s=RISE_S)
        except ArmError:
            arm.move_to(up, np.zeros(3), speed=APPROACH_SPEED)

    def _wait_until_well(self) -> None:
        """Give a gripper or a network that was silent the time to come back. Raises TrialFaultError."""
        clock = self._workcell.arm.clock
        until = clock.now() + RECOVERY_S
        while faults := self._workcell.arm.read_state().faults:
            if clock.now() > until:
                raise TrialFaultError(f"the arm reports: {', '.join(faults)}")
            clock.sleep_until(clock.now() + 1.0 / CONTROL_HZ)

    def _go_to_start(self, card: SceneCard) -> None:
        """Over the start, then down to it."""
        arm, start = self._workcell.arm, card.start
        over = np.array([*start.position[:2], PARK[2]])
        arm.move_to(over, start.rotvec, speed=APPROACH_SPEED)
        arm.move_to(start.position, start.rotvec, speed=APPROACH_SPEED)


def reset_agent(
    tested_policy: PolicyUnderTest, demonstration: Demonstration, card: SceneCard, operator: Operator
) -> None:
    """Give the agent its task. Raises SetupError when it cannot take it."""
    if isinstance(tested_policy.agent, PrivilegedAgent):
        tested_policy.agent.bind(operator.scene_handle)
    try:
        tested_policy.agent.reset(
            resized(demonstration, tested_policy.image_size), card.instruction, card.seed
        )
    except ValueError as error:
        raise SetupError(f"one of the policies refuses: {error}") from None


def act_dry(
    workcell: Workcell, tested_policy: PolicyUnderTest, card: SceneCard, operator: Operator, log: Path
) -> TrialMeasurements:
    """A trial's loop from where the arm stands, on a bench whose arm is not told."""
    demonstration = operator.demonstration(card)
    reset_agent(tested_policy, demonstration, card, operator)
    seen = resized(demonstration, tested_policy.image_size)
    policy_runner = make_policy_runner(tested_policy.agent, workcell.arm.clock)
    return drive(workcell, policy_runner, seen, card.instruction, len(demonstration), log)


class ArmTrialFilm:
    """The video of a trial: the human's frame beside the camera's."""

    def __init__(self, demonstration: Demonstration, workcell: Workcell) -> None:
        self._size = film_size(demonstration)
        self._demonstration = resized(demonstration, self._size)
        self._view = workcell.view
        self.video = TrialVideo()

    def add(self, tick: Tick, frame: Frame) -> None:
        """Keep what was seen in this step."""
        self.video.add(self._demonstration, tick.step, self._view.image(frame.image, self._size))

    def save(self, path: Path) -> None:
        """Write it, if there is anything to see."""
        if len(self.video):
            self.video.save(path)


def film_size(demonstration: Demonstration) -> tuple[int, int]:
    """Width and height [pixels] of each half: the demonstration's shape, at most `FILM_SIZE`."""
    height, width = demonstration.frames.shape[1:3]
    scale = min(1.0, FILM_SIZE[0] / width, FILM_SIZE[1] / height)
    return max(2, round(width * scale)), max(2, round(height * scale))


def describe_workcell(arm: Any, camera: str) -> dict[str, str]:
    """What of the bench is recorded with every trial."""
    loosened = arm.limits.loosened()
    limits = f"loosened: {', '.join(loosened)}" if loosened else "default"
    return {"arm": arm.arm.name, "camera": camera, "limits": limits}
