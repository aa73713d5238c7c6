"""Diffusion, decay and exchange over one step, each field by the solver that suits it."""

from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Backend
from gpusim.engine.state import State
from gpusim.engine.transport import advection, changes, exchange, multigrid
from gpusim.engine.transport.advection import Advection
from gpusim.engine.transport.changes import ChangeSolver, by_change
from gpusim.engine.transport.choice import MOST_PASSES, Choice, choices
from gpusim.engine.transport.diffusion import by_state
from gpusim.engine.transport.explicit import ExplicitSolver
from gpusim.engine.transport.implicit import ImplicitSolver, recipe_of, time_and_mass
from gpusim.engine.transport.multigrid import Multigrid
from gpusim.errors import ScenarioError
from gpusim.model import Fields, Model
from gpusim.model.tables import Form

__all__ = ["MOST_PASSES", "Choice", "Transport", "choices", "memory"]


def _require_ends(fields: Fields) -> None:
    """Raise `ScenarioError` where the lattice can't be cut along z, as its ends are one."""
    for f, name in enumerate(fields.names):
        if fields.boundary.periodic[f, 0]:
            raise ScenarioError(
                f"fields.{name}.boundary.z: 'periodic' along z is not supported by the slabs backend; expected another "
                f"boundary condition, or another backend"
            )


def memory(model: Model) -> int:
    """Bytes that the solvers of one replicate of a model take beside its state."""
    found = choices(model)
    levels = multigrid.memory(_cycled(model, found), by_state(model), model.shape)
    base = model.voxels * changes.BYTES_PER_VOXEL * _any_by_change(model, found)
    return levels + base + exchange.memory(model) + advection.memory(model)


def _any_by_change(model: Model, found: list[Choice]) -> bool:
    return any(by_change(model, f, choice.solver) for f, choice in enumerate(found))


def _cycled(model: Model, found: list[Choice]) -> np.ndarray:
    """Which fields take cycles of multigrid, and so have a place on its coarse levels: bool [F]."""
    solved = [
        choice.solver != "explicit" and recipe_of(model, f, choice.solver).cycles for f, choice in enumerate(found)
    ]
    return np.array(solved, bool)


class Transport:
    """All fields of a model by their solvers, for replicates of it, which differ by their seeds."""

    def __init__(self, models: Sequence[Model], backend: Backend) -> None:
        model, replicates = models[0], len(models)
        seeds = backend.array(np.array([each.seed for each in models], np.uint64))
        if backend.ranks > 1:
            _require_ends(model.fields)
        self.choices = choices(model)
        self._maps = _maps(model, replicates, backend, self.choices)
        cycled = _cycled(model, self.choices)
        levels = Multigrid(cycled, by_state(model), replicates, model.shape, backend)
        schemes = [choice.scheme for choice in self.choices]
        self._solvers: list[ExplicitSolver | ImplicitSolver | ChangeSolver] = []
        planes = model.shape if _any_by_change(model, self.choices) else (0, 0, 0)
        base = backend.lattice(np.zeros((replicates, *planes), np.float32))

        def add(solver: str, fields: list[int]) -> None:
            if solver == "explicit":
                self._solvers.append(ExplicitSolver(model, backend, fields, schemes, self._maps, seeds))
            elif by_change(model, fields[0], solver):
                (f,) = fields
                self._solvers.append(ChangeSolver(model, backend, f, solver, levels, self._maps, seeds, base))
            else:
                self._solvers.append(ImplicitSolver(model, backend, fields, solver, levels, self._maps))

        # Fields that are stepped by themselves come first, one by one on every backend: their effects look at others.
        together: dict[str, list[int]] = {}
        pressure = model.flow.field if model.flow is not None else None
        self._advection = None
        if model.flow is not None:
            self._advection = Advection(models, backend, levels, self._maps, seeds)
        for f, (choice, by_itself) in enumerate(zip(self.choices, exchange.alone(model.exchange), strict=True)):
            if f == pressure:
                continue
            if by_itself:
                add(choice.solver, [f])
            else:
                together.setdefault(choice.solver, []).append(f)
        for solver in sorted(together, key=lambda each: each != "explicit"):
            add(solver, together[solver])

    def settle(self, state: State, step: int) -> None:
        """Solve for the pressure of fluid that flows before step number `step`, after which `state` is whole."""
        if self._advection is not None:
            self._advection.settle(state, step)

    def forget(self) -> None:
        """Take nothing for granted of a state that has been replaced."""
        if self._advection is not None:
            self._advection.forget()

    def passes_of_advection(self, state: State) -> int:
        """Passes in a step, of the present flow and of that while each needle infuses, the most of these.

        Raises `NumericalError` where the flow is too fast.
        """
        return self._advection.most_passes(state) if self._advection is not None else 0

    def carry(self, state: State, step: int) -> bool:
        """Take the advection of step number `step`, in place, and say whether there is any."""
        if self._advection is not None:
            self._advection.advance(state, step)
        return self._advection is not None

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: advance `state.fields`, in place; `state.spare` is overwritten."""
        self._maps.follow(state)
        for solver in self._solvers:
            solver.advance(state, step)


def _maps(model: Model, replicates: int, backend: Backend, found: list[Choice]) -> exchange.ExchangeMaps:
    """The maps, in the forms and for the times in which the chosen solvers read them."""
    forms: list[Form] = []
    times, masses = np.ones(len(found)), np.ones(len(found))
    walled = exchange.walled(model.exchange)
    for f, choice in enumerate(found):
        if choice.solver == "explicit":
            form = Form.IMPLICIT if choice.scheme.method.implicit_exchange else Form.EXPLICIT
            forms.append(form | Form.WALLED if walled[f] else form)
            times[f] = choice.scheme.time
        else:
            forms.append(Form.OPERATOR | Form.WALLED if by_change(model, f, choice.solver) else Form.OPERATOR)
            times[f], masses[f] = time_and_mass(choice.solver, model.step, float(model.exchange.decay[f]))
    return exchange.ExchangeMaps(model, model.exchange.part(by_fluid=False), replicates, backend, forms, times, masses)
