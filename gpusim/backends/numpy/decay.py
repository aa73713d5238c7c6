"""NumPy twin of kernels/decay.cu."""

import numpy as np


def decay_by_map(active: np.ndarray, kept: np.ndarray, fields: np.ndarray) -> None:
    """Let the fields (float32 [F, z, y, x]) in `active` decay by their maps."""
    for field in active:
        fields[field] = fields[field] * kept[field]
