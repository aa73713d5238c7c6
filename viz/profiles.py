"""Fields and cell densities of the last snapshot by distance from the edge of the tumour."""

import sys

from gpusim.record import Result
from gpusim.viz import plots
from gpusim.viz.moment import moment_of_result

moment = moment_of_result(Result(sys.argv[1]), -1)
cells = [name for name in moment.having("tumour", "infected", "effector") if moment.cells([name]).any()]
axes = plots.radial_profiles(moment, [*moment.document.fields][:3] + cells)
axes.figure.savefig("profiles.png", dpi=200)
