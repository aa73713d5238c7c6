"""Provenance of a result: the scenario, the content of its input files, the program.

It is stored in the folder of a run, a trial or a study, and compared whenever one of these is resumed.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpusim.errors import ResultError
from gpusim.record.files import read_sealed, write_sealed
from gpusim.record.versions import program
from gpusim.scenario import Scenario, inputs
from gpusim.scenario.sources import SOURCES

PROVENANCE = "provenance.json"
_SHOWN = 10
"""Largest number of differences in a message."""
_NONE = "nothing"


@dataclass(frozen=True)
class Provenance:
    """Everything on which a result depends.

    Attributes:
        scenario: as plain data; empty for a study, whose runs have one each.
        inputs: SHA-256 hash of each input file, by path.
        program: version of the code on which the numbers depend.
    """

    scenario: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    program: str = field(default_factory=program)

    @classmethod
    def of(cls, scenario: Scenario) -> Provenance:
        """Provenance of a run or a trial, which includes the files of all arms."""
        files = inputs.hashes(scenario.data)
        for arm in scenario.arms:
            files |= inputs.hashes(scenario.arm(arm).data)
        return cls(_decisive(scenario.data), files)

    @property
    def digest(self) -> str:
        """SHA-256 hash of the provenance."""
        text = json.dumps([self.scenario, self.inputs, self.program], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, before: Provenance) -> list[str]:
        """One line for each change: the file or key, its former value and its present value."""
        changed = [("the program (gpusim, a hash of its kernels and modules)", before.program, self.program)]
        changed += [(f, before.inputs[f], now) for f, now in self.inputs.items() if f in before.inputs]
        if self.scenario or before.scenario:
            was, now = dict(_flat(before.scenario)), dict(_flat(self.scenario))
            changed += [(key, was.get(key, _NONE), now.get(key, _NONE)) for key in sorted({*was, *now})]
        return [f"{what}: {_short(was)} then, {_short(now)} now" for what, was, now in changed if was != now]


def key(data: Mapping[str, Any], *more: Any) -> str:
    """Hash of everything on which the outcomes of a run depend; equal keys mean equal outcomes.

    Args:
        data: the scenario as plain data. Input files are identified by their content, not by their path.
        more: further dependencies (seed, outcomes), as JSON values.
    """
    text = json.dumps([program(), inputs.with_content(_decisive(data)), *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def agree(folder: Path, now: Provenance, *, rerun: bool = False) -> bool:
    """Whether the provenance of the results in a folder is unchanged; `now` is stored as the new provenance.

    Raises `ResultError` with the changes, unless `rerun` is set.
    """
    path = folder / PROVENANCE
    before, differences = None, []
    if path.is_file():
        try:
            read = read_sealed(path)
            before = Provenance(read["scenario"], read["inputs"], read["program"])
            differences = now.differences(before)
        except (ResultError, KeyError) as error:
            differences = [str(error)]
    listed = [*differences[:_SHOWN], *[f"and {len(differences) - _SHOWN} more"][: len(differences) > _SHOWN]]
    if differences and not rerun:
        raise ResultError(
            f"{folder}: the scenario, an input file or the program has changed since; undo this, give another folder "
            "with -o, or repeat the affected runs with --rerun-changed\n" + "\n".join(listed)
        )
    if differences:
        warnings.warn(f"{folder}: {'; '.join(listed)}: everything that depends on it is run again", stacklevel=2)
    # A study's further points may read further files.
    known = before.inputs if before and not now.scenario else {}
    noted = Provenance(now.scenario, {**known, **now.inputs}, now.program)
    if noted != before:
        write_sealed(path, {"scenario": noted.scenario, "inputs": noted.inputs, "program": noted.program})
    return not differences


def require_unchanged(folder: Path, scenario: Scenario) -> None:
    """Raise `ResultError` unless the input files and the program are those that the result of a scenario depends on."""
    path = folder / PROVENANCE
    if not path.is_file():
        raise ResultError(f"{folder}: contains no {PROVENANCE}, so nothing tells which program made it")
    read = read_sealed(path)
    changed = Provenance.of(scenario).differences(Provenance(read["scenario"], read["inputs"], read["program"]))
    if changed:
        raise ResultError(f"{folder}: cannot go on with the same bits, as there has changed: {'; '.join(changed)}")


def _decisive(data: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario without the sources of its numbers, on which no outcome depends: a better reference repeats no run."""
    return {key: value for key, value in data.items() if key != SOURCES}


def _flat(data: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Plain data by dotted path, each value as JSON."""
    if isinstance(data, Mapping) and data:
        for name, value in data.items():
            yield from _flat(value, f"{place}.{name}" if place else str(name))
    elif isinstance(data, list) and data:
        for i, value in enumerate(data):
            yield from _flat(value, f"{place}[{i}]")
    else:
        yield place, json.dumps(data)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:28]}..."
