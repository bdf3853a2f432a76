"""The sheet of paper as cameras see it: painted whenever there is time, sent before an image is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from h2r_bench.envs.rendering.mipmaps import Mipmaps, Patch
from h2r_bench.envs.rendering.renderer import CameraRenderer
from h2r_bench.envs.writing.ink import Sheet
from h2r_bench.types import FloatArray

if TYPE_CHECKING:
    from h2r_bench.envs.scene.compiled import CompiledScene


class ShownPaper:
    """The paper of one stage, if there is one, in the graphics memory of one renderer."""

    def __init__(self, stage: CompiledScene, renderer: CameraRenderer) -> None:
        """Nothing is painted before there is ink to show."""
        self._stage, self._renderer = stage, renderer
        self._sheet = Sheet()
        self._mipmaps: Mipmaps | None = None
        """Of the sheet as it was last sent whole and patched since; None where patches do not do."""
        self._owner: object = None
        self._dressing, self._inked = -1, 0
        self._changed = False
        self._patches: list[Patch] = []

    def paint(self, owner: object, steps: Sequence[FloatArray]) -> None:
        """Paint the ink of `steps`, each (M, 2) in the paper's frame [m]; `owner` is whose ink it is."""
        spec, dressing = self._stage.spec, self._stage.dressings
        if spec is None or spec.paper is None:
            return
        if self._owner is not owner or len(steps) < self._inked or self._dressing != dressing:
            self._sheet, self._owner, self._inked, self._dressing = Sheet(spec.guide), owner, 0, dressing
            self._mipmaps, self._changed, self._patches = None, True, []
        for points in steps[self._inked :]:
            self._sheet.add(points)
        self._inked = len(steps)
        if changed := self._sheet.take_changed():
            self._changed = True
            if self._mipmaps is not None:
                self._patches += self._mipmaps.update(changed)

    def send(self) -> None:
        """Send what was painted since it was last sent, before an image is drawn."""
        spec = self._stage.spec
        if not self._changed or spec is None or spec.paper is None:
            return
        texture = self._stage.paint_sheet(spec.paper, self._sheet.pixels())
        if self._mipmaps is not None:
            self._renderer.patch_texture(texture, self._patches)
        else:
            self._renderer.refresh_texture(texture)
            if self._renderer.takes_patches(texture):
                self._mipmaps = Mipmaps(self._sheet.pixels())
        self._changed, self._patches = False, []
