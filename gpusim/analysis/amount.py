"""Sums of fields over voxels, as amounts or means."""

from collections.abc import Sequence
from typing import NamedTuple

from gpusim import units


class Whole(NamedTuple):
    """The total or mean of a field over a lattice: `factor` times the sum over its voxels, in `unit`.

    Attributes:
        is_amount: whether it is an amount of something; a mean where not.
    """

    factor: float
    unit: str
    is_amount: bool

    @property
    def label(self) -> str:
        """The unit, and whether it is a mean: "PFU", "mmHg, mean"."""
        return self.unit if self.is_amount else f"{self.unit}, mean".removeprefix(", ")


def whole(unit: str, voxels: Sequence[int], spacings: Sequence[float]) -> Whole:
    """The total or mean of a field with this unit, over one or more lattices.

    A number per voxel adds up ("PFU/voxel": PFU), and so does one per volume, times the volume of a voxel ("ng/mL":
    ng). Anything else, a pressure or a fraction, has a mean over the voxels and no sum; so has a concentration on
    lattices of different voxels.

    Args:
        voxels, spacings: of each lattice; spacings in um.
    """
    amounts = {units.amount_per_voxel(unit, spacing**3) for spacing in spacings}
    amount = amounts.pop()
    if amount is not None and not amounts:
        return Whole(*amount, is_amount=True)
    return Whole(1 / sum(voxels), unit, is_amount=False)


def volume_label(voxels: Sequence[int], spacings: Sequence[float]) -> str:
    """The volume of one or more lattices: "0.262 mm^3"."""
    return f"{sum(n * d**3 for n, d in zip(voxels, spacings, strict=True)) * 1e-9:.3g} mm^3"
