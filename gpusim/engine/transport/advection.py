"""Advection of fields by the flow of fluid, v = -K grad p.

The pressure p is a steady field: its D is K, its production and loss are the sources of fluid, and so is what needles
infuse. It is solved for at an interval, and when a needle is turned on or off, with the tissue of that time, of which a
copy is kept: faces carry v with the same K until the next solution, so that the fluid that leaves a voxel is what its
sources give, but for what is left of the residual.

A pass includes what fluid brings into a voxel from vessels, and what vessels and the lymph take from it: in a step of
its own, this would follow the dilution by the fluid. The maps of both are made after each solution.

A step of advection comes before that of diffusion and other exchange (a splitting of first order in dt). It takes as
few passes of the scheme of kernels/advection.cu as empty no voxel; the rates out of voxels are measured after each
solution.
"""

import math
from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array
from gpusim.engine.purpose import Purpose
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import diffusion
from gpusim.engine.transport.exchange import ExchangeMaps
from gpusim.engine.transport.implicit import ImplicitSolver
from gpusim.engine.transport.multigrid import Multigrid
from gpusim.errors import NumericalError
from gpusim.model import Model
from gpusim.model.model import Dose
from gpusim.model.tables import Form

MOST_PASSES = 1000
"""Of advection in a step."""

SOLVES = 3
"""Times the cycles of another steady field: what is left of the residual acts on the fields like a source of fluid.
Where K of scattered voxels is a hundredth of that around, four cycles take it to a quarter."""

BYTES_PER_VOXEL = 4
"""The rates out of voxels."""

_ROUNDING = 1e-5
"""Of a Courant number, by which it may be above 1."""


def passes_of(courant: float) -> int:
    """Passes of a step in which the sum of the Courant numbers out of a voxel is at most so much."""
    return math.ceil(courant * (1 - _ROUNDING))


def memory(model: Model) -> int:
    """Bytes that advection takes for one replicate of a model."""
    return BYTES_PER_VOXEL * model.voxels if model.flow is not None and model.flow.speeds.any() else 0


