"""Quantities as written to numbers in a field's unit."""

from gpusim import units
from gpusim.scenario.checks import convertible


def concentration(value: float | str, wanted: tuple[str, ...], volume: float) -> float:
    """`value` in the first unit of `wanted` that fits; an amount is diluted in a voxel of `volume` um^3."""
    unit = convertible(value, wanted)
    assert unit is not None, "checked on loading"
    return units.number(value, unit, volume)
