"""Which rules fire more often in one arm than in another."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

LEAST_RUNS = 3
"""Of each arm, below which nothing is tested."""


def fold_changes(
    one: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]], *, paired: bool
) -> pd.DataFrame:
    """Rules of two arms, with how much more often each fires in the second.

    Tested are the logarithms of firings + 1/2, by Student's t-test of pairs, or by Welch's of independent runs.
    P values are adjusted by Benjamini and Hochberg (1995), so `q` below 0.05 means a false discovery rate below 5%.

    Args:
        one, other: firings of each run, by rule; rules that one of the arms does not have are left out.
        paired: whether run i of both arms has the same seed.

    Returns:
        Columns rule, one, other (mean firings), log2_fold (mean difference of the logarithms to base 2), p, q; rules
        that never fire are left out. A p value is not a number if the differences do not vary.
    """
    rows = []
    for rule in one:
        if rule not in other or not (any(one[rule]) or any(other[rule])):
            continue
        first, second = (np.log2(np.asarray(each, float) + 0.5) for each in (one[rule], other[rule]))
        spread = np.ptp(second - first) if paired else np.ptp(first) + np.ptp(second)
        p = np.nan
        if spread > 0:
            p = float(
                (stats.ttest_rel(second, first) if paired else stats.ttest_ind(second, first, equal_var=False))[1]
            )
        rows.append((rule, np.mean(one[rule]), np.mean(other[rule]), second.mean() - first.mean(), p))
    table = pd.DataFrame(rows, columns=["rule", "one", "other", "log2_fold", "p"])
    table["q"] = np.nan
    known = table["p"].notna()
    if known.any():
        table.loc[known, "q"] = stats.false_discovery_control(table.loc[known, "p"])
    return table
