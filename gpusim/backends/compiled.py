"""The operations as launches of compiled kernels: shared by the cpu and the cuda backend."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Array, Draw, ExplicitTables, FieldSums, RuleTables

DEPOSIT_THREADS = 256


def row_threads(nx: int) -> int:
    """Threads of a block that takes a row of nx voxels: whole warps, 256 at most."""
    return min(256, -(-nx // 32) * 32)


class CompiledBackend(ABC):
    """Operations in terms of `launch`. One block takes one row of voxels."""

    name: str
    threads: int

    @abstractmethod
    def array(self, values: np.ndarray) -> Array: ...

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray: ...

    @abstractmethod
    def launch(self, kernel: str, blocks: int, threads: int, arguments: Sequence[Array | np.generic]) -> None:
        """Run a kernel; arguments are arrays of the backend and NumPy scalars of the kernel's types."""

    def explicit_step(
        self, source: Array, target: Array, tissue: Array, immune: Array, active: Array, tables: ExplicitTables
    ) -> None:
        nz, ny, nx = tissue.shape
        _, tissue_states, immune_states = tables.keep.shape
        arguments = (
            source,
            target,
            tissue,
            immune,
            active,
            tables.courant,
            tables.keep,
            tables.gain,
            tables.exchange_by,
            *map(np.int32, (nz, ny, nx, tissue_states, immune_states)),
        )
        self.launch("explicit_step", active.size * nz * ny, row_threads(nx), arguments)

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        # A host block has one thread.
        threads = 1 if self.name == "cpu" else DEPOSIT_THREADS
        arguments = (field, voxels, amounts, np.int64(voxels.size))
        self.launch("deposit", -(-voxels.size // threads), threads, arguments)

    def apply_rules(
        self,
        own: Array,
        other: Array,
        next: Array,
        clock: Array,
        fields: Array,
        tables: RuleTables,
        fired: Array,
        draw: Draw,
    ) -> None:
        nz, ny, nx = own.shape
        arguments = (
            own,
            other,
            next,
            clock,
            fields,
            tables.rules,
            tables.begin,
            tables.modulators,
            tables.releases,
            fired,
            np.uint64(draw.seed),
            np.uint32(draw.step),
            np.uint32(draw.purpose),
            *map(np.int32, (nz, ny, nx)),
        )
        self.launch("apply_rules", nz * ny, row_threads(nx), arguments)

    def sum_fields(self, fields: Array) -> FieldSums:
        count, nz, ny, nx = fields.shape
        whole = self.array(np.zeros(count, np.uint64))
        fraction = self.array(np.zeros(count, np.uint64))
        fault = self.array(np.full(count, 2**64 - 1, np.uint64))
        arguments = (fields, whole, fraction, fault, *map(np.int32, (nz, ny, nx)))
        self.launch("sum_fields", count * nz * ny, row_threads(nx), arguments)
        return FieldSums(*map(self.to_numpy, (whole, fraction, fault)))

    def close(self) -> None:  # noqa: B027 (nothing to give back unless a backend says so)
        """Give back threads and memory."""
