"""The interface: what environments, agents, datasets and real robots exchange, and nothing else.

Environments and policies know nothing of each other; both know this module.

Frames. Everything is expressed in the *robot base frame*: x forward from the base, y to the robot's left,
z up, in metres; the table top is z = 0. The *tool frame* sits between the finger tips. Its orientation is
given relative to *gripper-down*: the identity is the gripper pointing straight down with its fingers opening
along y, and a rotation about z is a yaw of the gripper.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypedDict, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from h2r_bench.ranges import Positive, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]

CONTROL_HZ = 10.0
"""Rate of observations, actions and video frames [Hz]."""

CLIP_LENGTH = 30
"""Frames of the demonstration in one observation (the paper's T, section 4.1)."""

INSTRUCTION_BYTES = 128
"""Length of the zero-padded UTF-8 task text in an observation."""

STATE_DIM = 10
"""Position (3, m), 6-D rotation (6), gripper opening (1, 0 closed .. 1 open)."""

ACTION_DIM = 7
"""Position (3, m), rotation vector relative to gripper-down (3, rad), gripper (1)."""

DEFAULT_IMAGE_SIZE = (128, 128)
"""Width and height [pixels] of the compact camera image."""

GRIPPER_OPENS_ABOVE = 0.6
GRIPPER_CLOSES_BELOW = 0.4
"""Hysteresis of the binary gripper command; in between it keeps what it did."""

MAX_FAILURE_LENGTH = 200
"""Longest message of an `AgentError` [characters]: what a server answers can be a whole traceback."""

SERVED_AT = "at "
"""What `weights` in a record begins with where only the address of a policy server is known."""


Demo = Literal["matched", "wrong", "blank", "reversed", "frozen", "counterfactual"]
"""How the demonstration relates to the scene: the true one, or a control
(`h2r_bench.envs.demonstration.demo_controls`)."""


class Observation(TypedDict):
    """What an agent sees at each control step.

    | key | dtype | shape | meaning |
    |---|---|---|---|
    | `image` | uint8 | (H, W, 3) | third-person robot view, RGB |
    | `state` | float32 | (10,) | tool position [m], 6-D rotation, gripper opening [0..1] |
    | `human_clip` | uint8 | (30, H, W, 3) | the next 30 frames of the demonstration, last one repeated |
    | `instruction` | uint8 | (128,) | the task in words, UTF-8, zero padded |
    """

    image: UInt8Array
    state: Float32Array
    human_clip: UInt8Array
    instruction: UInt8Array


@dataclass(frozen=True)
class MotionLimits:
    """Limits on commanded motion, shared by `env.step` and the real-robot bridge."""

    workspace_low: tuple[float, float, float] = (0.28, -0.36, 0.004)
    """Lower corner of the allowed tool positions [m], robot base frame."""
    workspace_high: tuple[float, float, float] = (0.74, 0.36, 0.45)
    """Upper corner of the allowed tool positions [m], robot base frame."""
    max_speed: Positive = 0.5
    """Fastest tool translation [m/s]."""
    max_rotation_speed: Positive = 2.0
    """Fastest tool rotation [rad/s]."""
    max_tilt: Annotated[float, Range(0.0, math.pi)] = 0.8
    """Largest angle between the gripper's approach axis and straight down [rad]."""
    max_yaw: Annotated[float, Range(0.0, math.pi)] = 2.6
    """Largest turn of the gripper about the vertical, either way [rad]."""


DEFAULT_LIMITS = MotionLimits()


def observation_space(image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE) -> spaces.Dict:
    """The Gymnasium space of `Observation` for images of `image_size` (width, height) [pixels]."""
    width, height = image_size
    return spaces.Dict(
        {
            "image": spaces.Box(0, 255, (height, width, 3), np.uint8),
            "state": state_space(),
            "human_clip": spaces.Box(0, 255, (CLIP_LENGTH, height, width, 3), np.uint8),
            "instruction": spaces.Box(0, 255, (INSTRUCTION_BYTES,), np.uint8),
        }
    )


def state_space() -> spaces.Box:
    """The Gymnasium space of the proprioceptive state, shape (10,)."""
    low = np.array([-2.0] * 3 + [-1.1] * 6 + [0.0], np.float32)
    high = np.array([2.0] * 3 + [1.1] * 6 + [1.0], np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def action_space(limits: MotionLimits = DEFAULT_LIMITS) -> spaces.Box:
    """The Gymnasium space of actions, shape (7,): absolute tool target in the robot base frame."""
    low = np.array([*limits.workspace_low, -np.pi, -np.pi, -np.pi, 0.0], np.float32)
    high = np.array([*limits.workspace_high, np.pi, np.pi, np.pi, 1.0], np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def encode_instruction(text: str) -> UInt8Array:
    """Zero-padded UTF-8 of `text`, shape (128,). Raises ValueError when it does not fit."""
    raw = text.encode()
    if len(raw) > INSTRUCTION_BYTES:
        raise ValueError(f"instruction has {len(raw)} bytes, at most {INSTRUCTION_BYTES} fit: {text!r}")
    return np.frombuffer(raw.ljust(INSTRUCTION_BYTES, b"\0"), np.uint8).copy()


def decode_instruction(code: UInt8Array) -> str:
    """The text of an encoded instruction, shape (128,)."""
    return bytes(code.tobytes()).rstrip(b"\0").decode()


@dataclass(frozen=True)
class GroundTruth:
    """What the simulator knows of a demonstration and its viewer does not."""

    tool_pose: Float32Array
    """Shape (T, 6): pinch point [m] and rotation vector relative to gripper-down [rad] of the hand."""
    opening: Float32Array
    """Shape (T,): opening of the hand, 0 closed .. 1 open."""
    object_pose: Float32Array
    """Shape (T, K, 9): position [m] and 6-D rotation of each prop."""
    gripper: Float32Array
    """Shape (T,): the script's gripper command, 0 closes, 1 opens."""


@dataclass(frozen=True)
class Demonstration:
    """One human video."""

    frames: UInt8Array
    """Shape (T, H, W, 3), RGB."""
    rate_hz: float
    """Frames per second [Hz]."""
    instruction: str
    """The task in words."""
    truth: GroundTruth | None = None
    """Only for simulated demonstrations."""
    domain: str = "basic"
    """Training domain of the task, `basic` or `writing`: agents with a decoder for each choose by it."""

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def clip(self, start: int, length: int = CLIP_LENGTH) -> UInt8Array:
        """Frames `start` .. `start + length`, shape (length, H, W, 3), the last frame repeated at the end."""
        index = np.clip(np.arange(start, start + length), 0, len(self) - 1)
        return self.frames[index]


@dataclass(frozen=True)
class Episode:
    """One paired episode: the human video and the robot video of the same script, frame for frame."""

    human: UInt8Array
    """Shape (T, H, W, 3), RGB."""
    robot: UInt8Array
    """Shape (T, H, W, 3), RGB: the view *before* `action[t]` is taken."""
    state: Float32Array
    """Shape (T, 10)."""
    action: Float32Array
    """Shape (T, 7)."""
    hand_pose: Float32Array
    """Shape (T, 6): true pinch point [m] and rotation vector [rad] in the human's scene."""
    hand_opening: Float32Array
    """Shape (T,): 0 closed .. 1 open."""
    human_frame_index: NDArray[np.int64]
    """Shape (T,): index of the human frame that is synchronous with robot frame t."""
    task: str
    instruction: str
    success: bool
    seed: int
    world: int
    cue: str = "scene"
    shift_cm: float = 0.0
    scene: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able description of the scenes and the goal: kinds, colours, positions."""
    object_pose: Float32Array | None = None
    """Shape (T, K, 9): position [m] and 6-D rotation of each prop, robot's scene; None where unknown."""
    failures: tuple[str, ...] = ()
    """Why plays that were drawn before this one, and failed, had failed."""

    def __len__(self) -> int:
        return int(self.robot.shape[0])


class AgentError(RuntimeError):
    """The agent cannot act in this trial. The trial has failed and the run goes on.

    The message is one line and becomes the record's `failure`. For what lies outside the process and may
    work again in the next trial (a server that is late or answers nonsense), not for bugs in an agent.
    """

    def __init__(self, message: str) -> None:
        line = _joined(message) or "the agent could not act"
        super().__init__(line if len(line) <= MAX_FAILURE_LENGTH else line[: MAX_FAILURE_LENGTH - 3] + "...")


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks; its kind where it says nothing."""
    return _joined(str(error)) or type(error).__name__


def _joined(text: str) -> str:
    return " ".join(text.split())


@runtime_checkable
class Agent(Protocol):
    """A policy: two methods. All its randomness is keyed by the seed given at reset and the step."""

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Start a trial."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Stable-Baselines3's signature: returns the action, shape (7,) or batched (B, 7), and `state`."""


@runtime_checkable
class PrivilegedAgent(Agent, Protocol):
    """An agent that looks into the simulator (expert, replay) and is given the environment."""

    def bind(self, env: Any) -> None:
        """Receive the unwrapped environment before `reset`."""


@runtime_checkable
class ImaginingAgent(Agent, Protocol):
    """An agent that pictures what the robot will do before it acts; films of its trials show it."""

    def imagine(self, step: int) -> UInt8Array:
        """The robot's view (H, W, 3) at control step `step`, imagined; `predict` has just answered it.

        It may cost much more than acting does, and changes nothing of how the agent acts.
        """


@runtime_checkable
class ChunkAgent(Agent, Protocol):
    """An agent that can be asked for a chunk of actions while the previous one is carried out."""

    execute: int | None
    """Control steps after which a new chunk is wanted; None: after half of the last one."""

    def plan(self, observation: Any, step: int) -> Float32Array:
        """The actions (n, 7) of the control steps `step`, `step + 1`, ... from the observation of `step`."""


@dataclass(frozen=True)
class AgentInfo:
    """What an agent says of itself beyond its methods, with what holds for one that does not say it.

    An agent says it by attributes of these names, or all at once by an attribute `agent_info`.
    """

    reads: tuple[str, ...] = tuple(Observation.__annotations__)
    """Entries of the observation that it looks at."""
    image_size: tuple[int, int] | None = None
    """Width and height of the pictures it was made for [pixels]; None for any."""
    needs_images: bool = True
    """Whether it looks at pictures: where it does not, none are drawn."""
    needs_truth: bool = False
    """Whether it reads the simulator's knowledge of the hand."""
    domains: tuple[str, ...] | None = None
    """Training domains of tasks that its weights know; None for any."""
    weights_hash: str | None = None
    """What stands for its weights in records; None for an agent without."""
    world: int | None = None
    """World version of the data that its weights were trained on, if known."""
    execute: int | None = None
    """Control steps after which a new chunk is wanted; None: after half of the last one."""
    imagine: Callable[[int], UInt8Array] | None = None
    """See `ImaginingAgent`; None for an agent that pictures nothing."""

    @classmethod
    def of(cls, agent: Any) -> AgentInfo:
        """What `agent` says of itself now."""
        whole = getattr(agent, "agent_info", None)
        if isinstance(whole, cls):
            return whole
        said = {entry.name: getattr(agent, entry.name, None) for entry in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in said.items() if value is not None})


def options_of(agent_class: Any) -> Any:
    """The dataclass of an agent's settings (`h2r_bench.policies.options`); None for a class without."""
    return getattr(agent_class, "Options", None)


def has_weights(agent_class: Any) -> bool:
    """Whether a class of agents is made from weights, by `from_pretrained(path or None)`."""
    return hasattr(agent_class, "from_pretrained")
