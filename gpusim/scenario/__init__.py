"""Scenarios: models as data, read from YAML and checked."""

import copy
import functools
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import checks, diagram, groups, numbers, usage
from gpusim.scenario.loading import (
    extended,
    laid_over,
    library,
    load,
    override,
    parse_set,
    pass_through,
    presets,
    validated,
)
from gpusim.scenario.numbers import Number
from gpusim.scenario.parts import about
from gpusim.scenario.reading import Read, as_text, dotted, read_file, read_text
from gpusim.scenario.schema import Document
from gpusim.scenario.sources import SOURCES

__all__ = ["Document", "Scenario", "about", "library", "parse_set", "presets"]


def part(name: str) -> list[Number] | None:
    """The numbers of a part of the library, merged over what it extends; None if there is no such part."""
    paths = {key: path for kind in library().values() for key, path in kind.items()}
    return numbers.of(extended(paths[name]).data) if name in paths else None


PRIMARY = "primary"
"""Name of the site of a scenario without `sites`."""


@dataclass(frozen=True)
class Scenario:
    """A checked scenario.

    `written` contains the data of the file, with its groups of states; quantities are texts as written.
    """

    written: Document

    @functools.cached_property
    def document(self) -> Document:
        """The scenario with states in place of groups; `document.groups` contains the states of each group."""
        return groups.resolved(self.written)

    @classmethod
    def load(cls, scenario: str | Path, overrides: Mapping[str, Any] | None = None) -> "Scenario":
        """Load a shipped scenario or a YAML file; `overrides` maps dotted paths to changed values.

        Raises `ScenarioError`, whose message gives file, line and path of every error.
        """
        return cls(load(scenario, overrides))

    @classmethod
    def recorded(cls, file: Path) -> "Scenario":
        """Read the scenario of a result, which an earlier version may have written. Raises `ScenarioError`."""
        read = read_file(file)
        for part in _with_texts(read.data):
            part.pop("source", None)  # text about the origin of numbers, before there were `sources`
        return cls(validated(read, str(file)))

    @classmethod
    def parse(cls, text: str) -> "Scenario":
        """Read a scenario from YAML text. Raises `ScenarioError`."""
        return cls(validated(read_text(text, "text"), "text"))

    @classmethod
    def draft(cls, text: str, file: Path) -> "Scenario":
        """What `load` would give for a file with this text. Raises `ScenarioError`."""
        return cls(validated(extended(file, text), str(file)))

    @property
    def data(self) -> dict[str, Any]:
        """The scenario as plain data."""
        return self.written.model_dump(mode="json", exclude_unset=True)

    @property
    def numbers(self) -> list[Number]:
        """The numbers of the model with their sources, those without one included."""
        return numbers.of(self.data)

    def with_(self, **changes: Any) -> "Scenario":
        """This scenario merged with changes: `scenario.with_(fields={"virus": {"decay": "0 /min"}})`."""
        data = laid_over(self.data, changes)
        return Scenario(validated(Read(data), self.document.name))

    def overridden(self, changes: Mapping[str, Any], place: str = "--set") -> "Scenario":
        """This scenario with changed values at dotted paths, as for `load`. Raises `ScenarioError`."""
        return self._laid_over(Read(self.data), changes, place)

    def _laid_over(self, read: Read, changes: Mapping[str, Any], place: str = "--set") -> "Scenario":
        for path, value in changes.items():
            override(read, path, copy.deepcopy(value), place)
        return Scenario(validated(read, self.document.name))

    def seeds(self, count: int) -> list[int]:
        """Seeds of `count` replicates: the scenario's seed and those that follow it."""
        return [(self.document.seed + i) % 2**64 for i in range(count)]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms of the trial."""
        return tuple(self.document.trial.arms) if self.document.trial else ()

    def arm(self, name: str) -> "Scenario":
        """One arm of the trial as a separate scenario. Raises `ScenarioError`."""
        trial = self.written.trial
        if trial is None or name not in trial.arms:
            known = ", ".join(map(repr, self.arms)) or "none"
            raise ScenarioError(f"{self.document.name} has no arm {name!r} (known: {known})")
        try:
            arm = self._without_trial(trial.arms[name])
        except ScenarioError as error:
            raise ScenarioError(f"trial.arms.{name}: {error}") from None
        for path, message in checks.of_arm(arm.written, trial.outcomes):
            raise ScenarioError(f"trial.arms.{name}: {dotted(path)}: {message}")
        return arm

    def _without_trial(self, changes: Mapping[str, Any]) -> "Scenario":
        """The scenario with changes, as a single run with time steps that end at the times of the outcomes."""
        read = Read(self.data)
        trial = read.data.pop("trial")
        pass_through(read, (time for outcome in trial["outcomes"].values() for time in outcome.get("at", ())))
        return self._laid_over(read, changes)

    @property
    def notes(self) -> list[str]:
        """Sentences on parts of the scenario, and of the arms of a trial, that have no effect.

        Raises `ScenarioError` if an arm is not a valid scenario.
        """
        found = usage.notes(self.written)
        if self.document.trial is None:
            return found
        known = {"the scenario without arms": self._without_trial({}).document.model_dump(exclude={SOURCES})}
        for name, changes in self.document.trial.arms.items():
            document = self.arm(name).document.model_dump(exclude={SOURCES})
            twin = next((other for other, its in reversed(known.items()) if its == document), None)
            if twin in self.arms or (twin is not None and changes):
                found.append(f"arm '{name}' is the same as {twin!r}")
            known[name] = document
        return found

    def ending(self, until: str) -> "Scenario":
        """This scenario with another end; doses that are due later are omitted. Raises `ScenarioError`."""
        end = units.number(self.with_(time={"until": until}, therapies=None).document.time.until, "min")
        therapies = {}
        for name, therapy in self.document.therapies.items():
            left = end - units.number(therapy.start, "min")
            every = units.number(therapy.every, "min") if therapy.every else end
            doses = min(therapy.doses, math.ceil(left / every - 1e-9)) if left > 0 else 0
            therapies[name] = {"doses": doses} if doses else None
        return self.with_(time={"until": until}, therapies=therapies)

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites; a scenario without `sites` has one, `primary`."""
        return tuple(self.document.sites) or (PRIMARY,)

    def site(self, name: str) -> "Scenario":
        """One site as a separate scenario, with the injections at this site.

        Its seed follows from the scenario's seed and the name of the site, independent of other sites. Raises
        `KeyError`.
        """
        document = self.written
        if not document.sites and name == PRIMARY:
            return self
        site, first = document.sites[name], next(iter(document.sites))
        here = {key: t for key, t in document.therapies.items() if t.infuse or (t.site or first) == name}
        seed = hashlib.sha256(f"{document.seed} {name}".encode()).digest()[:8]
        doses = [time for t in document.therapies.values() for time in (t.start, t.every, t.duration) if time]
        changes = {
            "time": document.time.model_copy(update={"at": (*document.time.at, *doses)}),  # one step for all sites
            "grid": site.grid,
            "tissue": site.tissue,
            "sites": {},
            "therapies": {key: t.model_copy(update={"site": None}) for key, t in here.items()},
            "seed": int.from_bytes(seed, "little"),
            "sources": {},
        }
        return Scenario(document.model_copy(update=changes))

    def diagram(self) -> str:
        """States and rules as a flowchart in the Mermaid language, which GitHub and notebooks draw."""
        return diagram.mermaid(self.document)

    def to_yaml(self) -> str:
        """The scenario as the text of one file, without `extends`."""
        return as_text(self.data)


def _with_texts(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of plain data that had a text about their origin."""
    body = data.get("body", {})
    tables = [data.get(key) for key in ("fields", "reactions", "states", "rules", "therapies")]
    tables += [body.get(key) for key in ("quantities", "processes")]
    parts = [part for table in tables if table for part in table.values()]
    parts += [part["motility"] for part in parts if part.get("motility")]
    return (part for part in (*parts, data.get("adhesion")) if part)
