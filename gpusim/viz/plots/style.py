"""What all figures share: axes, lines, colours."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from gpusim.viz.palette import mixed

DAY = 1440.0
LINES = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "text.parse_math": False,  # a folder may be called $x$
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b3a8c", "#000000")
"""Of what is compared, which colour-blind readers can tell apart."""


def colour(number: int) -> str:
    """The colour of the n-th of what is compared."""
    return COLOURS[number % len(COLOURS)]


def power_of_ten(value: float, _: object = None) -> str:
    """Such as 10⁻²; other values as decimals."""
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent, rel_tol=1e-6):
        return f"{value:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def dark(colour: str) -> str:
    """A colour that is dark enough for a line on white."""
    return mixed(colour, "#000000", 0.18)


def new_axes(width: float = 5.6, height: float = 3.4) -> Axes:
    """Axes of a new figure."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    return figure.subplots()


def from_zero(values: np.ndarray) -> bool:
    """Whether an axis of values (any shape; not finite ones do not count) begins at 0.

    Values of 0 and more do, but for those within a factor of 2, whose differences would be squeezed into the end of the
    axis.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return True
    low, high = float(finite.min()), float(finite.max())
    return low >= 0 and (low == high or high > 2 * low)
