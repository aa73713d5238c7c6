import numpy as np
import pytest
from scipy import stats

from gpusim.backends.base import Draw
from gpusim.backends.numpy.random import happens, philox, probability, voxel_random

# Known-answer vectors of Random123 (kat_vectors, philox4x32 with 10 rounds).
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, expected):
    found = philox(tuple(np.array([w], np.uint64) for w in words(counter)), tuple(words(key)))
    assert [int(w[0]) for w in found] == words(expected)


def test_words_are_uniform_and_neighbours_independent():
    drawn = [w / 2**32 for w in voxel_random(np.arange(64**3), Draw(seed=3, step=5, purpose=0))]
    for word in drawn:
        assert stats.kstest(word, "uniform").pvalue > 1e-4
    cube = drawn[0].reshape(64, 64, 64) - 0.5
    following = voxel_random(np.arange(64**3), Draw(seed=3, step=6, purpose=0))[0] / 2**32 - 0.5
    # Correlations of 64^3 independent pairs have a standard deviation of 1/512.
    for other in (np.roll(cube, 1, 0), np.roll(cube, 1, 1), np.roll(cube, 1, 2), following.reshape(cube.shape)):
        assert abs(np.mean(cube * other) * 12) < 5 / 512


def test_seed_step_and_purpose_all_matter():
    voxels = np.arange(100)
    base = voxel_random(voxels, Draw(1, 1, 0))[0]
    for other in (Draw(2, 1, 0), Draw(1, 2, 0), Draw(1, 1, 1), Draw(1 + 2**32, 1, 0)):
        assert not np.array_equal(base, voxel_random(voxels, other)[0])


def test_probability_is_that_of_an_exponential_to_third_order():
    h = np.array([1e-6, 1e-3, 0.1, 0.3], np.float32)
    exact = -np.expm1(-h.astype(float))
    # The next term of the series of the Pade approximant differs in h^4 / 24 at most.
    assert np.all(np.abs(probability(h) - exact) < h.astype(float) ** 4 / 24 + 1e-7 * exact)


def test_probability_is_held_at_its_top():
    top = probability(np.array([np.sqrt(12)], np.float32))[0]
    found = probability(np.array([4, 1e3, np.inf, np.nan], np.float32))
    assert np.all(found == top)
    assert top == pytest.approx(0.9282, abs=1e-4)


def test_happens_at_the_ends():
    word = np.array([0, 2**32 - 1], np.uint64)
    assert happens(np.zeros(2, np.float32), word).tolist() == [False, False]
    assert happens(np.full(2, 0.9, np.float32), word).tolist() == [True, False]
