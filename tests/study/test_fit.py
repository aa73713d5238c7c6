from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from study.recovery import recover

import gpusim
from gpusim.study import search
from gpusim.study.execution import Setting, Workers
from gpusim.study.fit import fit
from gpusim.study.measured import Data
from gpusim.study.problem import Problem, pose, quantile
from gpusim.study.runs import Study

DECAYING = """\
name: decaying
scenario: decay.yaml
parameters:
  fields.drug.initial: {from: 3, to: 8, scale: log}
  fields.drug.decay: {from: 0.01 /min, to: 0.04 /min, scale: log}
outcomes:
  drug: {mean: drug}
fit: {method: METHOD, error: 0.1, particles: 40, populations: 3, trials: 80}
"""
MINUTES = np.array([0.0, 10, 20, 30, 40, 50, 60])


def posterior_of_a_decay(values, error):
    """Mean and standard deviation of log(initial) and decay, and the latter of the line, by linear regression."""
    deviation = np.sqrt(np.log1p(error**2))
    design = np.column_stack([np.ones_like(MINUTES), -MINUTES])
    covariance = deviation**2 * np.linalg.inv(design.T @ design)
    middle = np.linalg.lstsq(design, np.log(values), rcond=None)[0]
    return middle, np.sqrt(np.diag(covariance)), np.sqrt(np.einsum("ni,ij,nj->n", design, covariance, design))


@pytest.mark.parametrize("method", ["optuna", pytest.param("abc", marks=pytest.mark.slow)])
def test_a_decay_is_fitted_as_the_straight_line_of_its_logarithms(write, tmp_path, connect, method):
    """Lognormal errors and an exponential: estimate and interval are those of linear regression."""
    study = Study.load(write(DECAYING.replace("METHOD", method)))
    rng = np.random.default_rng(4)
    values = 5 * np.exp(-0.02 * MINUTES + rng.normal(0, np.sqrt(np.log1p(0.01)), len(MINUTES)))
    table = tmp_path / "data.csv"
    table.write_text("min,drug\n" + "".join(f"{m},{v}\n" for m, v in zip(MINUTES, values, strict=True)))
    setting = Setting(tmp_path / "out", "numpy")
    found = fit(pose(study, Data.read(table, study), setting), connect)
    middle, deviation, of_line = posterior_of_a_decay(values, 0.1)
    initial, decay = found.estimates
    assert (initial.unit, decay.unit) == ("", "/min")
    # Three standard errors of 40 particles: 0.2 deviations of a median, 0.15 of the width of an interval.
    assert np.log(initial.estimate) == pytest.approx(middle[0], abs=0.6 * deviation[0])
    assert decay.estimate == pytest.approx(middle[1], abs=0.6 * deviation[1])
    assert np.log(initial.high / initial.low) == pytest.approx(2 * 1.96 * deviation[0], rel=0.45)
    assert decay.high - decay.low == pytest.approx(2 * 1.96 * deviation[1], rel=0.45)
    # The model has no chance of its own: the band is that of the regression line.
    against = found.against
    assert against["minutes"].tolist() == MINUTES.tolist()
    assert against["measured"].to_numpy() == pytest.approx(values)
    error = np.log(against["measured_high"] / against["measured_low"])
    assert error.to_numpy() == pytest.approx(2 * 1.96 * np.sqrt(np.log1p(0.01)), rel=1e-3)
    line = middle[0] - middle[1] * MINUTES
    # Four standard errors of a median of 40 particles, as there are seven times.
    assert (np.abs(np.log(against["median"]) - line) < 0.8 * of_line).all()
    assert np.log(against["high"] / against["low"]).to_numpy() == pytest.approx(2 * 1.96 * of_line, rel=0.45)
    assert list(found.particles) == ["fields.drug.initial", "fields.drug.decay", "weight"]
    assert (found.trials is None) == (method == "abc")


