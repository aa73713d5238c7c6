"""What a result depends on: the scenario, the content of the files that it reads, the program.

It stands in the folder of a run, a trial or a study, and is compared whenever one of these goes on.
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

PROVENANCE = "provenance.json"
_SHOWN = 10
"""Differences that a message lists."""
_NONE = "nothing"


@dataclass(frozen=True)
class Provenance:
    """What a result depends on.

    Attributes:
        scenario: as plain data; empty for a study, whose runs have one each.
        inputs: SHA-256 of each input file, by path.
        program: version of what decides the numbers.
    """

    scenario: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    program: str = field(default_factory=program)

    @classmethod
    def of(cls, scenario: Scenario) -> Provenance:
        """That of a run of a scenario, or of a trial: then with the files of all arms."""
        files = inputs.hashes(scenario.data)
        for arm in scenario.arms:
            files |= inputs.hashes(scenario.arm(arm).data)
        return cls(scenario.data, files)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        text = json.dumps([self.scenario, self.inputs, self.program], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, before: Provenance) -> list[str]:
        """What has changed since, a line each: which file or key, what it was and what it is."""
        changed = [("the program (gpusim, a hash of its kernels and modules)", before.program, self.program)]
        changed += [(f, before.inputs[f], now) for f, now in self.inputs.items() if f in before.inputs]
        if self.scenario or before.scenario:
            was, now = dict(_flat(before.scenario)), dict(_flat(self.scenario))
            changed += [(key, was.get(key, _NONE), now.get(key, _NONE)) for key in sorted({*was, *now})]
        return [f"{what}: {_short(was)} then, {_short(now)} now" for what, was, now in changed if was != now]


def key(data: Mapping[str, Any], *more: Any) -> str:
    """Hash of all that the outcomes of a run depend on: equal keys mean equal outcomes.

    Args:
        data: the scenario as plain data; it is the content of input files that counts, not where they are.
        more: what else the outcomes depend on (seed, what is measured), as JSON takes it.
    """
    text = json.dumps([program(), inputs.with_content(data), *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def agree(folder: Path, now: Provenance, *, rerun: bool = False) -> bool:
    """Whether what the results in a folder depend on is as it was; `now` is noted there from then on.

    Raises `ResultError` with what has changed, unless it is to be run again (`rerun`).
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
            f"{folder}: what its results depend on has changed since; put it back, give another folder with -o, or run "
            "again what depends on it, with --rerun-changed\n" + "\n".join(listed)
        )
    if differences:
        warnings.warn(f"{folder}: {'; '.join(listed)}: what depends on it is run again", stacklevel=2)
    # A study's further points may read further files.
    known = before.inputs if before and not now.scenario else {}
    noted = Provenance(now.scenario, {**known, **now.inputs}, now.program)
    if noted != before:
        write_sealed(path, {"scenario": noted.scenario, "inputs": noted.inputs, "program": noted.program})
    return not differences


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
