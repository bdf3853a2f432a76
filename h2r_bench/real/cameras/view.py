"""From a camera's frame to the agent's view: upright, cropped, resized."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from h2r_bench import ranges
from h2r_bench.files import write_whole
from h2r_bench.ranges import Share
from h2r_bench.real.errors import SetupError
from h2r_bench.types import UInt8Array


@dataclass(frozen=True)
class View:
    """Which part of the camera's frame the agents see. Made by `python -m h2r_bench.real.aim`."""

    crop: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, width and height as shares of the (turned) frame."""
    half_turn: bool = False
    """The camera hangs upside down."""

    def __post_init__(self) -> None:
        left, top, width, height = self.crop
        inside = left + width <= 1 + 1e-9 and top + height <= 1 + 1e-9
        if any(ranges.problems(self)) or not (inside and min(width, height) > 0):
            raise SetupError(f"a crop is left, top, width, height as shares of the frame, got {self.crop}")

    def box(self, frame: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, top, right, bottom [pixels] of a `frame` (width, height) that fill `size` (width, height).

        The crop's height is kept and its sides are cut, or the other way round where it is narrower.
        """
        left, top, width, height = (
            share * side for share, side in zip(self.crop, (*frame, *frame), strict=True)
        )
        aspect = size[0] / size[1]
        inner_width, inner_height = min(width, height * aspect), min(height, width / aspect)
        left, top = left + (width - inner_width) / 2, top + (height - inner_height) / 2
        return left, top, left + inner_width, top + inner_height

    def image(self, frame: UInt8Array, size: tuple[int, int]) -> UInt8Array:
        """The agent's picture of `size` (width, height) [pixels] from a frame (H, W, 3)."""
        turned = frame[::-1, ::-1] if self.half_turn else frame
        height, width = turned.shape[:2]
        box = self.box((width, height), size)
        picture = Image.fromarray(np.ascontiguousarray(turned))
        return np.asarray(picture.resize(size, Image.Resampling.BOX, box=box))

    def too_coarse(self, frame: tuple[int, int], size: tuple[int, int]) -> bool:
        """Whether the cropped `frame` (width, height) has fewer pixels than the `size` an agent wants."""
        left, top, right, bottom = self.box(frame, size)
        return right - left < size[0] - 0.5 or bottom - top < size[1] - 0.5

    @staticmethod
    def of_angle(camera_deg: float, wanted_deg: float, half_turn: bool = False) -> View:
        """The central crop that narrows a vertical field of view to `wanted_deg` [degrees].

        Raises SetupError when the camera sees less than that.
        """
        share = math.tan(math.radians(wanted_deg) / 2) / math.tan(math.radians(camera_deg) / 2)
        if not 0 < share <= 1:
            raise SetupError(
                f"the camera's {camera_deg:g} degrees are narrower than the {wanted_deg:g} of the reference "
                "view: move it back, and give no --fovy"
            )
        margin = (1 - share) / 2
        return View((margin, margin, share, share), half_turn)

    def save(self, path: Path) -> None:
        """Write it as JSON, all or nothing."""
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def load(path: Path) -> View:
        """Read what `save` wrote. Raises SetupError for a missing or damaged file."""
        try:
            fields = json.loads(path.read_text())
            return View(tuple(map(float, fields["crop"])), bool(fields["half_turn"]))  # type: ignore[arg-type]
        except FileNotFoundError:
            raise SetupError(
                f"{path} does not exist: aim the camera first with python -m h2r_bench.real.aim"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise SetupError(f"{path} is not a view ({error}): aim the camera again") from None
