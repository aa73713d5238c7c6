"""NumPy twin of kernels/exchange.cu."""

import numpy as np


def deposit(field: np.ndarray, voxels: np.ndarray, amounts: np.ndarray) -> None:
    """Add `amounts` (float32) at flat indices `voxels` (int64, each once) of `field` [z, y, x]."""
    flat = field.reshape(-1)
    flat[voxels] = flat[voxels] + amounts
