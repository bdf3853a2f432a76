"""MuJoCo's own viewer, for `render_mode="human"`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h2r_bench.envs.simulation import Simulation


class Window:
    """Shows one simulation at a time; nothing opens before the first `show`."""

    def __init__(self) -> None:
        self._viewer: Any = None
        self._shown: Simulation | None = None

    def show(self, simulation: Simulation) -> None:
        """Bring the window up to date, opening a new one for another model."""
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
