"""What a policy server and its clients say to each other: openpi's messages, and a few keys of our own.

A server sends its metadata first. Then each request is answered by one reply; an answer of text instead of
bytes is an error. The keys of openpi:

| request | | | reply | |
|---|---|---|---|---|
| `observation/image` | uint8 (H, W, 3) | | `actions` | float (horizon, 7) |
| `observation/state` | float32 (10,) | | `server_timing` | map of milliseconds |
| `prompt` | text | | | |

Ours are sent only to servers whose metadata asks for them: `{"h2r_bench": {"wants": [key, ...]}}`.

| key | when | | meaning |
|---|---|---|---|
| `h2r_bench/human_clip` | always | uint8 (30, H, W, 3) | the next 30 frames of the demonstration |
| `h2r_bench/episode_start` | always | bool | whether a trial begins with this request |
| `h2r_bench/seed` | at the start | int | seed of the trial: all randomness follows from it |
| `h2r_bench/demonstration` | at the start | uint8 (T, H, W, 3) | the whole human video |
| `h2r_bench/rate_hz` | at the start | float | its frames per second [Hz] |
| `h2r_bench/plan_step` | on an arm | int | answer with the whole chunk for the steps from this one on |

Other entries of that metadata, all optional: `needs_images` (bool), `image_size` (width and height [pixels]),
`weights` (a hash), `world` (version that the weights were trained on), `execute` (control steps after which a
new chunk is wanted).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.remote.wire import WireError
from h2r_bench.types import (
    ACTION_DIM,
    CONTROL_HZ,
    STATE_DIM,
    Demonstration,
    Float32Array,
    UInt8Array,
    decode_instruction,
    encode_instruction,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE, STATE, PROMPT = "observation/image", "observation/state", "prompt"
ACTIONS, SERVER_TIMING = "actions", "server_timing"

NAMESPACE = "h2r_bench"
"""Our entry in a server's metadata."""
HUMAN_CLIP = "h2r_bench/human_clip"
EPISODE_START = "h2r_bench/episode_start"
SEED = "h2r_bench/seed"
DEMONSTRATION = "h2r_bench/demonstration"
RATE_HZ = "h2r_bench/rate_hz"
PLAN_STEP = "h2r_bench/plan_step"
EXTRA_KEYS = (HUMAN_CLIP, EPISODE_START, SEED, DEMONSTRATION, RATE_HZ, PLAN_STEP)

MAX_HORIZON = 1000
"""Longest chunk of actions that is believed [control steps]."""
MAX_SEED = 2**63 - 1
MAX_RATE_HZ = 1000.0
_HASH = re.compile(r"[A-Za-z0-9_.+-]{0,64}")


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself, beyond openpi, in its metadata."""

    wants: tuple[str, ...] = ()
    """Which of `EXTRA_KEYS` it wants in requests; none for a plain openpi server."""
    needs_images: bool = True
    """Whether its policy looks at pictures; if not, none need be drawn or sent."""
    image_size: tuple[int, int] | None = None
    """Width and height of the images it was made for [pixels], if it cares."""
    weights: str = ""
    """Hash of its weights; empty if unknown."""
    world: int | None = None
    """World version that the weights were trained on, if known."""
    execute: int | None = None
    """Control steps after which a new chunk is wanted, if it predicts chunks."""

    def to_metadata(self) -> dict[str, Any]:
        """The metadata message."""
        known = {name: value for name, value in vars(self).items() if value not in (None, "")}
        lists = {name: list(value) for name, value in known.items() if isinstance(value, tuple)}
        return {NAMESPACE: known | lists}

    @classmethod
    def from_metadata(cls, metadata: Any) -> ServerInfo:
        """Inverse of `to_metadata`; what is not ours is ignored. Raises WireError for other types."""
        if not isinstance(metadata, dict):
            raise WireError(f"the first message is no metadata but a {type(metadata).__name__}")
        ours = metadata.get(NAMESPACE, {})
        if not isinstance(ours, dict):
            raise WireError(f"metadata {NAMESPACE!r} is no map but a {type(ours).__name__}")
        return cls(
            wants=tuple(key for key in EXTRA_KEYS if key in _entry(ours, "wants", list, [])),
            needs_images=_entry(ours, "needs_images", bool, True),
            image_size=_image_size(ours),
            weights=_weights(ours),
            world=_entry(ours, "world", int, None),
            execute=_execute(ours),
        )


@dataclass(frozen=True)
class Request:
    """A request as the server understands it."""

    observation: dict[str, Any]
    """What there is of `h2r_bench.types.Observation`: always `state` and `instruction`."""
    prompt: str
    start: bool
    """Whether the client says that a trial begins here."""
    seed: int
    demonstration: Demonstration
    """The whole video; without one the clip, and without that no frames."""
    plan_step: int | None = None
    """The step for which a whole chunk is asked; None for the next action."""


def request_message(
    observation: Mapping[str, Any],
    prompt: str,
    start: bool,
    seed: int,
    demonstration: Demonstration | None,
    wants: tuple[str, ...],
    plan_step: int | None = None,
) -> dict[str, Any]:
    """The request for an action: openpi's keys, and those of ours that the server `wants`."""
    extras: dict[str, Any] = {EPISODE_START: start}
    if plan_step is not None:
        extras[PLAN_STEP] = plan_step
    if "human_clip" in observation:
        extras[HUMAN_CLIP] = np.asarray(observation["human_clip"])
    if start:
        extras[SEED] = seed
    if start and demonstration is not None:
        extras |= {DEMONSTRATION: demonstration.frames, RATE_HZ: float(demonstration.rate_hz)}
    message = {STATE: np.asarray(observation["state"], np.float32), PROMPT: prompt}
    if "image" in observation:
        message[IMAGE] = np.asarray(observation["image"])
    return message | {key: value for key, value in extras.items() if key in wants}


