"""What one kind of thing on the table is: its shape, and how it is grasped, pushed, placed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from dm_control import mjcf


@dataclass(frozen=True)
class PropKind:
    """One kind of thing."""

    name: str
    """Id, also the noun of the instruction."""
    build: Callable[[mjcf.Element], None]
    """Adds geoms to the prop's body."""
    radius: float
    """Radius of the footprint's circumscribed circle [m]."""
    rest_height: float
    """Height of the body frame above the table when it rests [m]."""
    free: bool = True
    """Free bodies move; the others (mats, marks) are painted on the table."""
    symmetry: float = 2 * np.pi
    """Turns by this angle [rad] look and grasp alike."""
    grasp_below: float = 0.0
    """Tool height relative to the body frame when grasping [m]."""
    half_height: float = 0.02
    """From the body frame to the bottom [m]: what must clear the surface when placing."""
    inner: tuple[float, float] = (0.0, 0.0)
    """Goals: half extents [m] in which a centre counts as on or in; equal values mean a disc."""
    surface: float = 0.0
    """Goals: height of the surface that carries the object [m]."""
    rim: float = 0.0
    """Goals: height of the rim [m]; open fingers must stay above it."""
    preposition: str = "on"
    """How the instruction says it: on the plate, in the box."""
    clashes: tuple[str, ...] = ()
    """Colours that would not stand out from the kind's own parts."""
    support: float = 0.035
    """Pushed objects: distance from the centre to where the fingers push [m]."""
    push_yaw: float = 0.0
    """Pushed objects: heading relative to the way in which they are drawn [rad]; a wide side first."""
    wide: bool = False
    """Pushed objects: wide enough for both open fingers to push side by side, which keeps them straight."""
