"""What a study has found: rows for points, shares of the variance, and figures with the numbers of the tables."""

import numpy as np
import pandas as pd
import pytest

from gpusim.study.answer import by_point, label, spread, variance
from gpusim.study.schema import StudyDocument

STUDY = {
    "scenario": "cold-to-hot",
    "parameters": {"a": [1, 2, 3], "b": {"from": "1 um", "to": "100 um", "scale": "log", "levels": 2}},
    "replicates": 4,
    "outcomes": {"left": {"count": "tumour"}},
}


def study(**changes):
    return StudyDocument.model_validate(STUDY | changes)


def table(effect_a=0.0, effect_b=0.0, both=0.0, noise=1.0, replicates=4):
    rng, rows = np.random.default_rng(3), []
    for point, (a, b) in enumerate((a, b) for a in (1, 2, 3) for b in (1.0, 100.0)):
        for replicate in range(replicates):
            high = float(b > 1)
            left = effect_a * a + effect_b * high + both * (a - 2) * (high - 0.5) + noise * rng.standard_normal()
            rows.append((point, "baseline", replicate, point * 100 + replicate, a, b, left, ""))
    frame = pd.DataFrame(rows, columns=["point", "arm", "replicate", "seed", "a", "b", "left", "failure"])
    frame.attrs["units"] = {"b": "um"}
    return frame


def test_a_point_is_a_row_with_medians_and_ranges():
    frame = table()
    frame.loc[0, ["left", "failure"]] = np.nan, "it broke"
    found = by_point(frame, study())
    assert found[["a", "b"]].to_numpy().tolist() == [[a, b] for a in (1, 2, 3) for b in (1, 100)]
    assert found["runs"].tolist() == [3, 4, 4, 4, 4, 4]
    for row, (_, runs) in zip(found.to_dict("records"), frame.groupby("point"), strict=True):
        values = runs["left"].dropna()
        expected = values.median(), values.min(), values.max()
        assert (row["left median"], row["left lowest"], row["left highest"]) == expected
    assert label(found, "b") == "b, um"
    assert label(found, "a") == "a"
    assert spread({"x median": 2.0, "x lowest": 1.0, "x highest": 3.5}, "x") == "2 (1 to 3.5)"
    assert spread({"x median": 2.0, "x lowest": 2.0, "x highest": 2.0}, "x") == "2"
    assert spread({"x median": np.nan, "x lowest": np.nan, "x highest": np.nan}, "x") == ""


def test_shares_of_the_variance_are_those_of_the_parameters_and_the_seeds():
    """Without noise the shares follow by hand: the variances of 3 a and of 10 for b are 6 and 25."""
    (row,) = variance(table(effect_a=3.0, effect_b=10.0, noise=0.0), study()).to_dict("records")
    assert row["a"] == pytest.approx(6 / 31)
    assert row["b"] == pytest.approx(25 / 31)
    assert (row["interactions"], row["seeds"]) == pytest.approx((0, 0), abs=1e-9)
    (row,) = variance(table(both=1.0, noise=0.0), study()).to_dict("records")
    assert row["interactions"] == pytest.approx(1)


def test_chance_is_not_taken_for_an_effect():
    (row,) = variance(table(noise=1.0, replicates=200), study(replicates=200)).to_dict("records")
    assert row["seeds"] == pytest.approx(1, abs=0.02)


def test_no_shares_without_a_whole_grid_of_replicates():
    assert variance(table(replicates=1), study()) is None
    assert variance(table().iloc[1:], study()) is None
    failed = table()
    failed.loc[3, "failure"] = "it broke"
    assert variance(failed, study()) is None
    assert variance(table(), study(design={"kind": "sobol", "points": 8})) is None


# Figures


@pytest.fixture
def plots():
    mpl = pytest.importorskip("matplotlib")
    pytest.importorskip("pyvista")
    mpl.use("Agg")
    from matplotlib import pyplot

    from gpusim.viz import plots

    yield plots
    pyplot.close("all")


def test_maps_have_the_medians_of_the_runs(plots):
    frame = table(effect_a=3.0)
    (axes, _) = plots.phase_maps(frame, "a", "b", ["left"]).axes
    expected = frame.pivot_table(index="b", columns="a", values="left", aggfunc="median")
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(expected.to_numpy())


def test_one_parameter_has_a_line_at_its_medians_with_a_band(plots):
    frame = table(effect_a=3.0)
    (axes,) = plots.by_parameter(frame, "a", ["left"]).axes
    assert axes.lines[0].get_ydata() == pytest.approx(frame.groupby("a")["left"].median().to_numpy())
    assert len(axes.collections) == 1
    (logarithmic,) = plots.by_parameter(frame.assign(b=frame["b"].replace(100.0, 1e4)), "a", ["left"]).axes
    assert logarithmic.get_xscale() == "linear"


def test_effects_are_drawn_for_each_outcome_and_parameter(plots):
    frame = table(effect_b=5.0).assign(other=1.0)
    figure = plots.effects(frame, ["a", "b"], ["left", "other"])
    assert len(figure.axes) == 4
    medians = figure.axes[1].lines[1].get_ydata()
    assert medians == pytest.approx(frame.groupby("b")["left"].median().to_numpy())


def test_a_dose_response_states_its_ec50(plots):
    from gpusim.analysis.dose_response import hill

    dose = np.tile([0.0, 1, 10, 30, 100, 1000], 4)
    frame = pd.DataFrame({"dose": dose, "left": hill(dose, 100, 0, np.log(20), 0.0), "arm": "virus"})
    (axes,) = plots.dose_response(frame, "dose", ["left"]).axes
    (told,) = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told.startswith("virus: EC50 20 [")


def test_a_fit_is_drawn_against_its_data(plots):
    rows = [("volume", "a", day * 1440.0, day, 0.9 * day, 1.1 * day, 2 * day, day, 3 * day) for day in (1.0, 2.0)]
    names = ["outcome", "arm", "minutes", "measured", "measured_low", "measured_high", "median", "low", "high"]
    (axes,) = plots.fit(pd.DataFrame(rows, columns=names)).axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 2], [2, 4]]
    assert axes.lines[1].get_xydata().tolist() == [[1, 1], [2, 2]]


def test_shares_are_drawn_side_by_side(plots):
    shares = variance(table(effect_a=3.0, effect_b=10.0), study())
    (axes,) = plots.variance(shares).axes
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(1)
