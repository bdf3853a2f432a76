"""Between every agent and every arm: limits, a watchdog, an emergency stop. On by default."""

from h2r_bench.real.safety.interventions import Intervention
from h2r_bench.real.safety.limits import LimitsError, SafetyLimits
from h2r_bench.real.safety.safe_arm import SafeArm

__all__ = ["Intervention", "LimitsError", "SafeArm", "SafetyLimits"]
