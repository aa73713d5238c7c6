"""Mutants per culture, in smaller cultures than in the campaign that they are made for; and the theory's tables."""

import numpy as np
import pytest
from scipy import stats
from validation import mutations

from gpusim.backends import availability

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]
LEVEL = 0.001


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    file = tmp_path_factory.mktemp("cultures") / "kept.json"
    return file, mutations.grow(200, 11, range(64), file)


def test_mutants_per_culture_are_luria_and_delbrueck_s(grown):
    counts, mean = grown[1].mutants[0], mutations.expected_mutations(grown[1])
    assert mutations.chi_square(counts, mutations.luria_delbrueck(mean, 300)) > LEVEL
    assert mutations.chi_square(counts, stats.poisson.pmf(np.arange(301), mean)) < LEVEL


def test_mutations_are_as_probable_as_given(grown):
    estimate, error = mutations.by_cultures_without(grown[1])
    assert abs(estimate - grown[1].probability) < 3.3 * error


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_frequencies_of_mutations_follow_one_over_f(grown, share):
    mean, error, expected = mutations.frequent(grown[1], share)
    assert abs(mean - expected) < 3.3 * error


def test_kept_cultures_are_those_of_the_present_program(grown):
    file, cultures = grown
    kept = file.read_text()
    file.write_text(kept.replace('"mutants": [[', '"mutants": [[7, ', 1))
    assert mutations.grow(200, 11, range(64), file).mutants[0] == [7, *cultures.mutants[0]]
    file.write_text(kept.replace('"key": "', '"key": "of an older program'))
    assert mutations.grow(40, 9, range(3), file).cells[0] >= 40


def test_the_theory_of_a_finite_culture_is_that_of_lea_and_coulson_in_the_limit():
    size, mean = 3_000, 1.5
    finite = mutations.finite(mean / size, 1, size)
    assert finite.sum() == pytest.approx(1, rel=1e-9)
    assert finite[:20] == pytest.approx(mutations.luria_delbrueck(mean, 19), rel=0.02)
    # p1 = m / 2 p0 and p2 = m / 2 (p0 / 3 + p1 / 2)
    assert mutations.luria_delbrueck(2, 2) == pytest.approx(np.exp(-2) * np.array([1, 1, 1 / 3 + 1 / 2]), rel=1e-12)
