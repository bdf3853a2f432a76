"""`python -m h2r_bench.real.trials`: measure policies on an arm, blinded, scene card by scene card.

A session that was stopped, for whatever reason, goes on where it was when the same command is given again.
Which policy ran when is shown once every run has its verdict.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from h2r_bench.cli import parse
from h2r_bench.ranges import Count, Index, NotNegative, Port
from h2r_bench.real.arms.base import Arm
from h2r_bench.real.arms.catalog import ArmConfig
from h2r_bench.real.arms.dry import DryArm
from h2r_bench.real.calibrate import DEFAULT_CALIBRATION
from h2r_bench.real.calibration import require_calibration
from h2r_bench.real.cameras import Camera, CameraConfig, View, make_camera
from h2r_bench.real.cameras.catalog import load_view
from h2r_bench.real.cameras.twin import TwinCamera
from h2r_bench.real.cards import SceneCard, draw_cards, refuse_unreal
from h2r_bench.real.checks import camera_check, refuse_unless_passed, startup_checks
from h2r_bench.real.contenders import Contender, check_contender, load_contenders
from h2r_bench.real.errors import BridgeError, SetupError
from h2r_bench.real.loop import Bench
from h2r_bench.real.page import LivePage
from h2r_bench.real.person import LiveCard, Person
from h2r_bench.real.recorder import Recorder
from h2r_bench.real.rehearsal import Rehearsal, SimulatedArm
from h2r_bench.real.results import refuse_overlap, show_results, unblind
from h2r_bench.real.runner import Runner, SessionStoppedError, act_dry, describe_bench
from h2r_bench.real.safety import SafeArm, SafetyLimits
from h2r_bench.real.session import Session, SessionPlan, only_writer
from h2r_bench.real.supervisor import Supervisor
from h2r_bench.real.terminal import Terminal

BAD_INPUT, NOT_FINISHED, INTERRUPTED = 2, 3, 130
"""Exit statuses: refused as given; stopped before the end, by a fault or on request; Ctrl-C."""


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


def main(
    argv: Sequence[str] | None = None,
    *,
    make: ArmMaker = lambda config: config.arm.make(),
    terminal: Terminal | None = None,
) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    terminal = terminal or Terminal()
    again = shlex.join(["python", "-m", "h2r_bench.real.trials", *argv])
    try:
        config = parse(TrialsConfig, prog="python -m h2r_bench.real.trials", description=__doc__, args=argv)
        if config.dry_run:
            with contextlib.ExitStack() as stack:
                dry_run(config, make, terminal, stack)
            return 0
        contenders, cards = contenders_and_cards(config)
        with only_writer(session_folder(config, cards[0].task)):
            with contextlib.ExitStack() as stack:
                session, runner = prepare(config, contenders, cards, make, terminal, stack)
                if runner is not None:
                    runner.run()
            show_results(session, unblind(session, config.out), terminal.console)
    except SessionStoppedError as error:
        terminal.say(f"\nStopped: {error}. Every verdict is kept. To go on:\n  {again}")
        return NOT_FINISHED
    except (BridgeError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        terminal.say(f"\nStopped; the arm holds. Every verdict is kept. To go on:\n  {again}")
        return INTERRUPTED
    return 0


def prepare(
    config: TrialsConfig,
    contenders: list[Contender],
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
    session = Session.open(session_folder(config, cards[0].task), plan_of(config, cards, contenders, arm))
    if session.passed_over:
        terminal.say(
            f"{len(session.passed_over)} lines of the journal contradict those before and do not count: "
            f"{'; '.join(session.passed_over[:3])}",
            "yellow",
        )
    refuse_overlap(config.out, session)
    if len(session.standing.verdicts) == session.plan.runs:
        return session, None
    bench = stack.enter_context(open_bench(config, arm, terminal))
    check_all(contenders, bench, arm)
    supervisor = stack.enter_context(open_supervisor(config, arm, bench, terminal))
    supervisor.check(cards)
    versions = describe_bench(bench.arm, bench.camera.name)
    return session, Runner(session, cards, contenders, bench, supervisor, versions)


def dry_run(config: TrialsConfig, make: ArmMaker, terminal: Terminal, stack: contextlib.ExitStack) -> None:
    """Let every policy act on the first scene without telling the arm; say what would have happened.

    Raises as `prepare` does.
    """
    contenders, cards = contenders_and_cards(replace(config, trials=1))
    arm = make_calibrated(config, make)
    bench = stack.enter_context(open_bench(config, arm, terminal))
    check_all(contenders, bench, arm)
    supervisor = stack.enter_context(open_supervisor(config, arm, bench, terminal))
    with tempfile.TemporaryDirectory() as folder:
        supervisor.set_up(cards[0], "dry run", Path(folder))
        for contender in contenders:
            found = act_dry(bench, contender, cards[0], supervisor, Path(folder) / "steps.jsonl")
            terminal.say(f"{contender.label}: {found.rate_hz:.2f} actions a second")
            terminal.say(
                f"  frame to command {found.latency_ms:.0f} ms, 95 % within {found.latency_p95_ms:.0f}"
            )
            held = ", ".join(f"{kind} {count} times" for kind, count in found.interventions.items())
            terminal.say(
                f"  {found.missed} of {found.steps} steps missed; limits: {held or 'never in the way'}"
            )


def contenders_and_cards(config: TrialsConfig) -> tuple[list[Contender], list[SceneCard]]:
    """The policies and the scenes. Raises SetupError, UnknownNameError."""
    refuse_unreal(config.task)
    contenders = load_contenders(config.policy, config.url)
    drawn = {"shift_cm": config.shift, "seed": config.seed, "trials": config.trials}
    return contenders, draw_cards(config.task, cue=config.cue, **drawn)  # type: ignore[arg-type]


def check_all(contenders: Sequence[Contender], bench: Bench, arm: Arm) -> None:
    """Raise SetupError when the bench cannot give what one of the policies needs."""
    frame = bench.camera.latest(timeout_s=5.0).image
    for contender in contenders:
        size = (frame.shape[1], frame.shape[0])
        check_contender(contender, bench.view, size, behind_curtain=isinstance(arm, SimulatedArm))


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
    config: TrialsConfig, cards: Sequence[SceneCard], contenders: Sequence[Contender], arm: Arm
) -> SessionPlan:
    """What the session is made of."""
    from h2r_bench.envs import WORLD_VERSION

    return SessionPlan(
        task=cards[0].task,
        cue=config.cue,
        shift_cm=float(config.shift),
        seed=config.seed,
        trials=config.trials,
        policies=tuple(contender.label for contender in contenders),
        weights=tuple(contender.weights for contender in contenders),
        arm=arm.name,
        limits=", ".join(config.limits.loosened()),
        world=WORLD_VERSION,
    )


@contextlib.contextmanager
def open_bench(config: TrialsConfig, arm: Arm, terminal: Terminal) -> Iterator[Bench]:
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
        yield Bench(safe, camera, view)
    finally:
        if camera is not None:
            camera.close()
        safe.close()


@contextlib.contextmanager
def open_supervisor(config: TrialsConfig, arm: Arm, bench: Bench, terminal: Terminal) -> Iterator[Supervisor]:
    """The simulator where there is one, else the operator. Raises SetupError where there is neither."""
    if isinstance(arm, SimulatedArm):
        yield Rehearsal(arm.twin, terminal.console)
        return
    if not terminal.interactive:
        raise SetupError(
            "a person has to set up and judge: run this in a terminal, or rehearse with --arm twin"
        )
    live = LiveCard(bench.camera, bench.view)
    page = LivePage(live.picture, config.port) if config.port else None
    try:
        recorder = Recorder(terminal, bench.camera, bench.view, config.demos)
        yield Person(terminal, live, page, recorder, config.demos)
    finally:
        if page is not None:
            page.close()


if __name__ == "__main__":
    sys.exit(main())
