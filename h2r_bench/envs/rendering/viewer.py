"""MuJoCo's own viewer, for `render_mode="human"`."""

from __future__ import annotations

import os
import platform
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h2r_bench.envs.simulation import Simulation


class Window:
    """Shows one simulation at a time; nothing opens before the first `show`."""

    def __init__(self) -> None:
        self._viewer: Any = None
        self._shown: Simulation | None = None

    def show(self, simulation: Simulation) -> None:
        """Bring the window up to date, opening a new one for another model; without a display it warns."""
        if not has_display():
            warnings.warn(
                "there is no display to open a window on; use render_mode='rgb_array'", stacklevel=3
            )
            return
        if self._shown is not simulation:
            self.close()
            # Imported late: the viewer needs a display, which nobody else does.
            import mujoco.viewer

            self._viewer = mujoco.viewer.launch_passive(simulation.stage.model, simulation.data)
            self._shown = simulation
        if self._viewer.is_running():
            self._viewer.sync()

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._viewer is not None:
            self._viewer.close()
        self._viewer = self._shown = None


def has_display() -> bool:
    """Whether a window could be opened here."""
    return platform.system() != "Linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
