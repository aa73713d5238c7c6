"""Scenarios in which every kernel is launched, each in the cases that costs are counted for."""

from typing import Any, NamedTuple

from gpusim.backends.compiled import CompiledBackend
from gpusim.engine import Simulation
from gpusim.scenario import Scenario


class Launch(NamedTuple):
    """One launch of a kernel: its blocks, and what it was given."""

    blocks: int
    groups: tuple[object, ...]
    named: dict[str, Any]


def _fields(count: int, **spec: Any) -> dict[str, Any]:
    return {f"f{i}": {"unit": "ng/mL", "decay": "0.01 /min", "initial": 1} | spec for i in range(count)}


def _open_side(fields: int, edge: int) -> dict[str, Any]:
    return {"fields": _fields(fields, diffusion="40 um^2/min", boundary={"z_low": {"value": 1}})}


def _stage(fields: int, edge: int) -> dict[str, Any]:
    return {"fields": _fields(fields, diffusion="600 um^2/min")}


def _tissue(**fractions: float) -> dict[str, Any]:
    shapes = {f"all-{name}": {"kind": "everywhere", "state": name, "fraction": f} for name, f in fractions.items()}
    return {"shapes": {name.replace("-", "_"): shape for name, shape in shapes.items()}}


def _by_cells(fields: int, edge: int) -> dict[str, Any]:
    by_field = {"field": "f0", "half": 1}
    names = [f"f{i}" for i in range(fields)]
    secretion = {"f1": {"rate": 0.001, "modulators": [by_field]}}
    wall = {"f1": {"permeability": "0.1 /min", "body": "blood", "volume": "5 L"}}
    acting = {"uptake": dict.fromkeys(names, "3 /min"), "secretion": secretion, "exchange": wall}
    killer = {
        "layer": "immune",
        "motility": {
            "speed": "10 um/min",
            "chemotaxis": {"field": "f0", "half": 1, "sensitivity": "100 um"},
        },
    }
    neighbours = {"neighbours": ["killer"], "neighbourhood": 26, "per": 26}
    return {
        "fields": _fields(fields, diffusion="40 um^2/min"),
        "states": {"one": acting, "two": acting, "killer": killer},
        "reactions": {"join": {"consumes": {"f0": 1, "f1": 1}, "rate": 1e-3}},
        "rules": {"turn": {"transition": "one -> two", "rate": "1e-4 /min", "modulators": [by_field, neighbours]}},
        "tissue": _tissue(one=1.0, killer=0.2),
        "body": {"quantities": {"blood": {"unit": "ng"}}},
        "therapies": {"dose": {"inject": "f0", "amount": "9 fg", "radius": f"{edge * 20 / 3} um"}},
    }


def _fast(fields: int, edge: int) -> dict[str, Any]:
    states = {"sink": {"uptake": dict.fromkeys((f"f{i}" for i in range(fields)), "10 /min")}}
    spec = _fields(fields, diffusion="1e5 um^2/min", solver="implicit")
    return {"fields": spec, "states": states, "tissue": _tissue(sink=0.5)}


def _with_body(fields: int, edge: int) -> dict[str, Any]:
    """Fast fields that exchange with the body."""
    wall = {"permeability": "0.1 /min", "body": "blood", "volume": "5 L"}
    spec = _fields(fields, diffusion="1e5 um^2/min", solver="implicit")
    states = {"vessel": {"exchange": dict.fromkeys(spec, wall)}}
    return {
        "fields": spec,
        "states": states,
        "tissue": _tissue(vessel=0.1),
        "body": {"quantities": {"blood": {"unit": "ng", "initial": 1}}},
    }


def _by_state(fields: int, edge: int) -> dict[str, Any]:
    """One fast field for multigrid, the others explicit."""
    spec = _fields(fields, diffusion={"default": "400 um^2/min", "stroma": "40 um^2/min"}, solver="explicit")
    spec["f0"] |= {"diffusion": {"default": "1e5 um^2/min", "stroma": "1e4 um^2/min"}, "solver": "implicit"}
    spec["f0"] |= {"holds": {"stroma": 1}}
    return {"fields": spec, "states": {"stroma": {}}, "tissue": _tissue(stroma=0.5)}


