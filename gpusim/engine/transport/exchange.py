"""Which cells a field's production and loss depend on."""

import numpy as np

from gpusim.model import Fields
from gpusim.model.tables import VariesBy


def exchange_by(fields: Fields) -> np.ndarray:
    """Which layers each field's production and loss depend on: int32 [F] of `VariesBy`."""

    def varies(table: np.ndarray, axis: int) -> bool:
        return bool(np.any(table != table.take([0], axis)))

    kinds = []
    for tables in zip(fields.production, fields.loss, strict=True):
        by_immune = any(varies(t, 1) for t in tables)
        by_tissue = any(varies(t, 0) for t in tables)
        kinds.append(VariesBy.TISSUE_AND_IMMUNE if by_immune else VariesBy.TISSUE if by_tissue else VariesBy.UNIFORM)
    return np.array(kinds, np.int32)
