"""The kernels against what their machine allows: bytes and operations counted, then timed."""

from gpusim.bench.costs import COSTS, Cost
from gpusim.bench.machine import H100, Machine, measured
from gpusim.bench.timing import Timing, time_kernels

__all__ = ["COSTS", "H100", "Cost", "Machine", "Timing", "measured", "time_kernels"]
