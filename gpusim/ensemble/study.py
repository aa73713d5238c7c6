"""A study: a scenario many times over, as data."""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpusim.ensemble.design import Point
from gpusim.ensemble.schema import Range, StudyDocument
from gpusim.errors import ScenarioError
from gpusim.record import provenance
from gpusim.record.provenance import Provenance
from gpusim.scenario import Document, inputs, usage
from gpusim.scenario.checks import Problem, nearest, of_no_amount, state_names
from gpusim.scenario.loading import checked, extended, find, override, pass_through, validated
from gpusim.scenario.reading import KeyPath, Read, dotted, read_file
from gpusim.scenario.schema import Outcome
from gpusim.trial.outcomes import columns


@dataclass(frozen=True)
class Run:
    """One simulation of a study.

    Attributes:
        point: number in the design; values: the parameters there.
        data: the scenario as plain data, with everything set but its seed.
        key: hash of all that the outcomes depend on: equal keys mean equal outcomes.
    """

    point: int
    values: Point
    arm: str
    replicate: int
    seed: int
    data: dict[str, Any]
    key: str


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

    def scenario(self, arm: str, values: Point) -> Document:
        """The scenario of an arm at a point. Raises `ScenarioError`."""
        return validated(self._changed(arm, values), self.document.scenario)

    def runs(self, points: Sequence[Point]) -> Iterator[Run]:
        """Every run of some points, in the order of the table: by point, arm and replicate."""
        outcomes = {name: outcome.model_dump(mode="json") for name, outcome in self.document.outcomes.items()}
        for i, values in enumerate(points):
            for arm in self.document.arms:
                data = self._changed(arm, values).data
                common = provenance.key(data, outcomes)
                for replicate in range(self.document.replicates):
                    seed = seed_of(self.document.seed, replicate, values)
                    yield Run(i, values, arm, replicate, seed, data, _hash(common, seed))

    @property
    def columns(self) -> dict[str, tuple[Outcome, str]]:
        """Columns of the outcomes: each with its outcome and its time."""
        return columns(self.document.outcomes)

    @property
    def notes(self) -> list[str]:
        """What may be meant, though nothing comes of it, at the first point; as `Scenario.notes`."""
        first = {path: _first(parameter) for path, parameter in self.document.parameters.items()}
        documents = {arm: self.scenario(arm, first) for arm in self.document.arms}
        found = [note for document in documents.values() for note in usage.notes(document)]
        twins = itertools.combinations(documents, 2)
        return [
            *dict.fromkeys(found),
            *(f"arm '{b}' is the same as '{a}'" for a, b in twins if documents[a] == documents[b]),
        ]

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
                    yield ("arms", arm, path), "is a parameter too; an arm can't hold it fixed"
        first = {path: _first(parameter) for path, parameter in study.parameters.items()}
        documents = {arm: self.scenario(arm, first) for arm in study.arms}
        rules = {rule: None for document in documents.values() for rule in document.rules}
        for arm, document in documents.items():
            for name, outcome in study.outcomes.items():
                where = f"in arm '{arm}'" if len(study.arms) > 1 else f"in '{study.scenario}'"
                yield from _unknown_in(document, rules, ("outcomes", name), outcome, where)


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


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _first(parameter: Range | list[Any]) -> Any:
    return parameter.low if isinstance(parameter, Range) else parameter[0]


_KINDS = {
    "count": "state",
    "volume": "state",
    "total": "field",
    "mean": "field",
    "fired": "rule",
    "body": "quantity",
}
"""What an outcome of each kind names."""


def _unknown_in(
    document: Document, rules: Iterable[str], place: KeyPath, outcome: Outcome, where: str
) -> Iterator[Problem]:
    """`rules`: of all arms; one that an arm leaves out never fires there."""
    known: Mapping[str, Iterable[str]] = {
        "count": [state for layer in state_names(document) for state in layer],
        "total": document.fields,
        "mean": document.fields,
        "fired": rules,
        "body": document.body.quantities,
    }
    kind = outcome.kind
    yield from of_no_amount(document, outcome, place)
    if outcome.site is not None and outcome.site not in document.sites:
        among = list(document.sites)
        yield (
            (*place, "site"),
            f"unknown site '{outcome.site}' {where}"
            + (nearest(outcome.site, among) or f" (known: {', '.join(among) or 'none'})"),
        )
    if kind == "lesion":
        if document.heat is None:
            yield (*place, kind), "needs a scenario with 'heat', which says what a lesion is made of"
        return
    names = getattr(outcome, kind)
    among = list(known["count" if kind == "volume" else kind])
    for name in [names] if isinstance(names, str) else names:
        if name not in among:
            yield (
                (*place, kind),
                f"unknown {_KINDS[kind]} '{name}' {where}"
                + (nearest(name, among) or f" (known: {', '.join(among) or 'none'})"),
            )
