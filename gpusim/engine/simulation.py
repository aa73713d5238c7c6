"""A simulation: the replicates of a scenario, and the run of their time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any

from gpusim.backends import create
from gpusim.backends.base import Backend
from gpusim.engine.actions import Action
from gpusim.engine.clock import between_steps
from gpusim.engine.replicate import Replicate
from gpusim.engine.stepper import Stepper
from gpusim.errors import BackendError, GpusimError, ScenarioError
from gpusim.model import Model
from gpusim.scenario import Scenario


class Simulation(Replicate):
    """A running scenario.

        sim = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot"), backend="cpu")
        sim.run(until="12 h")
        virus = sim.field("virus")  # float32 [z, y, x]

    A simulation contains one replicate or several (`replicates`). Time, `backend`, `model` and `models` are common to
    all; the models of replicates differ only in the seed, the cells at time 0 and the order of injected cells. Methods
    that change the state (`inject`, `set` and others) act on all replicates. The attributes of a single replicate
    (fields, cells, counts, body, digest, scenario with its seed) are read from it, as in `replicates[i].counts`. A
    simulation with one replicate has these attributes itself; with several, they raise `GpusimError`.

    Args:
        scenario: a scenario, its name or its file.
        backend: "auto", "cuda", "cpu" or "numpy".
        threads: number of threads of the cpu backend; by default, all cores. The result does not depend on it.
        seed: replaces the seed of the scenario. Several seeds give as many replicates, which are stepped together; each
            is, bit for bit, the same as in a separate simulation.

    Raises `ScenarioError` or `BackendError`.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path,
        backend: str | Backend = "auto",
        *,
        threads: int | None = None,
        seed: int | Sequence[int] | None = None,
    ) -> None:
        loaded = Scenario.load(scenario) if isinstance(scenario, str | Path) else scenario
        if not isinstance(loaded, Scenario):
            raise TypeError(f"scenario: expected a Scenario, or its name or file, found {type(scenario).__name__}")
        if seed is None:
            scenarios = [loaded]
        else:
            scenarios = [loaded.with_(seed=each) for each in (seed if isinstance(seed, Sequence) else [seed])]
        if not scenarios:
            raise ScenarioError("seed: expected one or more, found none")
        machine = create(backend, threads)
        if machine.ranks > 1 and len(scenarios) > 1:
            raise BackendError(f"backend '{machine.name}' takes one replicate at a time, found {len(scenarios)}")
        super().__init__(Stepper(scenarios, machine), 0)

    def __repr__(self) -> str:
        of = f"{len(self.seeds)} replicates, seeds" if len(self.seeds) > 1 else "seed"
        return f"<Simulation of {self._told()}, {of} {', '.join(map(str, self.seeds))}, {self._time()}>"

    @property
    def replicates(self) -> tuple[Replicate, ...]:
        """A view of each replicate, in the order of the seeds."""
        return tuple(Replicate(self._stepper, r) for r in range(len(self._stepper.scenarios)))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of each replicate."""
        return tuple(each.seed for each in self.replicates)

    @property
    def number(self) -> int:
        """Number of the only replicate, 0. Raises `GpusimError` if there are several."""
        if len(self._stepper.scenarios) > 1:
            raise GpusimError(
                f"this simulation has {len(self._stepper.scenarios)} replicates; use one of them, e.g. "
                "simulation.replicates[0].counts"
            )
        return 0

    @property
    def models(self) -> dict[str, Model]:
        """The present model of each site, of the first replicate."""
        return self.replicates[0].models

    @property
    def _acted_on(self) -> Sequence[Replicate]:
        return self.replicates

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the threads and memory of the backend."""
        self.backend.worker.do(self.backend.close)

    @between_steps
    def step(self, count: int = 1) -> None:
        """Take `count` time steps: due doses, transport and exchange, movement, then rules and body if they are due.

        An exception that arrives during a step, such as Ctrl-C, is raised when this step has ended. Raises `StateError`
        if an earlier step has failed.
        """
        wanted = index(count)
        if wanted < 0:
            raise ValueError(f"count: expected 0 steps or more, found {wanted}")
        self._stepper.step(wanted)

    def run(self, until: str | int | None = None, *, each: Callable[[], bool | None] | None = None) -> None:
        """Run until a simulated time ("12 h"), for a total number of steps, or until the end of the scenario.

        `gpusim.run` does the same and writes a result folder.

        Args:
            each: called after each time step; ends the run if it returns True.

        Raises `NumericalError` if a concentration becomes invalid in any replicate. This is checked once per
        `record.every` and at the end, because each check waits for the GPU.
        """
        every, checked = self.model.record_every, self.steps
        for steps in self.stretches(until, at_most=1 if each else None):
            if steps // every > checked // every:
                self.check()
                checked = steps
            if each is not None and each():
                break
        if checked < self.steps:
            self.check()

    def check(self) -> None:
        """Raise `NumericalError` if a concentration or a body is invalid in any replicate."""
        for replicate in self.replicates:  # which are noted together
            replicate.check()

    def stretches(self, until: str | int | None = None, *, at_most: int | None = None) -> Iterator[int]:
        """Run from one application of the rules to the next, or by `at_most` time steps if these are fewer.

        Yields the number of steps taken so far after each stretch.
        """
        end = self.model.until if until is None else until if isinstance(until, int) else self.steps_until(until)
        while self._stretch(end, at_most or self.model.rules_every):
            yield self.steps

    @between_steps
    def _stretch(self, end: int, at_most: int) -> bool:
        """Step to the next application of the rules, or less far; False where the end is reached."""
        every, before = self.model.rules_every, self.steps
        self.step(max(0, min(every - before % every, end - before, at_most)))
        return self.steps > before

    @between_steps
    def change(self, changes: Mapping[str, Any]) -> None:
        """Change numbers of the scenario from now on: `sim.change({"rules.infection.rate": "0.02 /min"})`.

        The model of all replicates is rebuilt from the changed scenario; state and time steps remain. The numbers of
        `fields`, `flow`, `states`, `rules`, `reactions`, `adhesion`, `traits`, `body` and `therapies` can change;
        therapies and adhesion can be added and removed. Names, units, layers, transitions, the grid, the tissue at time
        0 and the times of the run cannot change.

        Args:
            changes: values by dotted path, as for `Scenario.load`.

        Warns if the time steps are too large for the new rates. Raises `ScenarioError`, and changes nothing, if the
        change is not possible or has no effect.
        """
        if not changes:
            raise ScenarioError("change: expected a path and its value, found none")
        self._stepper.change(dict(changes))
        for each in self.replicates:
            each._note("change", dict(changes))

    def repeat(self, action: Action) -> None:
        """Repeat an action of another run. Raises `ScenarioError`, also for "set", whose array is not recorded."""
        if action.verb == "set":
            raise ScenarioError(
                f"repeat: only the checksum of the array of 'set' at step {action.step} is stored; set field "
                f"'{action.arguments['field']}' again in a function of `every`"
            )
        if action.verb == "change":
            self.change(action.arguments)
        else:
            self._treat(action.verb, **action.arguments)