def test_outcomes_weigh_by_their_own_errors(write, tmp_path, connect):
    """Two readings of one decay, one six times less exact: weighted linear regression of the logarithms."""
    text = DECAYING.replace("METHOD", "optuna").replace("error: 0.1", "error: {drug: 0.05, rough: 0.3}")
    study = Study.load(write(text.replace("  drug: {mean: drug}", "  drug: {mean: drug}\n  rough: {mean: drug}")))
    rng = np.random.default_rng(5)
    deviation = np.repeat(np.sqrt(np.log1p(np.square([0.05, 0.3]))), len(MINUTES))
    logs = np.tile(np.log(5) - 0.02 * MINUTES, 2) + deviation * rng.normal(size=2 * len(MINUTES))
    rows = zip(MINUTES, *np.exp(logs).reshape(2, -1), strict=True)
    (tmp_path / "data.csv").write_text("min,drug,rough\n" + "".join(f"{m},{a},{b}\n" for m, a, b in rows))
    setting = Setting(tmp_path / "out", "numpy")
    found = fit(pose(study, Data.read(tmp_path / "data.csv", study), setting), connect).estimates
    design = np.column_stack([np.ones(2 * len(MINUTES)), -np.tile(MINUTES, 2)]) / deviation[:, None]
    middle = np.linalg.lstsq(design, logs / deviation, rcond=None)[0]
    wide = 1.96 * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    assert np.log(found[0].estimate) == pytest.approx(middle[0], abs=0.3 * wide[0])
    assert found[1].estimate == pytest.approx(middle[1], abs=0.3 * wide[1])
    assert np.log(found[0].high / found[0].low) == pytest.approx(2 * wide[0], rel=0.45)
    assert found[1].high - found[1].low == pytest.approx(2 * wide[1], rel=0.45)


def test_an_error_is_given_for_every_measured_outcome(write, tmp_path):
    study = Study.load(write(DECAYING.replace("METHOD", "optuna").replace("error: 0.1", "error: {drugs: 0.1}")))
    (tmp_path / "data.csv").write_text("min,drug\n0,5\n10,4\n")
    with pytest.raises(gpusim.ScenarioError, match=r"fit.error: expected an error .*\(drug\), found drugs"):
        pose(study, Data.read(tmp_path / "data.csv", study), Setting(tmp_path / "out", "numpy"))


@pytest.mark.slow
def test_known_parameters_are_found_again(tmp_path, connect):
    """One set of the campaign in recovery.py, whose figures stand in docs/studies.md."""
    found = recover(tmp_path, connect, 0, "optuna", "numpy")
    assert all(each.inside for each in found)
    rate = found[0].estimate
    assert rate.high / rate.low < 3.3, "no narrower than a third of the range: nothing was learnt"


def mean_logs(cube):
    """Logarithm of the mean volume of a made-up tumour at seven times: it grows in radius by a rate from a radius."""
    cube = np.asarray(cube)
    return 3 * np.log(0.5 + cube[..., 1:] + 0.15 * 4 ** cube[..., :1] * np.arange(1, 8))


@dataclass(frozen=True)
class Emulated(Problem):
    """A problem whose runs are a formula times lognormal noise, common to the times of a run in four parts of five."""

    noise_of_seeds: float = 0.0

    def simulated(self, cube):
        found = [self.one(cube, run.seed) for run in self.study.runs([self.values(cube)])]
        return np.array(found)

    def one(self, cube, seed):
        draws = np.random.default_rng(seed).standard_normal(8)
        chance = np.sqrt(0.8) * draws[0] + np.sqrt(0.2) * draws[1:]
        return np.exp(mean_logs(cube) + self.noise_of_seeds * chance - self.noise_of_seeds**2 / 2)


class Inline(Executor):
    """Does its work at once."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def inline():
    return Workers(Inline(), 1)


EMULATED = """
name: emulated
scenario: growth.yaml
parameters:
  rules.division.rate: {from: 0 /min, to: 1 /min}
  rules.death.rate: {from: 0 /min, to: 1 /min}
