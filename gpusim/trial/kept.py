"""Outcomes of finished runs on the disk, for trials and studies alike."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from gpusim.errors import ResultError
from gpusim.record import checking, layout
from gpusim.record.files import read_sealed, write_sealed


def keep(path: Path, key: str, outcomes: Mapping[str, float]) -> None:
    """Keep the outcomes of a run, whole or not at all; `key` is a hash of all that they depend on."""
    write_sealed(path, {"key": key, "outcomes": dict(outcomes)})


def kept(path: Path, key: str, store: Path | None = None) -> dict[str, float] | None:
    """Outcomes of a run that has finished and left all that it should; None where it is to be run (again).

    What is damaged is told, and counts as not finished.

    Args:
        store: the result folder of the run, where it leaves one.
    """
    if not path.exists():
        return None
    problems = damages(path, store)
    if problems:
        warnings.warn(f"{problems[0]}; this run is carried out again", stacklevel=2)
        return None
    found = read_sealed(path)
    outcomes: dict[str, float] = found["outcomes"]
    return outcomes if found["key"] == key else None


def damages(path: Path, store: Path | None = None) -> list[str]:
    """What is wrong with the outcomes of a run and with its result folder, a line each."""
    try:
        read_sealed(path)
    except ResultError as error:
        return [str(error)]
    if store is None:
        return []
    unfinished = [] if (store / layout.SUMMARY).is_file() else [f"{store}: {layout.SUMMARY} is missing"]
    return [*unfinished, *checking.damages(store)]
