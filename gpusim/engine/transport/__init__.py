"""Diffusion, decay and exchange over one step, each field by the solver that suits it."""

from dataclasses import dataclass

from gpusim.backends.base import Backend
from gpusim.engine.state import State
from gpusim.engine.transport import multigrid
from gpusim.engine.transport.diffusion import varies
from gpusim.engine.transport.explicit import ExplicitSolver, schemes
from gpusim.engine.transport.implicit import ImplicitSolver
from gpusim.engine.transport.multigrid import Multigrid
from gpusim.errors import ScenarioError
from gpusim.model import Fields, Model

MOST_PASSES = 60
"""Explicit passes a step up to which `auto` goes explicit. A multigrid solve costs as much as 80 of them at 128^3
and 200 at 16^3 on a processor, and moves as many bytes as 40, in two hundred launches, on a GPU."""

_MOST_EXPLICIT = 100_000


@dataclass(frozen=True)
class Choice:
    """The solver of a field, and why."""

    solver: str
    passes: int
    reason: str


def choices(model: Model) -> list[Choice]:
    """The solver of each field. Raises `ScenarioError` where a field can't have the one asked for."""
    explicit = schemes(model.fields, model.spacing, model.step)
    found = []
    for f, name in enumerate(model.fields.names):
        asked, count = model.fields.solvers[f], explicit[f].passes
        if asked == "steady" and not _settles(model.fields, f):
            raise ScenarioError(
                f"fields.{name}.solver: 'steady' needs a decay above 0; found {model.fields.loss[f].min():g} /min"
            )
        if asked == "explicit" and count > _MOST_EXPLICIT:
            raise ScenarioError(
                f"fields.{name}.solver: 'explicit' needs {count:,} passes a step; expected at most "
                f"{_MOST_EXPLICIT:,}: take 'auto', or a shorter time.step.field"
            )
        why = f"asked for ({count} explicit passes, {explicit[f].method.value})"
        solver = asked
        if asked == "auto":
            solver = "explicit" if count <= MOST_PASSES else "implicit"
            than = "at most" if solver == "explicit" else "over"
            why = f"{count} passes ({explicit[f].method.value}), {than} {MOST_PASSES}"
        found.append(Choice(solver, count if solver == "explicit" else 1, why))
    return found


def _settles(fields: Fields, f: int) -> bool:
    """Whether every voxel loses, by itself or by diffusion to an open side."""
    drained = bool(fields.diffusion[f].min() > 0 and fields.boundary.permeability[f].max() > 0)
    return drained or bool(fields.loss[f].min() > 0)


def _require_ends(fields: Fields) -> None:
    """Raise `ScenarioError` where the lattice can't be cut along z, as its ends are one."""
    for f, name in enumerate(fields.names):
        if fields.boundary.periodic[f, 0]:
            raise ScenarioError(
                f"fields.{name}.boundary.z: 'periodic' can't be run on slabs, which are cut along z; expected "
                f"another boundary there, or a backend of one process"
            )


def memory(model: Model) -> int:
    """Bytes that the solvers of one replicate of a model take beside its state."""
    implicit = any(choice.solver != "explicit" for choice in choices(model))
    return multigrid.memory(len(model.fields), model.shape, bool(varies(model.fields).any())) if implicit else 0


class Transport:
    """All fields of a model by their solvers, for some replicates of it."""

    def __init__(self, model: Model, replicates: int, backend: Backend) -> None:
        if backend.ranks > 1:
            _require_ends(model.fields)
        self.choices = choices(model)
        by_solver: dict[str, list[int]] = {}
        for f, choice in enumerate(self.choices):
            by_solver.setdefault(choice.solver, []).append(f)
        self._solvers: list[ExplicitSolver | ImplicitSolver] = []
        if "explicit" in by_solver:
            self._solvers.append(ExplicitSolver(model, backend, by_solver.pop("explicit")))
        if by_solver:
            varying = bool(varies(model.fields).any())
            levels = Multigrid(len(model.fields), replicates, model.shape, backend, varying=varying)
            self._solvers += [ImplicitSolver(model, backend, f, m, levels) for m, f in by_solver.items()]

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: advance `state.fields`, in place; `state.spare` is overwritten."""
        for solver in self._solvers:
            solver.advance(state, step)
