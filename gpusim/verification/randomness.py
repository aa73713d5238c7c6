"""The random numbers: known answers, uniformity, independence, and what a seed decides."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from gpusim.backends.numpy.random import Draw, happens, philox, voxel_random
from gpusim.engine.purpose import Purpose
from gpusim.model.tables import probability
from gpusim.verification.case import Finding, Machine, at_most, near

_KNOWN = (
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
)
"""Counter, key, words: kat_vectors of Random123 for philox4x32 with 10 rounds."""
_SIDE = 48
_VOXELS = _SIDE**3
_RATE = 0.7
_FLIPPING = f"""
grid: {{shape: [{_SIDE}, {_SIDE}, {_SIDE}]}}
time: {{until: 10 min, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 10 min}}
states: {{a: {{}}, b: {{}}}}
tissue: {{background: a}}
rules:
  there: {{transition: a -> b, rate: {_RATE} /min}}
  back: {{transition: b -> a, rate: {_RATE} /min}}
"""


def _words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def known_answers(machine: Machine) -> Iterator[Finding]:
    """Philox gives the known answers, and the cells of the backend follow its words."""
    wrong = 0
    for counter, key, answer in _KNOWN:
        k0, k1 = _words(key)
        found = philox(tuple(np.array([word], np.uint64) for word in _words(counter)), (k0, k1))
        wrong += sum(int(word[0]) != known for word, known in zip(found, _words(answer), strict=True))
    yield near("wrong words of 12 known", 0, wrong)
    seed = 2**63 + 12345
    first, _ = _flips(machine, seed)
    word = voxel_random(np.arange(_VOXELS), Draw(seed, 1, Purpose.TISSUE_RULES))[0]
    expected = happens(probability(np.full(_VOXELS, _RATE, np.float32)), word)
    yield near(f"cells of {_VOXELS:,} that do not follow their word", 0, np.sum(first.ravel() != expected))


def _flips(machine: Machine, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which cells change in the first and in the second step: bool [z, y, x]."""
    with machine.simulate(_FLIPPING, seed) as simulation:
        before = simulation.tissue
        simulation.step()
        between = simulation.tissue
        simulation.step()
        return before != between, between != simulation.tissue


def independence(machine: Machine) -> Iterator[Finding]:
    """Words are uniform; what happens in a voxel says nothing of another voxel, step or seed."""
    band = stats.kstwo(_VOXELS).ppf(0.999)
    words = voxel_random(np.arange(_VOXELS), Draw(3, 5, Purpose.TISSUE_RULES))
    gaps = [stats.kstest(word / 2**32, "uniform").statistic for word in words]
    yield at_most("largest gap of the words to uniform", band, max(gaps))
    p = float(probability(np.array(_RATE, np.float32)))
    first, second = (flips - p for flips in _flips(machine, 1))
    other = _flips(machine, 2)[0] - p
    beside = [np.roll(first, shift, axis) for axis in range(3) for shift in (1, 2, 8)]
    beside += [np.roll(first, (1, 1), (0, 1)), np.roll(first, (1, 1, 1), (0, 1, 2))]
    for what, others in (("neighbours", beside), ("steps", [second]), ("seeds", [other])):
        largest = max(abs(float(np.mean(first * o))) / (p * (1 - p)) for o in others)
        # The mean of so many independent products has the standard deviation 1 / sqrt(voxels).
        yield at_most(f"correlation between {what}", 4 / np.sqrt(_VOXELS), largest)


def seeds(machine: Machine) -> Iterator[Finding]:
    """The same seed gives the same bits, another seed gives others."""
    digests = []
    for seed in (1, 1, 2):
        with machine.simulate(_FLIPPING, seed) as simulation:
            simulation.step(3)
            digests.append(simulation.digest())
    yield near("trajectories of one seed", 1, len(set(digests[:2])))
    yield near("trajectories of two seeds", 2, len(set(digests[1:])))
