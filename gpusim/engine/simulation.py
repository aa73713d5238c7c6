"""A simulation: its replicates, and the schedule of a step."""

import time
from collections.abc import Iterator, Sequence
from operator import index
from pathlib import Path
from types import TracebackType

import numpy as np

from gpusim.backends import create
from gpusim.backends.base import Backend
from gpusim.body import Circulation
from gpusim.engine import memory
from gpusim.engine.clock import Clock, between_steps
from gpusim.engine.replicate import Replicate
from gpusim.engine.site import Site
from gpusim.engine.stack import Stack, tallied
from gpusim.errors import BackendError, ScenarioError
from gpusim.model import build
from gpusim.scenario import Scenario


class Simulation(Replicate):
    """A running scenario.

        sim = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot"), backend="cpu")
        sim.run(until="12 h")
        virus = sim.field("virus")  # float32 [z, y, x]

    Args:
        scenario: what to run; or its name or file.
        backend: "auto", "cuda", "cpu" or "numpy".
        threads: of the cpu backend; all cores by default. The result does not depend on it.
        seed: instead of the scenario's. Several make as many replicates, which are stepped together; each is, bit
            for bit, what it is in a simulation of its own.

    What is asked of a simulation itself is that of its first replicate, which mostly is the only one.

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
        models = {name: [build(each.site(name)) for each in scenarios] for name in loaded.sites}
        machine = create(backend, threads)
        if machine.ranks > 1 and len(scenarios) > 1:
            raise BackendError(f"backend '{machine.name}' takes one replicate at a time, found {len(scenarios)}")
        memory.require([of_site[0] for of_site in models.values()], len(scenarios), machine)
        clock = Clock()
        bodies = [model.body for model in next(iter(models.values()))]
        stacks, circulation = machine.worker.do(
            lambda: ({name: Stack(each, machine) for name, each in models.items()}, Circulation(bodies, machine))
        )
        self._stacks = [stacks[name] for name in sorted(stacks)]

        def sites(replicate: int) -> dict[str, Site]:
            return {name: Site(name, stack, replicate, clock) for name, stack in stacks.items()}

        super().__init__(scenarios[0], sites(0), machine, clock, circulation)
        self._others = [
            Replicate(each, sites(r), machine, clock, circulation) for r, each in enumerate(scenarios[1:], 1)
        ]
        machine.worker.do(self._show_bodies)

    @property
    def replicates(self) -> list[Replicate]:
        """In the order of their seeds; the first is the simulation itself."""
        return [self, *self._others]

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the backend's threads and memory."""
        self.backend.worker.do(self.backend.close)

    @between_steps
    def step(self, count: int = 1) -> None:
        """Take `count` steps: doses due, transport and exchange, moves, then rules and body when theirs is due.

        An exception that arrives meanwhile, such as Ctrl-C, is passed on when the present step has ended. Raises
        `StateError` where an earlier step has failed in its middle.
        """
        begun, taken, wanted = time.perf_counter(), 0, index(count)
        if wanted < 0:
            raise ValueError(f"count: expected 0 steps or more, found {wanted}")
        while taken < wanted and not self.backend.worker.unwanted:
            self._step()
            taken += 1
        self.clock.seconds += (time.perf_counter() - begun) / len(self.replicates)

    def _step(self) -> None:
        every = self.model.rules_every
        with self.clock.changing(f"step {self.steps + 1}", range(len(self.replicates))):
            self._treat()
            for stack in self._stacks:
                stack.transport(self.steps)
                stack.move(self.steps)
            self.clock.steps += 1
            if self.steps % every == 0:
                for stack in self._stacks:
                    stack.apply_rules(self.steps // every)
                self._circulate()
            for stack in self._stacks:
                stack.hold()

    def run(self, until: str | None = None) -> None:
        """Run until a simulated time ("12 h"), or the scenario's own end.

        Raises `NumericalError` where a concentration goes wrong, in any replicate. That is looked for once in each
        period of `record.every`, and at the end, as a GPU is waited for each time.
        """
        every, checked = self.model.record_every, self.steps
        for steps in self.stretches(until):
            if steps // every > checked // every:
                self.check()
                checked = steps
        if checked < self.steps:
            self.check()

    def check(self) -> None:
        """Raise `NumericalError` where a concentration has gone wrong, in any replicate."""
        for replicate in self.replicates:
            replicate.totals()

    def stretches(self, until: str | None = None, *, at_most: int | None = None) -> Iterator[int]:
        """Run from one application of the rules to the next, or by `at_most` steps where that is less.

        Yields the steps taken so far.
        """
        end = self.steps_until(until) if until is not None else self.model.until
        while self._stretch(end, at_most or self.model.rules_every):
            yield self.steps

    @between_steps
    def _stretch(self, end: int, at_most: int) -> bool:
        """Step to the next application of the rules, or less far; False where the end is reached."""
        every, before = self.model.rules_every, self.steps
        self.step(max(0, min(every - before % every, end - before, at_most)))
        return self.steps > before

    def _treat(self) -> None:
        """Give the therapies that are due."""
        for stack in self._stacks:
            stack.treat(self.steps)
        for replicate in self.replicates:
            replicate.treat()
        if any(infusion.step == self.steps for infusion in self.model.infusions):
            self._show_bodies()

    def _circulate(self) -> None:
        """Let the bodies' time go on."""
        if not self.model.body.names:
            return
        for stack, counts in zip(self._stacks, tallied(self._stacks), strict=True):
            self._circulation.exchange(stack.models[0].body, *stack.moved(counts))
        self._circulation.advance(self.model.rules_every * self.model.step)
        self._show_bodies()

    def _show_bodies(self) -> None:
        """Let the cells see the bodies' present quantities."""
        if self.model.body.names:
            seen = np.maximum(self._circulation.values, 0.0).astype(np.float32)
            for stack in self._stacks:
                stack.show_body(seen)
