"""Which solver a field takes, and why."""

from dataclasses import dataclass

import numpy as np

from gpusim.engine.transport.explicit import Scheme, schemes
from gpusim.errors import ScenarioError
from gpusim.model import Model

MOST_PASSES = 60
"""Explicit passes a step up to which `auto` goes explicit. A multigrid solve costs as much as 80 of them at 128^3
and 200 at 16^3 on a processor, and moves as many bytes as 40, in two hundred launches, on a GPU."""

_MOST_EXPLICIT = 100_000


@dataclass(frozen=True)
class Choice:
    """The solver of a field, and why; `scheme` is how explicit passes would step it."""

    solver: str
    reason: str
    scheme: Scheme

    @property
    def passes(self) -> int:
        """Explicit passes in a step; 1 for another solver."""
        return self.scheme.passes if self.solver == "explicit" else 1


def choices(model: Model) -> list[Choice]:
    """The solver of each field. Raises `ScenarioError` where a field can't have the one asked for."""
    found = []
    for f, (name, scheme) in enumerate(zip(model.fields.names, schemes(model), strict=True)):
        asked, count = model.fields.solvers[f], scheme.passes
        if asked == "steady" and not _settles(model, f):
            raise ScenarioError(
                f"fields.{name}.solver: 'steady' needs a decay above 0; found {model.exchange.decay[f]:g} /min"
            )
        if asked == "explicit" and count > _MOST_EXPLICIT:
            raise ScenarioError(
                f"fields.{name}.solver: 'explicit' needs {count:,} passes per step; expected at most "
                f"{_MOST_EXPLICIT:,}: use 'auto', or a shorter time.step.field"
            )
        why = f"asked for ({count} explicit passes, {scheme.method.value})"
        solver = asked
        if asked == "auto":
            solver = "explicit" if count <= MOST_PASSES else "implicit"
            than = "at most" if solver == "explicit" else "over"
            why = f"{count} passes ({scheme.method.value}), {than} {MOST_PASSES}"
        found.append(Choice(solver, why, scheme))
    return found


def _settles(model: Model, f: int) -> bool:
    """Whether every voxel loses, by itself or by diffusion to an open side."""
    fields = model.fields
    through = fields.boundary.permeability[f].max() > 0 or _always_held(model, f)
    drained = bool(fields.diffusion[f].min() > 0 and through)
    return drained or bool(model.exchange.decay[f] > 0)


def _always_held(model: Model, f: int) -> bool:
    """Whether some voxel holds its concentration at all times."""
    cells = model.cells
    left = set(np.flatnonzero((np.diff(cells.rule_begin) > 0) | (cells.motilities["hop"] > 0)).tolist())
    left |= {state for resection in model.resections for state in resection.states}
    left |= {state for graft in model.grafts for state in graft.replaces}
    staying = [state for state in np.flatnonzero(model.exchange.holds[f]).tolist() if state not in left]
    return bool(staying) and bool(np.isin(model.initial.tissue, staying).any())
