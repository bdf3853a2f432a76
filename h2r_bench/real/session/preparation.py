"""What comes before a session: policies, cards, arm and camera, checked before anything moves."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from h2r_bench.ranges import Count, Index, NotNegative, Port
from h2r_bench.real.arms.base import Arm
from h2r_bench.real.arms.catalog import ArmConfig
from h2r_bench.real.arms.dry_run import DryArm
from h2r_bench.real.cameras import Camera, CameraConfig, View, make_camera
from h2r_bench.real.cameras.catalog import load_view
from h2r_bench.real.cameras.twin_camera import TwinCamera
from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.base import Operator
from h2r_bench.real.operator.demo_recorder import Recorder
from h2r_bench.real.operator.human import HumanOperator, LiveCard
from h2r_bench.real.operator.live_page import LivePage
from h2r_bench.real.operator.simulated import SimulatedArm, SimulatedOperator
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.safety.safe_arm import SafeArm, SafetyLimits
from h2r_bench.real.safety.startup_checks import camera_check, refuse_unless_passed, startup_checks
from h2r_bench.real.scene_cards.cards import SceneCard, draw_cards, refuse_unreal
from h2r_bench.real.session.control_loop import Workcell
from h2r_bench.real.session.policies_under_test import PolicyUnderTest, check_policy, load_policies
from h2r_bench.real.session.results import refuse_overlap
from h2r_bench.real.session.session import Session, SessionPlan
from h2r_bench.real.session.session_runner import Runner, act_dry, describe_workcell
from h2r_bench.real.setup.calibrating import DEFAULT_CALIBRATION
from h2r_bench.real.setup.calibration import require_calibration


@dataclass(frozen=True)
class TrialsConfig:
    """Measure policies on an arm."""

    task: str
    """Name of the task."""
    policy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A policy, as [LABEL=]NAME[,OPTION=VALUE]...; give it several times to compare several."""
    url: str = ""
    """Address of the policy server, for policies that run on another machine (`remote`)."""
    trials: Count = 20
    """How many scenes; every policy runs once in each."""
    seed: Index = 0
    """Seed of the scenes: the same seed, the same scenes as in the simulator."""
    cue: Literal["scene", "video"] = "scene"
    """Who says what to do: the scene itself, or only the video and the words."""
    shift: NotNegative = 0.0
    """Layout shift between the human's scene and the robot's [cm]."""
    out: Path = Path("runs/real")
    """Folder for records, videos and the session's files."""
    demos: Path = Path("lab/demos")
    """Folder of human demonstrations, see `python -m h2r_bench.real.record`."""
    calibration: Path = DEFAULT_CALIBRATION
    """What `python -m h2r_bench.real.calibrate` saved."""
    port: Port = 8787
    """Port on loopback of the page that shows the scene over the live view; 0 for no page."""
    dry_run: bool = False
    """Every policy once on the first scene, with camera, arm and limits, but nothing moves or is recorded."""
    arm: Annotated[ArmConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ArmConfig)
    camera: Annotated[CameraConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=CameraConfig)
    limits: SafetyLimits = field(default_factory=SafetyLimits)


ArmMaker = Callable[[TrialsConfig], Arm]


def prepare(
    config: TrialsConfig,
    tested_policies: list[PolicyUnderTest],
    cards: list[SceneCard],
    make: ArmMaker,
    terminal: Terminal,
    stack: contextlib.ExitStack,
) -> tuple[Session, Runner | None]:
    """Check everything that can be checked before anything moves, and put the session together.

    Whatever has to be closed is put on `stack`. There is no runner for a session that is complete.

    Raises:
        SetupError: with one line that says what is wrong and what to do.
        BridgeError: the arm or the camera cannot be reached.
    """
    arm = make_calibrated(config, make)
    session = Session.open(
        session_folder(config, cards[0].task), plan_of(config, cards, tested_policies, arm)
    )
    if session.passed_over:
        terminal.say(
            f"{len(session.passed_over)} lines of the journal contradict those before and do not count: "
            f"{'; '.join(session.passed_over[:3])}",
            "yellow",
        )
    refuse_overlap(config.out, session)
    if len(session.standing.verdicts) == session.plan.runs:
        return session, None
    workcell = stack.enter_context(open_workcell(config, arm, terminal))
    check_all(tested_policies, workcell, arm)
    operator = stack.enter_context(open_operator(config, arm, workcell, terminal))
    operator.check(cards)
    versions = describe_workcell(workcell.arm, workcell.camera.name)
    return session, Runner(session, cards, tested_policies, workcell, operator, versions)


