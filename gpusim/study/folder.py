"""What a study or a trial leaves on the disk, and finds there again.

study.yaml, or trial.yaml         the study, or the scenario with its trial, as it was run
provenance.json                   what it depends on besides: input files, the program; of a trial, its scenario
log.csv                           when each run began, finished, failed, or was found finished, and where
SHA256SUMS                        of study.yaml or trial.yaml, and of the tables

Of a study:
runs/KEY.json                     the outcomes of a finished run; KEY is a hash of all that they depend on
stores/KEY/                       the result folder of a run, with `keep: stores`
table.parquet                     one row a run; of the sets of a trial, sets.csv and orders.csv

Of a trial:
ARM/SEED/                         the result folder of a run, and its outcomes.json, written last
outcomes.csv                      one row a run; the trial has finished when this is there
"""

import contextlib
import csv
import io
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from gpusim.errors import ResultError, ScenarioError
from gpusim.record import checking, layout, sums
from gpusim.record.files import explained, locked, read_sealed, remove_unready, write_sealed, write_text
from gpusim.record.provenance import PROVENANCE
from gpusim.scenario import Scenario

STUDY, RUNS, STORES = layout.STUDY, "runs", "stores"
TRIAL, OUTCOMES, TABLE = "trial.yaml", "outcomes.json", "outcomes.csv"
SETS, ORDERS = "sets.csv", "orders.csv"
LOG = "log.csv"


def store_of(key: str) -> Path:
    """The result folder of a run of a study."""
    return Path(STORES, key[:16])


def is_trial(folder: Path) -> bool:
    """Whether a folder is that of a trial."""
    return (folder / TRIAL).is_file()


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / STUDY).is_file() and (folder / RUNS).is_dir()


def require_names(trial: Scenario) -> None:
    """Raise `ScenarioError` where an arm's folder would be that of another arm, or a file of the trial.

    Some file systems do not tell capitals from small letters.
    """
    files = (TRIAL, PROVENANCE, LOG, TABLE, layout.SUMS)
    taken = {name.casefold(): f"a file of the trial ({name})" for name in files}
    for arm in trial.arms:
        other = taken.setdefault(arm.casefold(), f"arm '{arm}'")
        if other != f"arm '{arm}'":
            raise ScenarioError(
                f"trial.arms.{arm}: its folder would be the same as that of {other} on file systems that ignore "
                "case; expected another name"
            )


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """The folder, made where it is not there, with one writer; what an earlier one had not made whole is removed.

    Raises `ResultError` where it can't be written, or where another writes into it.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = locked(folder)
        remove_unready(folder)
    try:
        yield
    finally:
        lock.release()


def put(folder: Path, name: str, text: str) -> None:
    """Write a text file, whole or not at all, and list its checksum."""
    with explained(folder):
        write_text(folder / name, text)
        sums.add(folder, name)


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
    for problem in _damages(path, store):
        warnings.warn(f"{problem}; this run is repeated", stacklevel=2)
        return None
    found = read_sealed(path)
    outcomes: dict[str, float] = found["outcomes"]
    return outcomes if found["key"] == key else None


def note(folder: Path, key: str, event: str) -> None:
    """Add a line to the log; the system keeps those of several processes apart."""
    line = io.StringIO()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    csv.writer(line, lineterminator="\n").writerow([now, key, event, socket.gethostname(), os.getpid()])
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(line.getvalue())


def damages(folder: Path) -> Iterator[str]:
    """What is wrong with what a study or a trial has left, finished or not, a line each; the log has no checksum."""
    yield from sums.problems(folder, (TRIAL if is_trial(folder) else STUDY,))
    yield from _damages(folder / PROVENANCE)
    for path in sorted((folder / RUNS).glob("*.json")):
        store = folder / store_of(path.stem)
        yield from _damages(path, store if store.exists() else None)
    finished = {folder / row["arm"] / row["seed"] / OUTCOMES for row in _rows(folder / TABLE)}
    for path in sorted(finished | set(folder.glob(f"*/*/{OUTCOMES}"))):
        yield from _damages(path, path.parent)


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8", errors="replace") as file:
        return [row for row in csv.DictReader(file) if row.get("arm") and row.get("seed")]


def _damages(path: Path, store: Path | None = None) -> Iterator[str]:
    """What is wrong with a sealed file, or with the result folder of the run whose outcomes it holds, a line each."""
    try:
        read_sealed(path)
    except ResultError as error:
        yield str(error)
        return
    if store is not None:
        if not (store / layout.SUMMARY).is_file():
            yield f"{store}: {layout.SUMMARY} is missing"
        yield from checking.damages(store)
