"""Flow of interstitial fluid: the pressure as a field, and the sources of fluid by tissue state."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpusim import units
from gpusim.model import steps
from gpusim.model.model import Flow
from gpusim.scenario import Document
from gpusim.scenario.checks import barriers
from gpusim.scenario.schema import Advection


class Source(NamedTuple):
    """Fluid that a tissue state makes: conductance * (pressure - p), per volume of tissue and time.

    Attributes:
        conductance: 1/min for a difference of 1 in the unit of p; pressure: in the unit of p.
        drains: whether what it takes back goes with the solute (lymph), or without (vessels).
    """

    state: str
    conductance: float
    pressure: float
    drains: bool


def sources(document: Document) -> Iterator[Source]:
    """Vessels and lymphatics of all states."""
    flow = document.flow
    if flow is None:
        return
    unit = document.fields[flow.field].unit
    for state, leak in flow.vessels.items():
        wall = units.number(leak.conductivity, f"um/min/({unit})") * units.number(leak.surface, "1/um")
        pressure = units.number(leak.pressure, unit) - leak.reflection * units.number(leak.oncotic, unit)
        yield Source(state, wall, pressure, drains=False)
    for state, lymph in flow.lymphatics.items():
        conductance = units.number(lymph.conductance, f"1/min/({unit})")
        yield Source(state, conductance, units.number(lymph.pressure, unit), drains=True)


def highest_pressure(document: Document) -> float:
    """No pressure is above the highest of all that are given, in the unit of the field.

    A needle with the volume per time q and the radius r raises it in its middle by 3 q / (8 pi K r) in an unbounded
    tissue; the lowest K is taken.
    """
    flow = document.flow
    if flow is None:
        return 0.0
    spec = document.fields[flow.field]
    given = [each.pressure for each in sources(document)]
    given += [units.number(value, spec.unit) for value in spec.holds.values()]
    for side in spec.boundary.sides():
        given += [units.number(side.value, spec.unit)] if side.value is not None else []
        given += [units.number(side.far, spec.unit)] if side.permeability is not None else []
    lowest = min(conductivity(document, state) for state in flow.conductivity)
    edge = units.number(document.grid.spacing, "um")
    needles = 0.0
    for therapy in document.therapies.values():
        if therapy.volume is not None and therapy.duration is not None:
            rate = units.number(therapy.volume, "um^3") / units.number(therapy.duration, "min")
            radius = max(units.number(therapy.radius, "um"), edge / 2)
            needles += 3 * rate / (8 * math.pi * lowest * radius)
    return max(given, default=0.0) + needles


def conductivity(document: Document, state: str) -> float:
    """K of a tissue state, um^2/min for a difference of 1 in the unit of p."""
    flow = document.flow
    assert flow is not None, "asked for the field of the pressure"
    unit = document.fields[flow.field].unit
    other = "0 um^2/min/Pa" if state in barriers(document) else flow.conductivity["default"]
    return units.number(flow.conductivity.get(state, other), f"um^2/min/({unit})")


def speed(advection: Advection | None) -> float:
    """Velocity of a solute relative to that of the fluid through the tissue."""
    return advection.retardation / advection.volume if advection is not None else 0.0


def build_flow(document: Document, step: float) -> Flow | None:
    """The flow of a scenario with a time step, min. Raises `ScenarioError` where `every` is no multiple of it."""
    flow = document.flow
    if flow is None:
        return None
    minutes = units.number(flow.every, "min")
    given = "every" in flow.model_fields_set
    every = steps.whole(minutes, step, "flow.every") if given else max(1, round(minutes / step))
    speeds = np.array([speed(spec.advection) for spec in document.fields.values()])
    return Flow(list(document.fields).index(flow.field), every, speeds)
