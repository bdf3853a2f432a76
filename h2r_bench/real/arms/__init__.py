"""The arms: each driver is an extra of its own and loads when it is asked for."""

from h2r_bench.real.arms.catalog import ARMS, ArmConfig, make_arm

__all__ = ["ARMS", "ArmConfig", "make_arm"]
