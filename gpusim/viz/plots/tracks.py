"""Figures of the paths of cells."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gpusim.viz.plots.style import LINES, colour, new_axes


def mean_square_displacement(table: pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Mean square displacement by lag, with 95% intervals, and slopes of straight and of random movement.

    Args:
        table: of `Paths.mean_square_displacement`.
    """
    with mpl.rc_context(LINES):
        axes = axes or new_axes(4.6, 3.6)
        lag, square, error = (table[name].to_numpy() for name in ("minutes", "um2", "sem_um2"))
        axes.fill_between(lag, np.maximum(square - 1.96 * error, 0), square + 1.96 * error, color=colour(0), alpha=0.25)
        axes.plot(lag, square, color=colour(0), linewidth=1.8, label="cells, 95% interval")
        if len(table) > 1 and square[0] > 0:
            axes.plot(lag, square[0] * (lag / lag[0]) ** 2, "--", color="#808080", linewidth=0.9, label="straight: t²")
            axes.plot(lag, square[-1] * lag / lag[-1], ":", color="#808080", linewidth=1.2, label="random: t")
            axes.set(xscale="log", yscale="log", ylim=(0.5 * square[0], 3 * square.max()))
        axes.set(xlabel="lag, min", ylabel="mean square displacement, µm²")
        axes.legend(fontsize=8)
    return axes
