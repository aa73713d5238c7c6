"""Cell counts by state over time, as a figure for a paper."""

import sys

from gpusim.record import Result
from gpusim.viz import plots

results = [Result(folder) for folder in sys.argv[1:]]  # several: median and range
axes = plots.counts(results, log=True)
axes.figure.savefig("counts.png", dpi=200)