def _crowded(fields: int, edge: int) -> dict[str, Any]:
    """A hundredth of the cells divides in a step, a tenth of the voxels is free and closes up, and cells adhere."""
    return {
        "fields": _fields(fields, diffusion="40 um^2/min"),
        "states": {"one": {}},
        "grid": {"sides": {"x": "open"}},
        "rules": {
            "division": {"transition": "one -> one + one", "rate": "0.01 /min", "reach": "100 um"},
            "closing": {"transition": "empty -> outside", "rate": "0.02 /min", "reach": "100 um"},
        },
        "adhesion": {"rate": "0.1 /min", "energies": {"one": {"one": -0.5, "empty": 0}}},
        "tissue": _tissue(one=0.9),
    }


def _with_traits(fields: int, edge: int) -> dict[str, Any]:
    """Four traits, one of which changes in each cell."""
    law = {"growth": "0.001 /min", "modulators": [{"trait": "t0", "half": 5, "effect": "inhibits"}]}
    traits: dict[str, Any] = {f"t{i}": {"of": ["one"], "most": 10, "initial": 1} for i in range(4)}
    traits["t0"]["changes"] = {"growth": law}
    traits["t1"] |= {"unit": "fg", "uptake": {"f0": {"rate": "0.01 /min"}}}
    return _crowded(fields, edge) | {"traits": traits}


def _flowing(fields: int, edge: int) -> dict[str, Any]:
    """Four fields that are carried by a flow."""
    stroma = {"default": "500 um^2/mmHg/min", "stroma": "100 um^2/mmHg/min"}
    pressure = {"unit": "mmHg", "boundary": {"all": {"value": 0}}}
    leak = {"conductivity": "2e-6 cm/mmHg/s", "surface": "200 /cm", "pressure": "20 mmHg"}
    return {
        "fields": {"pressure": pressure} | _fields(4, diffusion="40 um^2/min", advection=True),
        "flow": {"field": "pressure", "conductivity": stroma, "vessels": {"stroma": leak}},
        "states": {"stroma": {}},
        "tissue": _tissue(stroma=0.5),
    }


CASES = {
    "open side": _open_side,
    "stage": _stage,
    "by cells": _by_cells,
    "fast": _fast,
    "with body": _with_body,
    "D by state": _by_state,
    "crowded": _crowded,
    "with traits": _with_traits,
    "flowing": _flowing,
}
"""Scenarios by case: of how many fields, and how many voxels along an edge."""


def simulation(case: str, edge: int, fields: int, backend: CompiledBackend) -> Simulation:
    """A simulation of a case on a cube of `edge` voxels."""
    document = {
        "name": "bench",
        "time": {"until": "2 min", "step": {"field": "1 min", "rules": "1 min"}},
        "record": {"every": "2 min"},
    }
    blank = Scenario.parse("{name: bench, grid: {shape: [1, 1, 1]}}")
    of_case = CASES[case](fields, edge)
    grid = {"shape": [edge] * 3} | of_case.pop("grid", {})
    return Simulation(blank.with_(grid=grid, **document, **of_case), backend)


def launches(simulation: Simulation, backend: CompiledBackend) -> dict[str, Launch]:
    """Take a step; of each kernel the last of its largest launches."""
    found: dict[str, Launch] = {}
    launch = backend.launch

    def note(kernel: str, *groups: object, **named: Any) -> None:
        launch(kernel, *groups, **named)
        blocks = backend.blocks(kernel, *groups, **named)
        if kernel not in found or blocks >= found[kernel].blocks:
            found[kernel] = Launch(blocks, groups, named)

    backend.launch = note  # type: ignore[method-assign]
    try:
        simulation.step()
        simulation.totals()
    finally:
        backend.launch = launch  # type: ignore[method-assign]
    return found
