"""Measure how well a robot follows one human video.

Importing this package registers its Gymnasium environments and nothing more: simulator, renderer and PyTorch
are loaded by whoever first needs them.
"""

from h2r_bench import moved
from h2r_bench.envs.registration import register_all

__version__ = "0.1.0"

__all__ = ["__version__", "register_all"]

register_all()
moved.install()