def read_request(message: Any) -> Request:
    """The request in `message`. Raises WireError, naming the key, for what makes no sense."""
    if not isinstance(message, dict):
        raise WireError(f"a request is a map, got a {type(message).__name__}")
    prompt = _entry(message, PROMPT, str, "")
    observation: dict[str, Any] = {"state": _state(message), "instruction": _instruction(prompt)}
    if IMAGE in message:
        observation["image"] = _frames(message, IMAGE, ndim=3)
    if HUMAN_CLIP in message:
        observation["human_clip"] = _frames(message, HUMAN_CLIP, ndim=4)
    seed = _entry(message, SEED, int, 0)
    if not 0 <= seed <= MAX_SEED:
        raise WireError(f"{SEED} lies in 0..2^63-1, got {seed}")
    return Request(
        observation,
        prompt,
        _entry(message, EPISODE_START, bool, False),
        seed,
        _demonstration(message, observation.get("human_clip"), prompt),
        _plan_step(message),
    )


def read_actions(reply: Any) -> Float32Array:
    """The actions of a reply, shape (horizon, 7). Raises WireError when they are not that, or not finite."""
    if not isinstance(reply, dict) or ACTIONS not in reply:
        raise WireError(f"the answer has no {ACTIONS!r}")
    actions = reply[ACTIONS]
    if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "fiu":
        raise WireError(f"{ACTIONS} is no array of numbers")
    if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or not 1 <= len(actions) <= MAX_HORIZON:
        raise WireError(f"{ACTIONS} have the shape {actions.shape}, not (horizon, {ACTION_DIM})")
    with np.errstate(over="ignore"):
        narrow: Float32Array = actions.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise WireError(f"{ACTIONS} are not finite")
    return narrow


def instruction_of(observation: Mapping[str, Any]) -> str:
    """The task in words, from an observation."""
    return decode_instruction(np.asarray(observation["instruction"]))


def _entry(fields: Mapping[Any, Any], key: str, kind: type, default: Any) -> Any:
    """`fields[key]`, which must be a `kind`, or the default."""
    value = fields.get(key, default)
    value = value.item() if isinstance(value, np.generic) else value
    if key in fields and type(value) is not kind:
        raise WireError(f"{key} must be {kind.__name__}, got {type(value).__name__}")
    return value


def _weights(fields: Mapping[Any, Any]) -> str:
    weights: str = _entry(fields, "weights", str, "")
    if not _HASH.fullmatch(weights):
        raise WireError(f"weights is a hash of at most 64 letters and digits, got {weights!r:.60}")
    return weights


def _execute(fields: Mapping[Any, Any]) -> int | None:
    steps: int | None = _entry(fields, "execute", int, None)
    if steps is not None and not 1 <= steps <= MAX_HORIZON:
        raise WireError(f"execute is a number of control steps, 1..{MAX_HORIZON}, got {steps}")
    return steps


def _plan_step(fields: Mapping[Any, Any]) -> int | None:
    step: int | None = _entry(fields, PLAN_STEP, int, None)
    if step is not None and not 0 <= step <= MAX_SEED:
        raise WireError(f"{PLAN_STEP} lies in 0..2^63-1, got {step}")
    return step


def _image_size(fields: Mapping[Any, Any]) -> tuple[int, int] | None:
    size = _entry(fields, "image_size", list, None)
    if size is None:
        return None
    if len(size) != 2 or not all(type(side) is int and 16 <= side <= 4096 for side in size):
        raise WireError(f"image_size is [width, height] in pixels, 16..4096, got {size!r:.60}")
    return size[0], size[1]


def _state(message: Mapping[str, Any]) -> Float32Array:
    state = message.get(STATE)
    if not isinstance(state, np.ndarray) or state.shape != (STATE_DIM,) or state.dtype.kind not in "fiu":
        raise WireError(f"{STATE} must be an array of {STATE_DIM} numbers")
    if not np.isfinite(state).all():
        raise WireError(f"{STATE} is not finite")
    return state.astype(np.float32)


def _instruction(prompt: str) -> UInt8Array:
    try:
        return encode_instruction(prompt)
    except ValueError as error:
        raise WireError(f"{PROMPT}: {error}") from None


def _frames(message: Mapping[str, Any], key: str, ndim: int) -> UInt8Array:
    frames = message[key]
    shape = {3: "(H, W, 3)", 4: "(T, H, W, 3)"}[ndim]
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise WireError(f"{key} must be a uint8 array {shape}")
    if frames.ndim != ndim or frames.shape[-1] != 3 or frames.shape[0] < 1:
        raise WireError(f"{key} must have the shape {shape}, got {frames.shape}")
    return frames


def _demonstration(message: Mapping[str, Any], clip: UInt8Array | None, prompt: str) -> Demonstration:
    rate_hz = _entry(message, RATE_HZ, float, CONTROL_HZ)
    if not 0.0 < rate_hz <= MAX_RATE_HZ:
        raise WireError(f"{RATE_HZ} must be a rate in Hz, got {rate_hz}")
    if DEMONSTRATION in message:
        return Demonstration(_frames(message, DEMONSTRATION, ndim=4), rate_hz, prompt)
    nothing = np.zeros((0, 0, 0, 3), np.uint8)
    return Demonstration(nothing if clip is None else clip, CONTROL_HZ, prompt)
