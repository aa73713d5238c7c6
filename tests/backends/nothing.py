"""What launches are given where cells have no traits."""

import numpy as np

from gpusim.backends.groups import Births, TraitTables
from gpusim.model.tables import LAW, LINEAGE, QUANTILE_STEPS, TRAIT, TRANSFER


def no_traits(backend, replicates=1):
    """float32 [0, R, 0, 0, 0]."""
    return backend.array(np.zeros((0, replicates, 0, 0, 0), np.float32))


def no_trait_tables(backend):
    rows, quantiles = np.zeros(0, TRAIT), np.zeros((0, 2, QUANTILE_STEPS + 1), np.float32)
    begin = np.zeros(1, np.int32)
    of_change = np.zeros(0, LAW), begin, np.zeros(0, TRANSFER), begin
    return TraitTables(*map(backend.array, (rows, quantiles, *of_change, np.zeros(0, LINEAGE))))


def no_births(backend):
    births = np.zeros(1, np.uint64), np.zeros((1, 0, 2), np.uint64), np.zeros((1, 0, 0), np.float32)
    return Births(*map(backend.array, births))
