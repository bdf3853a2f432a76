"""Another scene's video, moved so that the hand goes where this scene wants the tool.

The nearest of a few hundred scenes is still centimetres away from the one at hand, and who follows its video
as it is goes centimetres astray. In the picture a shift, a zoom and a turn bring two paths together, that of
the tool in the retrieved scene and the one foreseen here: start and goal alone decide all four.
"""

from __future__ import annotations

import numpy as np

from h2r_bench.types import Float32Array, FloatArray

NOISE = 0.05
"""How far foreseen places are off, standard deviation [half heights of the picture]."""
SPREAD = (0.5, 0.15)
"""Standard deviation of what is expected: of shifts [half heights], and of zoom and turn [parts, rad]."""


def path_offset(here: FloatArray, there: FloatArray) -> Float32Array:
    """By what the video of another scene is moved to serve here, shape (4,): see
    `camera_alignment.estimate_similarity`.

    `here`, `there`: where the tool is in the picture (moments, 2) [half heights], as it is foreseen here and
    as it was in the other scene, whose video is in the robot's view. Least squares, held back towards leaving
    the video as it is where the paths do not tell (a path on one spot has no turn).
    """
    (x, y), (right, down) = here.T, there.T
    one, none = np.ones_like(x), np.zeros_like(x)
    # As in `camera_alignment.estimate_similarity`, so that `camera_alignment.warp` can apply it.
    rows = np.concatenate([np.stack([one, none, x, -y], 1), np.stack([none, one, y, x], 1)])
    wanted = np.concatenate([right - x, down - y])
    expected = np.diag([(NOISE / SPREAD[0]) ** 2] * 2 + [(NOISE / SPREAD[1]) ** 2] * 2)
    return np.linalg.solve(rows.T @ rows + expected, rows.T @ wanted).astype(np.float32)
