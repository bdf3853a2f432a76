"""See what a video prediction model imagines: `python -m h2r_bench.predict --task pick_place`.

The paper's Figure 5: the human video, the true robot video, and predictions after one and after thirty
denoising steps, as a picture and as a film, with PSNR and SSIM against the truth. The prediction that the
first robot frame stays is measured beside them: whoever is not better has imagined nothing. A model that is
told the task instead of seeing a human (`--policy vpp`) is shown and measured alike.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from h2r_bench import extras
from h2r_bench.cli import INTERRUPTED, parse, refused

if __name__ == "__main__":
    extras.leave_without("torch", "diffusers", "skimage")

from h2r_bench.training.diagnostics.prediction import PredictConfig, predict


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    try:
        config = parse(PredictConfig, prog="python -m h2r_bench.predict", description=__doc__, args=argv)
        figures = predict(config)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        return refused(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    for name, value in figures.items():
        gripper = "" if value.off_px is None else f"  gripper off by {value.off_px:.1f} px"
        print(f"{name:18}  PSNR {value.psnr:5.2f} dB  SSIM {value.ssim:.3f}{gripper}")
    print(config.out / f"{config.task}_{config.seed}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
