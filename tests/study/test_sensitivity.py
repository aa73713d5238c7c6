"""Indices of models whose indices are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import gpusim
from gpusim.study import sensitivity
from gpusim.study.design import points
from gpusim.study.execution import Setting
from gpusim.study.runs import Study
from gpusim.study.schema import Morris, Sobol
from gpusim.study.sweep import sweep


def ishigami(cube, a=7.0, b=0.1):
    x = (2 * cube - 1) * np.pi
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_sobol_indices_of_ishigami():
    """Its closed form: Ishigami and Homma 1990, with a = 7 and b = 0.1."""
    a, b = 7.0, 0.1
    alone = np.array([0.5 * (1 + b * np.pi**4 / 5) ** 2, a**2 / 8, 0.0])
    both = b**2 * np.pi**8 * (1 / 18 - 1 / 50)
    variance = alone.sum() + both
    method = Sobol(method="sobol", points=4096)
    cube = sensitivity.cube(method, 3, seed=1)
    found = sensitivity.indices(method, cube, ishigami(cube), seed=1)
    assert found["first"] == pytest.approx(alone / variance, abs=0.02)
    assert found["total"] == pytest.approx((alone + both * np.array([1, 0, 1])) / variance, abs=0.02)
    assert np.all(np.abs(found["first"] - alone / variance) <= 2 * found["first_half_width"] + 1e-3)


def test_morris_of_a_straight_line_is_its_slopes():
    method = Morris(method="morris", trajectories=8)
    cube = sensitivity.cube(method, 3, seed=5)
    found = sensitivity.indices(method, cube, cube @ np.array([3.0, -2.0, 0.0]), seed=5)
    assert found["mu"] == pytest.approx([3.0, -2.0, 0.0], abs=1e-12)
    assert found["mu_star"] == pytest.approx([3.0, 2.0, 0.0], abs=1e-12)
    assert found["sigma"] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_what_never_changes_has_no_indices():
    method = Sobol(method="sobol", points=8)
    cube = sensitivity.cube(method, 2, seed=0)
    assert np.isnan(sensitivity.indices(method, cube, np.ones(len(cube)), seed=0)["first"]).all()


DECAYING = """\
name: decaying
scenario: decay.yaml
parameters:
  fields.drug.initial: {from: 1, to: 3}
  fields.drug.decay: {from: 0.005 /min, to: 0.05 /min}
outcomes:
  drug: {mean: drug}
sensitivity: {method: sobol, points: 128}
"""


@pytest.mark.slow
def test_sobol_indices_of_a_decaying_drug(write, tmp_path, connect):
    """c exp(-k t), a product of independent factors: indices in closed form, from the factors' moments."""
    study = Study.load(write(DECAYING))
    method = study.document.sensitivity
    setting = Setting(tmp_path / "out", "numpy")
    tables = sensitivity.table(study, method, lambda study, points: sweep(study, points, setting, connect))
    found = sensitivity.analyse(study, method, *tables).set_index("parameter")
    assert (found[["first_noise", "total_noise"]] == 0).all(axis=None), "nothing in it depends on a seed"

    def moments(f, low, high):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        values, weights = f(low + (high - low) * (nodes + 1) / 2), weights / 2
        mean = weights @ values
        return mean**2, weights @ values**2 - mean**2

    (c_square, c_variance) = moments(lambda c: c, 1, 3)
    (k_square, k_variance) = moments(lambda k: np.exp(-k * 60), 0.005, 0.05)
    variance = c_square * k_variance + c_variance * k_square + c_variance * k_variance
    first = np.array([c_variance * k_square, c_square * k_variance]) / variance
    assert found["first"].to_numpy() == pytest.approx(first, abs=0.05)
    assert found["total"].to_numpy() == pytest.approx(first + c_variance * k_variance / variance, abs=0.05)


@pytest.mark.parametrize(
    "method", [Morris(method="morris", trajectories=12), Sobol(method="sobol", points=64)], ids=["morris", "sobol"]
)
@pytest.mark.parametrize("replicates", [1, 3])
def test_what_has_no_effect_stays_below_the_noise(write, method, replicates):
    """In 95 of 100 studies, but for chance: a parameter that does something, one that does nothing, and noisy seeds."""
    study = Study.load(write(DECAYING.replace("outcomes:", f"replicates: {replicates}\noutcomes:")))
    index = "mu_star" if method.method == "morris" else "total"
    below, above, studies = 0, 0, 100
    for number in range(studies):
        rng = np.random.default_rng([number, replicates])

        def run(study, points, rng=rng):
            rows = [
                {"point": i, "arm": "baseline", "replicate": r, "failure": "", "drug": 3 * x + rng.normal(0, 0.5)}
                for i, point in enumerate(points)
                for r in range(study.document.replicates)
                for x in [float(point["fields.drug.initial"])]
            ]
            return pd.DataFrame(rows)

        found = sensitivity.analyse(study, method, *sensitivity.table(study, method, run))
        working, idle = found[index]
        floor = found[f"{index}_noise"].iloc[0]
        below, above = below + (idle < floor), above + (working > floor)
    low, high = stats.binom.ppf([0.001, 0.999], studies, 0.95)
    assert low <= below <= high, below
    assert above == studies


def test_one_replicate_is_repeated_at_some_points(write):
    study = Study.load(write(DECAYING))
    asked = []

    def run(study, points):
        asked.append((study.document.replicates, points))
        return pd.DataFrame({"point": range(len(points))})

    _, repeats = sensitivity.table(study, study.document.sensitivity, run)
    assert [(replicates, len(points)) for replicates, points in asked] == [(1, 512), (2, 32)]
    assert [asked[0][1][i] for i in repeats["point"]] == asked[1][1]


def test_gaps_are_refused(write):
    study = Study.load(write(DECAYING))
    frame = pd.DataFrame({"arm": ["baseline"], "failure": ["too hot"], "drug": [np.nan]})
    with pytest.raises(gpusim.ResultError, match="1 of 1 runs failed, the first with: too hot"):
        sensitivity.analyse(study, study.document.sensitivity, frame, None)


def test_both_methods_ask_for_as_many_points_as_their_authors_say(write):
    study = Study.load(write(DECAYING))
    assert len(sensitivity.points(study, Sobol(method="sobol", points=16))) == 16 * (2 + 2)
    assert len(sensitivity.points(study, Morris(method="morris", trajectories=5))) == 5 * (2 + 1)
    assert len(points(study.document)) == 25
