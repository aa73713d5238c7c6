import numpy as np
import pytest

from gpusim.backends.numpy.random import Draw, happens, voxel_random
from gpusim.model.tables import probability


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
