"""What is run: a study, or a trial, as runs with a scenario, a seed and a place each."""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpusim.errors import ScenarioError
from gpusim.model import step_notes
from gpusim.record import provenance
from gpusim.record.provenance import Provenance
from gpusim.scenario import Document, Scenario, inputs, usage
from gpusim.scenario.checks import Problem, nearest, of_arm
from gpusim.scenario.loading import checked, extended, find, override, pass_through, validated
from gpusim.scenario.reading import KeyPath, Read, dotted, read_file
from gpusim.scenario.schema import Outcome, columns
from gpusim.scenario.sources import SOURCES
from gpusim.study import folder
from gpusim.study.design import Point
from gpusim.study.schema import StudyDocument


@dataclass(frozen=True)
class Run:
    """One simulation of a study or a trial.

    Attributes:
        point: number in the design; values: the parameters there.
        data: the scenario as plain data, with everything set but its seed.
        columns: outcomes, with their times.
        key: hash of all that the outcomes depend on: equal keys mean equal outcomes.
        outcomes: the file of its outcomes, in the folder of the study; store: its result folder, where it leaves one.
    """

    point: int
    values: Point
    arm: str
    replicate: int
    seed: int
    data: dict[str, Any]
    columns: Mapping[str, tuple[Outcome, str]]
    key: str
    outcomes: Path
    store: Path | None

    def finished(self, within: Path) -> dict[str, float] | None:
        """Outcomes, where it has left all that it should in the folder of the study; None where it has not."""
        return folder.kept(within / self.outcomes, self.key, within / self.store if self.store else None)


@dataclass(frozen=True)
class Study:
    """A checked study, and the scenario that it varies.

    Attributes:
        base: the scenario with the study's `set`, not checked yet.
        places: where each path of the study file was written.
    """

    document: StudyDocument
    base: Read
    places: Mapping[KeyPath, str]

    @classmethod
    def load(cls, path: str | Path) -> "Study":
        """Read a study file. Raises `ScenarioError`, with file, line and path of every problem.

        The scenario is a shipped name, or a file relative to the study's folder.
        """
        path = Path(path)
        if not path.is_file():
            raise ScenarioError(f"{path}: no such file")
        read = read_file(path)
        document = checked(StudyDocument, read, str(path), lambda _: ())
        try:
            found = find(document.scenario, path.parent)
        except ScenarioError as error:
            raise ScenarioError(f"{read.places[('scenario',)]}: scenario: {error}") from None
        study = cls(document, extended(found), read.places)
        study = cls(document, study._with({("set", path): (path, v) for path, v in document.set.items()}), read.places)
        checked(StudyDocument, read, str(path), study._problems)
        return study

    def scenario(self, arm: str, values: Point | None = None) -> Document:
        """The scenario of an arm at a point, the first one unless given. Raises `ScenarioError`."""
        return validated(self._changed(arm, self._first if values is None else values), self.document.scenario)

    def runs(self, points: Sequence[Point]) -> Iterator[Run]:
        """Every run of some points, in the order of the table: by point, arm and replicate."""
        stored = self.document.keep == "stores"
        for i, values in enumerate(points):
            for arm in self.document.arms:
                data = self._changed(arm, values).data
                common = _common(data, self.document.outcomes)
                for replicate in range(self.document.replicates):
                    seed = seed_of(self.document.seed, replicate, values)
                    key = _hash(common, seed)
                    file, store = Path(folder.RUNS, f"{key}.json"), folder.store_of(key) if stored else None
                    yield Run(i, values, arm, replicate, seed, data, self.columns, key, file, store)

    @property
    def columns(self) -> dict[str, tuple[Outcome, str]]:
        """Columns of the outcomes: each with its outcome and its time."""
        return columns(self.document.outcomes)

    @property
    def notes(self) -> list[str]:
        """What may be meant, though nothing comes of it, as `Scenario.notes`, and rule steps that are too large.

        Both are of the first point.
        """
        documents = {arm: self.scenario(arm).model_copy(update={SOURCES: {}}) for arm in self.document.arms}
        outcomes = list(self.document.outcomes.values())
        found = [note for document in documents.values() for note in usage.notes(document, outcomes)]
        twins = itertools.combinations(documents, 2)
        return [
            *dict.fromkeys(found),
            *(f"arm '{b}' is the same as '{a}'" for a, b in twins if documents[a] == documents[b]),
            *notes_on_steps({arm: Scenario(document) for arm, document in documents.items()}),
        ]

    @property
    def _first(self) -> Point:
        parameters = self.document.parameters.items()
        return {path: p[0] if isinstance(p, list) else p.low for path, p in parameters}

    def _changed(self, arm: str, values: Point) -> Read:
        read = self._with(
            {("parameters", path): (path, value) for path, value in values.items()}
            | {("arms", arm, path): (path, value) for path, value in self.document.arms[arm].items()}
        )
        pass_through(read, (time for outcome in self.document.outcomes.values() for time in outcome.at))
        return read

    def _with(self, changes: Mapping[KeyPath, tuple[str, Any]]) -> Read:
        """The base with changes laid over it, each known by its place in the study file."""
        read = Read(copy.deepcopy(self.base.data), dict(self.base.places))
        for where, (path, value) in changes.items():
            override(read, path, copy.deepcopy(value), f"{self.places.get(where, 'study')}: {dotted(where[:-1])}")
        return read

    def _problems(self, study: StudyDocument) -> Iterator[Problem]:
        """What contradicts the scenario, or another part of the study."""
        for arm, changes in study.arms.items():
            for path in changes:
                if path in study.parameters:
                    yield ("arms", arm, path), "is also a parameter, so an arm cannot set it"
        documents = {arm: self.scenario(arm) for arm in study.arms}
        for arm, document in documents.items():
            where = f"in arm '{arm}'" if len(study.arms) > 1 else f"in '{study.scenario}'"
            for place, message in of_arm(document, study.outcomes):
                if place[-1] != "at":  # the end may be a parameter
                    yield place, _located(message, where)
        rules = dict.fromkeys(rule for document in documents.values() for rule in document.rules)
        for name, outcome in study.outcomes.items():
            if outcome.fired is not None and outcome.fired not in rules:
                close = nearest(outcome.fired, rules) or f" (known: {', '.join(rules) or 'none'})"
                yield ("outcomes", name, "fired"), f"unknown rule '{outcome.fired}'{close}"


