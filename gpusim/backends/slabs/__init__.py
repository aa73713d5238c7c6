"""One lattice on several processes, by MPI: slabs along z, with halos (docs/scale.md)."""

from gpusim.backends.slabs.backend import SlabsBackend, create

__all__ = ["SlabsBackend", "create"]
