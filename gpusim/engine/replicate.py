"""One run of a simulation: to look at, to act on, to keep, to go on with."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpusim import units
from gpusim.backends.base import Backend
from gpusim.engine import actions, dataset, flow
from gpusim.engine.actions import Action
from gpusim.engine.clock import Clock, between_steps
from gpusim.engine.notes import Note
from gpusim.engine.site import Site, SiteNumbers
from gpusim.engine.stepper import Stepper
from gpusim.errors import NumericalError, ScenarioError, StateError
from gpusim.model import Model, Treatments
from gpusim.model.steps import whole
from gpusim.plottable import Plottable
from gpusim.scenario import Scenario

if TYPE_CHECKING:
    import xarray


class Replicate(Plottable):
    """A view of one replicate of a simulation: the present state of its sites and of the body that connects them.

    `field`, `tissue`, `model` and similar attributes are those of the first site, which is the only one in most
    scenarios; `counts`, `fired` and `totals` are sums over all sites.
    """

    def __init__(self, stepper: Stepper, number: int) -> None:
        self._stepper, self._number = stepper, number

    def __repr__(self) -> str:
        return f"<Replicate {self.number} of {self._told()}, seed {self.seed}, {self._time()}>"

    def _told(self) -> str:
        lattices = (
            " x ".join(map(str, reversed(model.shape))) + f" voxels of {model.spacing:g} um" + f" at {name}" * several
            for several in [len(self.models) > 1]
            for name, model in self.models.items()
        )
        model = self.model
        return f"{model.name}: {', '.join(lattices)}, {len(model.fields)} fields, {len(model.states.names)} states"

    def _time(self) -> str:
        end = f"step {self.steps} of {self.model.until}"
        return f"at {units.duration(self.minutes)} ({end}), backend {self.backend.name}"

    @property
    def number(self) -> int:
        """Number of this replicate in the simulation, from 0 on."""
        return self._number

    @property
    def backend(self) -> Backend:
        """The backend that holds the arrays."""
        return self._stepper.backend

    @property
    def clock(self) -> Clock:
        """The clock of all replicates."""
        return self._stepper.clock

    @property
    def scenario(self) -> Scenario:
        """The scenario at the beginning of the run, with the seed of this replicate."""
        return self._stepper.scenarios[self.number]

    @property
    def sites(self) -> Mapping[str, Site]:
        """Sites by name, in the order of the scenario."""
        return self._stepper.sites[self.number]

    @property
    def _sorted(self) -> list[Site]:
        """In the order of their names, so that sums do not depend on that of the scenario."""
        return [self.sites[name] for name in sorted(self.sites)]

    @property
    def seed(self) -> int:
        """Seed of the scenario."""
        return self.scenario.document.seed

    @property
    def site(self) -> Site:
        """The first site."""
        return next(iter(self.sites.values()))

    @property
    def models(self) -> dict[str, Model]:
        """The present model of each site."""
        return {name: site.model for name, site in self.sites.items()}

    @property
    def model(self) -> Model:
        """The present model of the first site; time steps and body are the same at all sites."""
        return next(iter(self.models.values()))

    # Time

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self.clock.steps

    @property
    def minutes(self) -> float:
        """Simulated time, min."""
        return self.steps * self.model.step

    @property
    def seconds(self) -> float:
        """Real time that the steps took, s; if replicates are stepped together, the share of one replicate."""
        return self.clock.seconds

    def steps_until(self, until: str, name: str = "until") -> int:
        """Steps from time 0 to a time such as "12 h". Raises `ScenarioError` about `name` if there is no such step."""
        try:
            minutes = units.number(until, "min")
        except units.UnitError as error:
            raise ScenarioError(f"{name}: {until!r} {error}") from None
        if minutes <= 0:
            raise ScenarioError(f"{name}: expected a time after 0, found {until!r}")
        try:
            return whole(minutes, self.model.step, name)
        except ScenarioError as error:
            raise ScenarioError(
                f"{error}; among the scenario's times under 'time.at', a chosen step divides it"
            ) from None

    # Acting on it

    @property
    def actions(self) -> Sequence[Action]:
        """Interventions so far, in order."""
        return self._stepper.actions[self.number]

    @property
    def origin(self) -> dict[str, Any]:
        """The recorded run that it continues (`gpusim.branch`), and the time; empty if it began at time 0."""
        return self._stepper.origin

    @origin.setter
    def origin(self, origin: dict[str, Any]) -> None:
        self._stepper.origin = origin

    @property
    def _acted_on(self) -> Sequence[Replicate]:
        """The replicates that a verb acts on."""
        return [self]

    def inject(
        self,
        what: str,
        amount: float | str,
        *,
        at: str | Sequence[str] = "centre",
        to: Sequence[str] | None = None,
        radius: str | None = None,
        targets: str | Sequence[str] | None = None,
        into: str | Sequence[str] | None = None,
        site: str | None = None,
    ) -> None:
        """Inject an amount of a field, or a number of cells of a state, into a region now.

        The effect is, bit for bit, that of a therapy with these keys that is due at the present time step and listed
        last in the scenario. Interventions at the same step act in their order. `targets` are counted in the present
        tissue.

        Raises `ScenarioError`, and then changes nothing.
        """
        self._treat(
            "inject", inject=what, amount=amount, at=at, to=to, radius=radius, targets=targets, into=into, site=site
        )

    def infuse(self, quantity: str, amount: float | str) -> None:
        """Add an amount to a quantity of the body now; its losses are computed from the beginning of the rule step.

        Raises `ScenarioError`.
        """
        self._treat("infuse", infuse=quantity, amount=amount)

    def resect(
        self,
        states: str | Sequence[str],
        radius: str,
        *,
        at: str | Sequence[str] = "centre",
        to: Sequence[str] | None = None,
        leaves: str | None = None,
        site: str | None = None,
    ) -> None:
        """Remove the cells of some states from a region now. Raises `ScenarioError`.

        Args:
            leaves: tissue state of these voxels afterwards; by default, they are free.
        """
        self._treat("resect", resect=states, radius=radius, at=at, to=to, leaves=leaves, site=site)

    @between_steps
    def set(self, field: str, values: Any, site: str | None = None) -> None:
        """Replace the values of a field by an array with the shape of the lattice [z, y, x], or by one number.

        Values are in the unit of the field.

        Raises `ScenarioError`.
        """
        if site is not None and site not in self._acted_on[0].sites:
            raise ScenarioError(f"set: no site '{site}' (known: {', '.join(self._acted_on[0].sites)})")
        here = [each.sites[site] if site is not None else each.site for each in self._acted_on]
        array = actions.values_of(here[0].model, here[0].tissue, field, values)
        told = {"field": field, "site": here[0].name, "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
        for each, lattice in zip(self._acted_on, here, strict=True):
            lattice.set(field, array)
            each._note("set", told)

    @between_steps
    def _treat(self, verb: str, /, **given: Any) -> None:
        arguments = {key: list(v) if isinstance(v, tuple) else v for key, v in given.items() if v is not None}
        found = [each._treatments(verb, arguments) for each in self._acted_on]  # all of them before any is given
        for each, by_site in zip(self._acted_on, found, strict=True):
            for name, treatments in by_site.items():
                each._give(treatments, each.sites[name], verb)
            each._note(verb, arguments)

    def _give(self, treatments: Treatments, site: Site, verb: str) -> None:
        for dose in treatments.doses:
            site.deposit(site.model.fields.names[dose.field], dose.voxels, dose.amounts)
        with self.clock.changing(verb, [self.number]):
            for infusion in treatments.infusions:
                self._stepper.circulation.add(infusion.quantity, infusion.amount, self.number)
            site.cut(treatments.resections)
            site.put_in(treatments.grafts, verb)

    def _treatments(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Treatments]:
        layers = {name: (site.model, site.tissue_now) for name, site in self.sites.items()}
        scenario = self._stepper.changed(self.number)
        return actions.treated(scenario, self.actions, verb, arguments, layers)

    def _note(self, verb: str, arguments: Mapping[str, Any]) -> None:
        self._stepper.actions[self.number].append(Action(self.steps, verb, arguments))

    # Going on later

    @property
    def numbers(self) -> dict[str, float]:
        """The single numbers that a checkpoint contains in addition to the arrays."""
        return {"steps": self.steps, "seconds": self.seconds}

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of the arrays that a checkpoint contains, by name, one at a time.

        Raises `StateError` if another thread takes a step meanwhile.
        """
        steps = self.steps
        for name, array in self._copies():
            if self.steps != steps:
                raise StateError("another thread has taken a step while a checkpoint was written")
            yield name, array

    def _copies(self) -> Iterator[tuple[str, np.ndarray]]:
        for site in self._sorted:
            for name, array in site.arrays():
                yield f"{site.name}.{name}", array
        off_grid = self.backend.worker.do(lambda: self._off_grid | self._of_body)
        for name, array in off_grid.items():
            yield name, array.copy()

    @property
    def _quantities(self) -> np.ndarray:
        """Those of its body: float64 [quantities]. Raises `NumericalError` where its equations ran away."""
        own: np.ndarray = self._stepper.circulation.values[:, self.number]
        return own

    @property
    def _of_body(self) -> dict[str, np.ndarray]:
        """What is kept of its body, on the host. Raises `NumericalError` where its equations ran away."""
        supply = self.backend.to_numpy(self._stepper.circulation.supply)
        return {"circulation": self._quantities, "supply": supply[:, self.number]}

    @property
    def _off_grid(self) -> dict[str, Any]:
        """What changes besides, the quantities of the body among it."""
        counted = {f"{site.name}.counted": site.given for site in self._sorted}
        placed = {f"{site.name}.placed": site.placed for site in self._sorted}
        with_clones = [site for site in self._sorted if len(site.model.clones)]
        births = {f"{site.name}.births": site.lineage.births for site in with_clones}
        births |= {f"{site.name}.newborn": site.lineage.newborn for site in with_clones}
        tracks = {f"{site.name}.positions": site.positions for site in self._sorted if site.model.tracks is not None}
        circulation = self._stepper.circulation
        body = {
            "circulation": circulation.on_backend[:, self.number],  # also where its equations could not be followed
            "supply": circulation.supply[:, self.number],
        }
        return {**body, **counted, **placed, **births, **tracks}

    def restore(
        self,
        numbers: Mapping[str, float],
        arrays: Mapping[str, np.ndarray],
        done: Sequence[Action] | None = None,
    ) -> None:
        """Restore a state of this scenario, as given by `numbers` and `arrays`. The run then continues bit for bit.

        All replicates of a simulation have the same time and the same changes, and must be restored to the same step.

        Args:
            done: `actions` up to this state; by default, the present ones.

        Raises `ValueError`, and changes nothing, if the arrays are not those of this scenario.
        """
        self.backend.worker.do(lambda: self._restore(numbers, arrays, done))

    def _restore(
        self, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray], done: Sequence[Action] | None
    ) -> None:
        before = list(self.actions)
        done = before if done is None else list(done)
        self.follow(done)
        on_grid = {f"{site.name}.{name}": array for site in self._sorted for name, array in site.kept.items()}
        here = {**on_grid, **self._off_grid}
        for name in here.keys() | arrays.keys():
            own, given = here.get(name), arrays.get(name)
            grows = name.endswith((".births", ".newborn", ".positions"))  # with each birth, or with time
            if own is None or given is None or own.dtype != given.dtype or own.shape[grows:] != given.shape[grows:]:
                self.follow(before)
                raise ValueError(f"array '{name}' is not one of this scenario's state")
        with self.clock.changing("going back to a checkpoint", [self.number]):
            self.clock.steps, self.clock.seconds = int(numbers["steps"]), float(numbers["seconds"])
            for site in self._sorted:
                prefix = f"{site.name}."
                site.restore({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
            self._stepper.circulation.restore(self.number, arrays["circulation"], arrays["supply"])
            self._stepper.actions[self.number][:] = done

    def follow(self, done: Sequence[Action]) -> None:
        """Use the model of the scenario after some actions, in all replicates. Raises `ScenarioError`."""
        self._stepper.follow(actions.changes(done))

    # Looking

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """All fields of the first site: float32 [z, y, x], in their own units."""
        return self.site.fields

    def trait(self, name: str) -> np.ndarray:
        """A copy of a trait of the first site's cells: float32 [z, y, x], in its unit; 0 where no cell has it.

        Raises `KeyError`.
        """
        return self.site.trait(name)

    def field(self, name: str) -> np.ndarray:
        """A copy of one field of the first site: float32 [z, y, x], in its own unit. Raises `KeyError`."""
        return self.site.field(name)

    @property
    def tissue(self) -> np.ndarray:
        """A copy of the first site's resident cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.site.tissue

    @property
    def immune(self) -> np.ndarray:
        """A copy of the first site's mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.site.immune

    @between_steps
    def velocity(self, site: str | None = None) -> np.ndarray:
        """Velocity of the interstitial fluid at a site (by default, the first): float32 [3, z, y, x], um/min.

        The components are those along x, y and z. It follows from the present pressure and tissue; see
        `gpusim.engine.flow.velocity`, also on tissue that has changed since the pressure was solved. Raises
        `ScenarioError` if the scenario has no flow; `KeyError`.
        """
        here = self.site if site is None else self.sites[site]
        document = self._stepper.changed(self.number).site(here.name).document
        return flow.velocity(document, here.array)

    @between_steps
    def dataset(self, site: str | None = None) -> xarray.Dataset:
        """Copies of all fields, both layers and all traits of a site (by default, the first) as an xarray dataset.

        Coordinates are the voxel centres `z`, `y`, `x` (um), `time` (min) and `step`; each variable has its unit.
        Raises `KeyError`.
        """
        here = self.site if site is None else self.sites[site]
        return dataset.of(here, self.scenario, self.steps)

    @property
    @between_steps
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start, at all sites."""
        totals = _sums([site.fired for site in self._sorted])
        return {name: totals[name] for name in self.scenario.document.rules}

    @property
    @between_steps
    def barred(self) -> dict[str, int]:
        """Number of divisions and closings that were not possible since the start, at all sites, by rule."""
        return _sums([site.barred for site in self._sorted])

    @property
    @between_steps
    def crushed(self) -> dict[str, int]:
        """Cells of each state that dividing or moving cells have crushed since the start, at all sites."""
        return _sums([site.crushed for site in self._sorted])

    @property
    @between_steps
    def left(self) -> dict[str, int]:
        """Cells of each state that have left the lattices through open sides since the start."""
        return _sums([site.left for site in self._sorted])

    @property
    @between_steps
    def counts(self) -> dict[str, int]:
        """Cells in each state at all sites (`empty` and `none` counted too)."""
        return _sums([site.counts for site in self._sorted])

    @property
    @between_steps
    def body(self) -> dict[str, float]:
        """Quantities of the body, in their own units."""
        return dict(zip(self.model.body.names, map(float, self._quantities), strict=True))

    def count(self, state: str) -> int:
        """Cells in one state, or in the states of a group. Raises `KeyError`."""
        counts = self.counts
        return sum(counts[each] for each in self.scenario.document.groups.get(state, (state,)))

    @between_steps
    def totals(self) -> dict[str, float]:
        """Sum of each field over all voxels of all sites, exact to 2^-32 of its unit at each.

        Raises `NumericalError` if a concentration is negative, not a number or above 1e15.
        """
        try:
            return _sums([site.totals(self.steps) for site in self._sorted])
        except NumericalError as error:
            raise self._of_this_seed(error) from None

    @between_steps
    def means(self) -> dict[str, float]:
        """Mean of each trait over the cells of all sites that have it, in its unit; not a number without such cells.

        Sums are exact to 2^-32 of the unit.
        """
        return self._means([site.trait_sums() for site in self._sorted])

    def _means(self, by_site: Sequence[Mapping[str, tuple[float, int]]]) -> dict[str, float]:
        return {name: mean_of([sums[name] for sums in by_site]) for name in self.model.traits.names}

    @between_steps
    def note(self) -> Note:
        """Note the numbers of the present state for `numbers_of`, without waiting for a GPU."""
        return self._stepper.note()

    @between_steps
    def numbers_of(self, note: Note) -> Numbers:
        """The numbers of a state that was noted. Raises `NumericalError` if a concentration or the body was invalid.

        The error message gives the time of the note; the value that it gives may be a later one.
        """
        self._stepper.complete(note)
        assert note.values is not None, "complete"
        by_site = dict(zip(sorted(self.sites), note.numbers, strict=True))
        placed = dict(zip(sorted(self.sites), note.placed[self.number], strict=True))
        try:
            sites = {
                name: site.numbers(by_site[name][self.number], placed[name], note.steps)
                for name, site in self.sites.items()
            }
        except NumericalError as error:
            raise self._of_this_seed(error) from None
        body = dict(zip(self.model.body.names, map(float, note.values[:, self.number]), strict=True))
        in_order = [sites[name] for name in sorted(sites)]
        fired = _sums([each.fired for each in in_order])
        return Numbers(
            note.steps,
            note.steps * self.model.step,
            _sums([each.counts for each in in_order]),
            {name: fired[name] for name in self.scenario.document.rules},
            _sums([each.totals for each in in_order]),
            self._means([each.traits for each in in_order]),
            body,
            sites,
        )

    def _of_this_seed(self, error: NumericalError) -> NumericalError:
        several = len(self.site.stack.models) > 1
        return NumericalError(f"seed {self.seed}: {error}" if several else str(error))

    def check(self) -> None:
        """Raise `NumericalError` if a concentration or the body is invalid."""
        self.numbers_of(self.note())

    @between_steps
    def digest(self) -> str:
        """SHA-256 over every field, both cell layers, their traits and clones, the body and the step count.

        Equal for equal trajectories.
        """
        layers = (
            itertools.chain(
                map(s.field, s.model.fields.names),
                (s.tissue, s.immune),
                map(s.trait, s.model.traits.names),
                (s.clones(),) if len(s.model.clones) else (),
            )
            for s in self._sorted
        )
        return digest(itertools.chain.from_iterable(layers), self._quantities, self.steps)


@dataclass(frozen=True)
class Numbers:
    """Numbers of a replicate at one time: its time, sums over all sites by name, and those of each site."""

    steps: int
    minutes: float
    counts: dict[str, int]
    fired: dict[str, int]
    totals: dict[str, float]
    means: dict[str, float]
    body: dict[str, float]
    sites: dict[str, SiteNumbers]


def digest(arrays: Iterable[np.ndarray], body: np.ndarray, steps: int) -> str:
    """SHA-256 of a state.

    Arrays (fields, tissue, immune, traits, clones, by site in the order of names) are taken in C order, little-endian.
    """
    sha = hashlib.sha256()
    for array in itertools.chain(arrays, (body,)):
        sha.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    sha.update(steps.to_bytes(8, "little"))
    return sha.hexdigest()


def mean_of(sums: Iterable[tuple[float, int]]) -> float:
    """Mean over all cells from sums and numbers of cells; not a number without cells."""
    totals, cells = zip(*sums, strict=True)
    return math.fsum(totals) / sum(cells) if sum(cells) else math.nan


def _sums(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum by key."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}
