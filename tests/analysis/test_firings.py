import numpy as np
import pytest
from scipy import stats

from gpusim.analysis.firings import fold_changes


def test_folds_and_p_values_are_those_of_the_tests():
    one, other = {"lysis": [10, 12, 9, 14]}, {"lysis": [40, 52, 33, 60]}
    a, b = np.log2(np.array(one["lysis"]) + 0.5), np.log2(np.array(other["lysis"]) + 0.5)
    for paired, p in ((True, stats.ttest_rel(b, a)[1]), (False, stats.ttest_ind(b, a, equal_var=False)[1])):
        (row,) = fold_changes(one, other, paired=paired).to_dict("records")
        assert row["log2_fold"] == pytest.approx(b.mean() - a.mean())
        assert row["p"] == row["q"] == pytest.approx(p)


def test_p_values_are_adjusted_and_silent_rules_are_left_out():
    rng = np.random.default_rng(1)
    one = {f"rule{i}": rng.poisson(50, 6).tolist() for i in range(20)} | {"never": [0] * 6, "fixed": [3] * 6}
    other = {rule: rng.poisson(50, 6).tolist() for rule in one} | {"never": [0] * 6, "fixed": [3] * 6}
    table = fold_changes(one, other, paired=False)
    assert "never" not in set(table["rule"])
    assert np.isnan(table.set_index("rule")["q"]["fixed"])
    tested = table.dropna()
    assert (tested["q"] >= tested["p"]).all()