class Advection:
    """The pressure, and the fields that its flow carries, for replicates of a model."""

    def __init__(
        self,
        models: Sequence[Model],
        backend: Backend,
        multigrid: Multigrid,
        exchange: ExchangeMaps,
        seeds: Array,
    ) -> None:
        model, replicates = models[0], len(models)
        assert model.flow is not None, "made where fluid flows"
        self._model, self._flow, self._backend, self._seeds = model, model.flow, backend, seeds
        self._pressure = ImplicitSolver(model, backend, [model.flow.field], "steady", multigrid, exchange)
        self._diffusion = diffusion(model, np.ones(len(model.fields)), backend)
        carried = np.flatnonzero(model.flow.speeds)
        fluid, ones = model.exchange.part(by_fluid=True), np.ones(len(model.fields))
        forms = [Form.EXPLICIT | Form.WALLED] * len(model.fields)
        self._fluid = ExchangeMaps(
            model, fluid, replicates, backend, forms, ones, ones, permeable=exchange.maps.permeable
        )
        self._counted = self._fluid.walls_of(carried.tolist())
        self._speeds = backend.array(model.flow.speeds.astype(np.float32))
        nz, ny, nx = model.shape if carried.size else (0, 0, 0)
        self._active = backend.array(carried.astype(np.int32)) if carried.size else None
        self._outflow = backend.lattice(np.zeros((replicates, nz, ny, nx), np.float32))
        self._fastest = backend.lattice(np.zeros((replicates, nz, ny, 1), np.float32))
        self._scales = backend.array(np.zeros((len(model.fields), replicates), np.float32))
        self._passes = backend.array(np.zeros(replicates, np.int32))
        self._minutes = backend.array(np.zeros(replicates, np.float32))
        self._half_times: list[tuple[int, Array]] = []
        """Up to which pass, and half of its time, min, float32 [F, R]; 0 for a replicate that takes fewer passes."""
        self._needles = _needles_on_backend(models, backend)
        self._infusing: list[str] = []
        """Therapies whose needles were on in the last solution."""
        self._most_passes: int | None = None
        self._ending_in_spare: list[tuple[int, int]] = []
        """Field and replicate, of those with an odd number of passes."""

    def settle(self, state: State, step: int) -> None:
        """Solve for the pressure from anew, as it is before step number `step`."""
        self._solve(state, step - 1, first=True)

    def forget(self) -> None:
        """Measure the flow again before it carries anything, as the state has been replaced."""
        self._most_passes = None

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: change `state.fields` in place; `state.spare` is overwritten.

        Raises `NumericalError` where the flow is too fast.
        """
        if step % self._flow.every == 0 or any(d.due(step) != d.due(step - 1) for d, *_ in self._needles):
            self._solve(state, step, first=False)
        for number in range(1, self.passes(state) + 1):
            source, target = (state.fields, state.spare) if number % 2 else (state.spare, state.fields)
            self._count(state, source, number)
            self._backend.launch(
                "advect",
                self._diffusion,
                self._fluid.maps,
                walls=self._fluid.walls,
                body=state.body,
                minutes=self._minutes,
                active=self._active,
                scales=self._scales,
                passes=self._passes,
                seeds=self._seeds,
                step=step,
                purpose=Purpose.ADVECTION,
                fields=state.fields,
                tissue=state.flow.tissue,
                outflow=self._outflow,
                source=source,
                target=target,
                pressure=self._flow.field,
                number=number,
            )
            self._count(state, target, number)
        for part in self._ending_in_spare if self._most_passes else ():
            self._backend.copy(state.fields[part], state.spare[part])

    def _count(self, state: State, fields: Array, number: int) -> None:
        """Count what crosses walls to the body in half of a pass, from the concentrations before it or after it."""
        if self._counted is not None:
            times = next(times for last, times in self._half_times if number <= last)
            self._fluid.count(state, fields, self._counted, times)

    def passes(self, state: State) -> int:
        """Passes of the present flow in a step, the most of all replicates. Raises `NumericalError`."""
        if self._most_passes is None and self._active is not None:
            self._most_passes = self._measured(state)
        return self._most_passes or 0

    def most_passes(self, state: State) -> int:
        """The same, and of the flow while each needle infuses, with the present tissue. Changes nothing."""
        found = [self.passes(state)]
        kept = [
            (each, np.array(self._backend.to_numpy(each)))
            for each in (state.fields[self._flow.field], state.flow.tissue)
        ]
        try:
            for step in {self._flow_on(dose.step): dose.step for dose, *_ in self._needles}.values():
                self._solve(state, step, first=True)
                found.append(self.passes(state))
        finally:
            for array, values in kept:
                self._backend.write(array, values)
            self.forget()
        return max(found)

    def _flow_on(self, step: int) -> tuple[tuple[float, bytes], ...]:
        """The fluid of the needles that are on, and its voxels."""
        return tuple((dose.fluid, dose.voxels.tobytes()) for dose, *_ in self._needles if dose.due(step))

    def _solve(self, state: State, step: int, *, first: bool) -> None:
        def infuse() -> None:
            for dose, voxels, fluid in self._needles:
                if dose.due(step):
                    rhs = state.spare[self._flow.field]
                    self._backend.launch("deposit", field=rhs, voxels=voxels, amounts=fluid)

        self._infusing = [dose.name for dose, *_ in self._needles if dose.due(step)]
        self._backend.copy(state.flow.tissue, state.tissue.cells)
        for _ in range(SOLVES):
            self._pressure.advance(state, 0 if first else 1, infuse)
        self.forget()

    def _measured(self, state: State) -> int:
        """Make the maps of what fluid brings and takes, and find the passes of each replicate, and the most of all."""
        self._fluid.follow_tissue(state, state.flow.tissue)
        self._backend.launch(
            "measure_outflow",
            self._diffusion,
            self._fluid.maps,
            active=self._active,
            speeds=self._speeds,
            walls=self._fluid.walls,
            fields=state.fields,
            tissue=state.flow.tissue,
            outflow=self._outflow,
            fastest=self._fastest,
            pressure=self._flow.field,
        )
        fastest = self._backend.to_numpy(self._fastest).astype(float).max(axis=(1, 2, 3))
        speeds, step = self._flow.speeds, self._model.step
        courant = fastest * speeds.max() * step
        if not (courant <= MOST_PASSES).all():
            name = self._model.fields.names[int(speeds.argmax())]
            longer = " or ".join(f"'therapies.{needle}.duration'" for needle in self._infusing)
            raise NumericalError(
                f"flow: '{name}' takes {courant.max():,.0f} passes of advection per time step of {step:g} min; "
                f"expected at most {MOST_PASSES:,}. Use a shorter 'time.step.field', or a "
                + (f"longer {longer}" if longer else "lower 'flow.conductivity'")
            )
        passes = np.array([passes_of(each) for each in courant], np.int32)
        self._backend.write(self._passes, passes)
        carried = np.flatnonzero(speeds).tolist()
        self._ending_in_spare = [(f, r) for r in np.flatnonzero(passes % 2).tolist() for f in carried]
        times = step / np.maximum(passes, 1)
        self._backend.write(self._scales, (speeds[:, None] * times).astype(np.float32))
        self._backend.write(self._minutes, times.astype(np.float32))
        if self._counted is not None:
            halves = {int(last): np.where(passes >= last, times / 2, 0.0) for last in np.unique(passes)}
            self._half_times = [
                (last, self._backend.array(np.tile(half.astype(np.float32), (len(speeds), 1))))
                for last, half in halves.items()
            ]
        return int(passes.max())


def _needles_on_backend(models: Sequence[Model], backend: Backend) -> list[tuple[Dose, Array, Array]]:
    """Doses with fluid, their voxels in all replicates, and the fluid that enters each, 1/min."""
    found = []
    for doses in zip(*(model.doses for model in models), strict=True):
        if doses[0].fluid:
            voxels = np.concatenate([each.voxels + r * models[0].voxels for r, each in enumerate(doses)])
            fluid = np.full(len(voxels), doses[0].fluid, np.float32)
            found.append((doses[0], backend.array(voxels), backend.array(fluid)))
    return found