replicates: REPLICATES
outcomes: {volume: {volume: tumour}}
fit: {method: optuna, error: 0.1, trials: 48, batch: 24, subjects: SUBJECTS}
"""


def emulated(study, number, noise_of_seeds):
    """Data set `number`: the problem, and its true parameters as shares of their ranges."""
    fit_of = study.document.fit
    study = replace(study, document=study.document.model_copy(update={"seed": number}))
    rng = np.random.default_rng([1, number])
    truth = 0.15 + 0.7 * rng.random(2)
    blank = Data(("volume",) * 7, tuple(f"{i} h" for i in range(1, 8)), ("baseline",) * 7, np.ones(7))
    problem = Emulated(study, blank, Setting(Path()), noise_of_seeds)
    seeds = rng.integers(2**63, size=fit_of.subjects)
    measured = np.mean([problem.one(truth, seed) for seed in seeds], axis=0)
    values = measured * np.exp(problem.deviation * rng.standard_normal(7))
    return replace(problem, data=replace(blank, values=values)), truth


@pytest.mark.parametrize(
    ("replicates", "subjects", "noise", "sets"),
    [
        pytest.param(1, 1, 0.2, 200, marks=pytest.mark.slow),
        pytest.param(3, 6, 0.3, 60, marks=pytest.mark.campaign),
    ],
)
def test_intervals_cover_with_the_noise_of_seeds(write, replicates, subjects, noise, sets):
    """Of 95% intervals, 91 to 98% hold the truth; the bounds are those of 200 sets, wider where there are fewer."""
    text = EMULATED.replace("REPLICATES", str(replicates)).replace("SUBJECTS", str(subjects))
    study = Study.load(write(text))
    inside = []
    for number in range(sets):
        problem, truth = emulated(study, number, noise)
        found = search.search(problem, inline, lambda: None)
        inside.append((found.low <= truth) & (truth <= found.high))
    low, high = (0.91, 0.98) if sets == 200 else stats.binom.ppf([0.005, 0.995], sets, 0.95) / sets
    assert (np.mean(inside, axis=0) >= low).all(), np.mean(inside, axis=0)
    assert np.mean(inside) <= high


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
        pose(study, Data.read(tmp_path / "data.csv", study), Setting(tmp_path / "out", "numpy"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("METHOD,", "abc, subjects: 3,", "replicates: for abc, measured and simulated values must be means of"),
        (
            "METHOD, error: 0.1, particles: 40, populations: 3, trials: 80",
            "optuna, trials: 35",
            "fit.trials: 35 are too",
        ),
    ],
)
def test_what_a_method_cannot_count_is_refused(write, tmp_path, old, new, message):
    study = Study.load(write(DECAYING.replace(old, new)))
    (tmp_path / "data.csv").write_text("h,drug\n0.5,4\n1,2\n")
    with pytest.raises(gpusim.ScenarioError) as caught:
        fit(
            pose(study, Data.read(tmp_path / "data.csv", study), Setting(tmp_path / "out", "numpy")),
            inline,
        )
    assert message in str(caught.value)


def test_a_fit_says_how_much_of_it_is_noise_of_seeds(write):
    """Noise of a known size is found again, and a fit that it swamps says so."""
    study = Study.load(write(EMULATED.replace("REPLICATES", "1").replace("SUBJECTS", "1")))
    found = fit(emulated(study, 3, 0.3)[0], inline)
    assert found.seeds == pytest.approx(0.3, rel=0.3)
    assert found.share == pytest.approx(0.3**2 / (0.3**2 + np.log1p(0.01)), abs=0.08)
    assert any("differences between seeds make up" in note for note in found.notes)
    without = fit(emulated(study, 3, 0.0)[0], inline)
    assert without.share < 0.02
    assert not any("swamps" in note for note in without.notes)


def test_each_row_is_a_measurement_and_blanks_are_none(write, tmp_path):
    study = Study.load(write(DECAYING.replace("METHOD", "abc")))
    (tmp_path / "data.csv").write_text("h,drug\n0.5,4\n0.5,5\n1,\n1,2\n")
    data = Data.read(tmp_path / "data.csv", study)
    assert data.times == ("0.5 h", "0.5 h", "1 h")
    assert data.values.tolist() == [4, 5, 2]
