import numpy as np
import pytest
from ensemble.recovery import recover

import gpusim
from gpusim.ensemble.execution import Setting
from gpusim.ensemble.fit import fit
from gpusim.ensemble.measured import Data
from gpusim.ensemble.problem import pose
from gpusim.ensemble.search import paraboloid
from gpusim.ensemble.smc import quantile
from gpusim.ensemble.study import Study

DECAYING = """\
name: decaying
scenario: decay.yaml
parameters:
  fields.drug.initial: {from: 3, to: 8, scale: log}
  fields.drug.decay: {from: 0.01 /min, to: 0.04 /min, scale: log}
outcomes:
  drug: {total: drug}
fit: {method: METHOD, error: 0.1, particles: 40, populations: 3, trials: 80}
"""
MINUTES = np.array([0.0, 10, 20, 30, 40, 50, 60])


def posterior_of_a_decay(values, error):
    """Mean and standard deviation of log(initial) and log-free decay: a straight line through logarithms."""
    deviation = np.sqrt(np.log1p(error**2))
    design = np.column_stack([np.ones_like(MINUTES), -MINUTES])
    covariance = deviation**2 * np.linalg.inv(design.T @ design)
    middle = np.linalg.lstsq(design, np.log(values), rcond=None)[0]
    return middle, np.sqrt(np.diag(covariance))


@pytest.mark.parametrize("method", ["optuna", pytest.param("abc", marks=pytest.mark.slow)])
def test_a_decay_is_fitted_as_the_straight_line_of_its_logarithms(write, tmp_path, connect, method):
    """Lognormal errors and an exponential: estimate and interval are those of linear regression."""
    study = Study.load(write(DECAYING.replace("METHOD", method)))
    rng = np.random.default_rng(4)
    values = 5 * np.exp(-0.02 * MINUTES + rng.normal(0, np.sqrt(np.log1p(0.01)), len(MINUTES)))
    table = tmp_path / "data.csv"
    table.write_text("min,drug\n" + "".join(f"{m},{v}\n" for m, v in zip(MINUTES, values, strict=True)))
    setting = Setting(tmp_path / "out", study.columns, "numpy")
    found = fit(pose(study, Data.read(table, study), setting), connect)
    middle, deviation = posterior_of_a_decay(values, 0.1)
    initial, decay = found.estimates
    assert (initial.unit, decay.unit) == ("", "/min")
    # Three standard errors of 40 particles: 0.2 deviations of a median, 0.15 of the width of an interval.
    assert np.log(initial.estimate) == pytest.approx(middle[0], abs=0.6 * deviation[0])
    assert decay.estimate == pytest.approx(middle[1], abs=0.6 * deviation[1])
    assert np.log(initial.high / initial.low) == pytest.approx(2 * 1.96 * deviation[0], rel=0.45)
    assert decay.high - decay.low == pytest.approx(2 * 1.96 * deviation[1], rel=0.45)


@pytest.mark.slow
def test_known_parameters_are_found_again(tmp_path, connect):
    """One set of the campaign in recovery.py, whose figures stand in docs/studies.md."""
    found = recover(tmp_path, connect, 0, "optuna", "numpy")
    assert all(each.inside for each in found)
    rate = found[0].estimate
    assert rate.high / rate.low < 3.3, "no narrower than a third of the range: nothing was learnt"


def test_a_paraboloid_is_read_exactly():
    points = np.random.default_rng(0).random((60, 2))
    covariance = np.array([[0.02, 0.01], [0.01, 0.03]])
    middle = np.array([0.4, 0.6])
    chi2 = 3 + np.einsum("ni,ij,nj->n", points - middle, np.linalg.inv(covariance), points - middle)
    found, deviation = paraboloid(points, chi2)
    assert found == pytest.approx(middle, abs=1e-9)
    assert deviation == pytest.approx(np.sqrt([0.02, 0.03]), rel=1e-9)


def test_where_no_minimum_shows_the_interval_is_the_range():
    points = np.random.default_rng(0).random((60, 2))
    found, deviation = paraboloid(points, -((points - 0.5) ** 2).sum(axis=1))
    assert np.isinf(deviation).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_quantiles_heed_weights():
    points = np.arange(5.0)[:, None]
    assert quantile(points, np.ones(5), 0.5) == pytest.approx([2.0])
    assert quantile(points, np.array([0, 0, 0, 1, 1.0]), 0.5) == pytest.approx([3.5])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("hours of day,drug\n1,2\n", "data.csv:1: expected a first column of times, headed 'day', 'h' or 'min'"),
        ("min,drag\n1,2\n", "data.csv:1: 'drag' is no outcome of the study; did you mean 'drug'?"),
        ("min\n1\n", "data.csv:1: expected a column for an outcome of the study (drug)"),
        ("min,drug\n1,2\n2,0\n", "data.csv:3: drug: expected a value above 0, found 0"),
        ("min,drug\n1,2\n2,much\n", "data.csv:2: expected a number"),
        ("min,drug,arm\n1,2,placebo\n", "data.csv:2: unknown arm 'placebo'"),
        ("min,drug\n", "data.csv: holds no values"),
        ("", "data.csv: not a table"),
        ("min,drug\n90,1\n", "at: '90 min' is after the end of the run (60 min)"),
    ],
)
def test_a_mistake_in_the_data_is_a_line_with_its_place(write, tmp_path, table, message):
    study = Study.load(write(DECAYING.replace("METHOD", "abc")))
    (tmp_path / "data.csv").write_text(table)
    with pytest.raises(gpusim.ScenarioError) as caught:
        pose(study, Data.read(tmp_path / "data.csv", study), Setting(tmp_path / "out", study.columns, "numpy"))
    assert message in str(caught.value)


def test_each_row_is_a_measurement_and_blanks_are_none(write, tmp_path):
    study = Study.load(write(DECAYING.replace("METHOD", "abc")))
    (tmp_path / "data.csv").write_text("h,drug\n0.5,4\n0.5,5\n1,\n1,2\n")
    data = Data.read(tmp_path / "data.csv", study)
    assert data.times == ("0.5 h", "0.5 h", "1 h")
    assert data.values.tolist() == [4, 5, 2]
