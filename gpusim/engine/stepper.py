"""All replicates of a scenario, stepped together: what they share, and the schedule of a step."""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gpusim.backends.base import Backend
from gpusim.body import Circulation
from gpusim.engine import memory
from gpusim.engine.actions import Action, remodelled, require_effect, with_changes
from gpusim.engine.clock import Clock
from gpusim.engine.notes import Note, Notes
from gpusim.engine.site import Site
from gpusim.engine.stack import Stack
from gpusim.model import Model, build
from gpusim.scenario import Scenario


class Stepper:
    """The state of R replicates, which differ by their seeds.

    Attributes:
        backend: where the arrays are; clock: how far all are.
        scenarios: that the replicates began with, and `actions`: what was done to each since, R of them.
        sites: of each replicate, by name; stacks: of all sites, in the order of their names.
        circulation: of all bodies.
    """

    def __init__(self, scenarios: Sequence[Scenario], backend: Backend) -> None:
        self.backend, self.clock = backend, Clock()
        self.scenarios = list(scenarios)
        self.actions: list[list[Action]] = [[] for _ in scenarios]
        self._changes: list[Mapping[str, Any]] = []
        self.origin: dict[str, Any] = {}
        models = {name: [build(each.site(name)) for each in scenarios] for name in scenarios[0].sites}
        memory.require([of_site[0] for of_site in models.values()], len(scenarios), backend)
        bodies = [model.body for model in next(iter(models.values()))]
        stacks, self.circulation = backend.worker.do(
            lambda: ({name: Stack(each, backend) for name, each in models.items()}, Circulation(bodies, backend))
        )
        self.stacks: list[Stack] = [stacks[name] for name in sorted(stacks)]
        self.sites = [
            {name: Site(name, stack, r, self.clock) for name, stack in stacks.items()} for r in range(len(scenarios))
        ]
        for stack in self.stacks:
            stack.state.body = self.circulation.mean
        self._notes = Notes(self.stacks, self.circulation, backend)
        self._noted: tuple[int, Note] | None = None
        backend.worker.do(self._track)

    @property
    def model(self) -> Model:
        """Numbers of the first site of the first replicate; the schedule is the same in all."""
        return next(iter(self.sites[0].values())).model

    @property
    def _rule_step(self) -> float:
        """min."""
        return self.model.rules_every * self.model.step

    # One step

    def step(self, count: int) -> None:
        """Take `count` steps, or fewer where an exception has arrived meanwhile."""
        begun, taken = time.perf_counter(), 0
        while taken < count and not self.backend.worker.unwanted:
            self._step()
            taken += 1
        self.clock.seconds += (time.perf_counter() - begun) / len(self.scenarios)

    def _step(self) -> None:
        steps, every = self.clock.steps, self.model.rules_every
        with self.clock.changing(f"step {steps + 1}", range(len(self.scenarios))):
            self._treat()
            if self.model.body.names:
                self.circulation.foresee(self._rule_step)
            for stack in self.stacks:
                stack.transport(steps)
                stack.move(steps)
            self.clock.steps += 1
            if self.clock.steps % every == 0:
                for stack in self.stacks:
                    stack.apply_rules(self.clock.steps // every)
                self._circulate()
            for stack in self.stacks:
                stack.hold()
            self._track()

    def _track(self) -> None:
        """Follow the cells that are tracked."""
        if self.model.tracks is not None:
            for sites in self.sites:
                for name in sorted(sites):
                    sites[name].track()

    def _treat(self) -> None:
        """Give the therapies that are due: doses, infusions, what is cut out, what is put in."""
        steps = self.clock.steps
        for stack in self.stacks:
            stack.treat(steps)
        for infusion in self.model.infusions:
            if infusion.step == steps:
                self.circulation.add(infusion.quantity, infusion.amount)
        for sites in self.sites:
            for name in sorted(sites):
                sites[name].operate(steps)

    def _circulate(self) -> None:
        """Let the bodies' time go on."""
        if not self.model.body.names:
            return
        for stack in self.stacks:
            stack.exchange_with_body(self.circulation.brought, self.circulation.failed)
        self.circulation.advance(self._rule_step, self.clock.steps)

    # Looking

    def note(self) -> Note:
        """Note the numbers of the present state on the backend; `complete` fetches them."""
        if self._noted is None or self._noted[0] != self.clock.changes:
            placed = [[sites[stack].placed.copy() for stack in sorted(sites)] for sites in self.sites]
            self._noted = self.clock.changes, self._notes.take(self.clock.steps, placed)
        return self._noted[1]

    def complete(self, note: Note) -> Note:
        """Have what was noted on the host. Raises `NumericalError` where a body ran away."""
        if not note.numbers:
            self._notes.fetch()
        return note

    # Changes in mid-run

    def changed(self, replicate: int) -> Scenario:
        """The scenario of a replicate with what has been changed since."""
        return with_changes(self.scenarios[replicate], self._changes)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change the scenarios of all replicates from now on. Raises `ScenarioError`, and has changed nothing then.

        Warns of what there is to note on the changed scenario, such as a rule step that is now too large.
        """
        models = self._models([*self._changes, changes])
        present = {name: site.model for name, site in self.sites[0].items()}
        require_effect(present, models[0], self.clock.steps)
        known = {note for model in present.values() for note in model.notes}
        self._remodel(models)
        self._changes.append(changes)
        for note in dict.fromkeys(note for model in models[0].values() for note in model.notes):
            if note not in known:
                warnings.warn(f"change: {note}", stacklevel=2)

    def follow(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """Have these changes, in all replicates, and no others. Raises `ScenarioError`."""
        if list(changes) != self._changes:
            self._remodel(self._models(changes))
            self._changes = list(changes)

    def _models(self, changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Model]]:
        """Of each replicate, by site."""
        present = ({name: site.model for name, site in sites.items()} for sites in self.sites)
        return [
            remodelled(with_changes(scenario, changes), now)
            for scenario, now in zip(self.scenarios, present, strict=True)
        ]

    def _remodel(self, models: Sequence[Mapping[str, Model]]) -> None:
        with self.clock.changing("a change of the model", range(len(models))):
            for name, site in self.sites[0].items():
                site.stack.remodel([each[name] for each in models], self.clock.steps)
            self.circulation.remodel(next(iter(models[0].values())).body)