def dry_run(config: TrialsConfig, make: ArmMaker, terminal: Terminal, stack: contextlib.ExitStack) -> None:
    """Let every policy act on the first scene without telling the arm; say what would have happened.

    Raises as `prepare` does.
    """
    tested_policies, cards = policies_and_cards(replace(config, trials=1))
    arm = make_calibrated(config, make)
    workcell = stack.enter_context(open_workcell(config, arm, terminal))
    check_all(tested_policies, workcell, arm)
    operator = stack.enter_context(open_operator(config, arm, workcell, terminal))
    with tempfile.TemporaryDirectory() as folder:
        operator.set_up(cards[0], "dry run", Path(folder))
        for tested_policy in tested_policies:
            found = act_dry(workcell, tested_policy, cards[0], operator, Path(folder) / "steps.jsonl")
            terminal.say(f"{tested_policy.label}: {found.rate_hz:.2f} actions a second")
            terminal.say(
                f"  frame to command {found.latency_ms:.0f} ms, 95 % within {found.latency_p95_ms:.0f}"
            )
            held = ", ".join(f"{kind} {count} times" for kind, count in found.interventions.items())
            terminal.say(
                f"  {found.missed} of {found.steps} steps missed; limits: {held or 'never in the way'}"
            )


def policies_and_cards(config: TrialsConfig) -> tuple[list[PolicyUnderTest], list[SceneCard]]:
    """The policies and the scenes. Raises SetupError, UnknownNameError."""
    refuse_unreal(config.task)
    tested_policies = load_policies(config.policy, config.url)
    drawn = {"shift_cm": config.shift, "seed": config.seed, "trials": config.trials}
    return tested_policies, draw_cards(config.task, cue=config.cue, **drawn)  # type: ignore[arg-type]


def check_all(tested_policies: Sequence[PolicyUnderTest], workcell: Workcell, arm: Arm) -> None:
    """Raise SetupError when the bench cannot give what one of the policies needs."""
    frame = workcell.camera.latest(timeout_s=5.0).image
    for tested_policy in tested_policies:
        size = (frame.shape[1], frame.shape[0])
        check_policy(tested_policy, workcell.view, size, privileged_allowed=isinstance(arm, SimulatedArm))


def make_calibrated(config: TrialsConfig, make: ArmMaker) -> Arm:
    """The arm, told where its base stands. Raises CalibrationError for a physical one without calibration."""
    arm = make(config)
    if isinstance(arm, SimulatedArm):
        return arm
    known = require_calibration(config.calibration, config.arm.arm, config.arm.host)
    options = (*config.arm.arm_option, known.mount_option)
    return make(replace(config, arm=replace(config.arm, arm_option=options)))


def session_folder(config: TrialsConfig, task: str) -> Path:
    """Where the session's own files go."""
    return config.out / "sessions" / f"{task}_{config.cue}_shift{config.shift:g}_seed{config.seed}"


def plan_of(
    config: TrialsConfig, cards: Sequence[SceneCard], tested_policies: Sequence[PolicyUnderTest], arm: Arm
) -> SessionPlan:
    """What the session is made of."""
    from h2r_bench.envs import WORLD_VERSION

    return SessionPlan(
        task=cards[0].task,
        cue=config.cue,
        shift_cm=float(config.shift),
        seed=config.seed,
        trials=config.trials,
        policies=tuple(tested_policy.label for tested_policy in tested_policies),
        weights=tuple(tested_policy.weights for tested_policy in tested_policies),
        arm=arm.name,
        limits=", ".join(config.limits.loosened()),
        world=WORLD_VERSION,
    )


@contextlib.contextmanager
def open_workcell(config: TrialsConfig, arm: Arm, terminal: Terminal) -> Iterator[Workcell]:
    """Arm and camera, connected, behind the safety limits; the check list is passed.

    Raises ArmError or CameraError, with the remedy.
    """
    safe = SafeArm(DryArm(arm) if config.dry_run else arm, config.limits)
    view = View() if isinstance(arm, SimulatedArm) else load_view(config.camera)
    safe.connect()
    camera: Camera | None = None
    try:
        camera = (
            TwinCamera(arm.twin, arm.clock) if isinstance(arm, SimulatedArm) else make_camera(config.camera)
        )
        camera.open()
        refuse_unless_passed([*startup_checks(safe), camera_check(camera, config.limits)], terminal.say)
        yield Workcell(safe, camera, view)
    finally:
        if camera is not None:
            camera.close()
        safe.close()


@contextlib.contextmanager
def open_operator(
    config: TrialsConfig, arm: Arm, workcell: Workcell, terminal: Terminal
) -> Iterator[Operator]:
    """The simulator where there is one, else the operator. Raises SetupError where there is neither."""
    if isinstance(arm, SimulatedArm):
        yield SimulatedOperator(arm.twin, terminal.console)
        return
    if not terminal.interactive:
        raise SetupError(
            "a person has to set up and judge: run this in a terminal, or rehearse with --arm twin"
        )
    live = LiveCard(workcell.camera, workcell.view)
    page = LivePage(live.picture, config.port) if config.port else None
    try:
        recorder = Recorder(terminal, workcell.camera, workcell.view, config.demos)
        yield HumanOperator(terminal, live, page, recorder, config.demos)
    finally:
        if page is not None:
            page.close()
