"""NumPy twin of the random numbers in kernels/common.cuh."""

from dataclasses import dataclass

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)


def philox(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Philox4x32-10 (Salmon et al. 2011). Words are held in uint64 arrays, each below 2^32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c0
        b = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (b >> _HIGH) ^ c1 ^ np.uint64(k0),
            b & _LOW,
            (a >> _HIGH) ^ c3 ^ np.uint64(k1),
            a & _LOW,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Draw:
    """What picks the random numbers of one replicate, for one purpose in one step.

    `origin` is the index of the first voxel, where arrays are a part of a lattice.
    """

    seed: int
    step: int
    purpose: int
    origin: int = 0


def voxel_random(voxels: np.ndarray, draw: Draw) -> tuple[np.ndarray, ...]:
    """The four random words (uint64, below 2^32) of each voxel."""
    seed = draw.seed
    index = voxels.astype(np.uint64) + np.uint64(draw.origin)
    same = np.zeros_like(index)
    counter = (index & _LOW, index >> _HIGH, same + np.uint64(draw.step), same + np.uint64(draw.purpose))
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32))


def happens(p: np.ndarray, word: np.ndarray) -> np.ndarray:
    """bool: true with probability p (float32), resolved to 2^-32."""
    return word < (p * np.float32(2**32)).astype(np.uint64)


def unit_interval(word: np.ndarray) -> np.ndarray:
    """float32 in [0, 1) from the upper 24 bits of a word."""
    return (word >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