def notes_on_steps(arms: Mapping[str, Scenario]) -> list[str]:
    """Notes on rule steps that are too large for the rates of an arm, each told of the first arm that has it.

    Raises `ScenarioError`.
    """
    found: dict[str, str] = {}
    for arm, scenario in arms.items():
        for note in step_notes(scenario):
            found.setdefault(note, arm)
    return [f"arm '{arm}': {note}" for note, arm in found.items()]


def runs_of_trial(scenario: Scenario) -> list[Run]:
    """Every run of a scenario with arms, by arm and seed. Raises `ScenarioError`."""
    trial = scenario.written.trial  # a group in an outcome stands for the states that it has in the arm
    assert trial is not None, "has arms"
    folder.require_names(scenario)
    found, taken = [], columns(trial.outcomes)
    for arm in scenario.arms:
        data = scenario.arm(arm).data
        common = _common(data, trial.outcomes)
        for i, seed in enumerate(scenario.seeds(trial.replicates)):
            store = Path(arm, str(seed))
            key, file = _hash(common, seed, store.as_posix()), store / folder.OUTCOMES
            found.append(Run(0, {}, arm, i, seed, data, taken, key, file, store))
    return found


def depends_on(runs: Iterable[Run]) -> Provenance:
    """What runs depend on besides their scenarios, which their keys tell apart: input files and the program."""
    files: dict[str, str] = {}
    for run in runs:
        if run.replicate == 0:
            files |= inputs.hashes(run.data)
    return Provenance(inputs=files)


def seed_of(study_seed: int, replicate: int, values: Point) -> int:
    """The seed of a run: the first 8 bytes of SHA-256 over study seed, replicate and the point's values.

    The arm is not among them: arms share their random numbers. Nor is the number of the point: it may
    stand anywhere in any design.
    """
    return int(_hash(study_seed, replicate, values)[:16], 16)


def _common(data: dict[str, Any], outcomes: Mapping[str, Outcome]) -> str:
    """What the keys of runs that differ by their seed alone have in common."""
    return provenance.key(data, {name: outcome.model_dump(mode="json") for name, outcome in outcomes.items()})


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _located(message: str, where: str) -> str:
    """A message that something is unknown, with where it is."""
    head = message.split(";")[0].split(" (")[0]
    return message.replace(head, f"{head} {where}", 1) if head.startswith("unknown") else message
