"""What a study or a trial leaves on the disk, and finds there again.

study.yaml, or trial.yaml         the study, or the scenario with its trial, as it was run
provenance.json                   what it depends on besides: input files, the program; of a trial, its scenario
runs/KEY.json                     the outcomes of a finished run; KEY is a hash of all that they depend on
log.csv                           when each run began, finished, failed, or was found finished, and where
ARM/SEED/, or stores/KEY/         the result folder of a run: of a trial, or of a study with `keep: stores`
outcomes.csv, or table.parquet    one row a run: of a trial, or of a study
SHA256SUMS                        of study.yaml or trial.yaml, and of the tables
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

STUDY, TRIAL, RUNS, STORES, LOG = "study.yaml", "trial.yaml", "runs", "stores", "log.csv"
TABLE = "outcomes.csv"
"""Of a trial; it is finished when this is there."""


def outcomes(key: str) -> Path:
    """The file of the outcomes of a run that has finished."""
    return Path(RUNS, f"{key}.json")


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
    files = (TRIAL, PROVENANCE, RUNS, LOG, TABLE, layout.SUMS)
    taken = {name.casefold(): f"a file of the trial ({name})" for name in files}
    for arm in trial.arms:
        other = taken.setdefault(arm.casefold(), f"arm '{arm}'")
        if other != f"arm '{arm}'":
            raise ScenarioError(
                f"trial.arms.{arm}: its folder would be that of {other} where capitals and small letters are not told "
                "apart; expected another name"
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
        (folder / RUNS).mkdir(exist_ok=True)
        write_text(folder / name, text)
        sums.add(folder, name)


def keep(folder: Path, key: str, taken: Mapping[str, float], store: Path | None = None) -> None:
    """Keep the outcomes of a run, whole or not at all, with the place of its result, where it leaves one."""
    write_sealed(
        folder / outcomes(key), {"key": key, "outcomes": dict(taken), "store": store.as_posix() if store else None}
    )


def kept(folder: Path, key: str, store: Path | None = None) -> dict[str, float] | None:
    """Outcomes of a run that has finished and left all that it should; None where it is to be run (again).

    What is damaged is told, and counts as not finished.

    Args:
        store: the place of its result, where it is to leave one.
    """
    path = folder / outcomes(key)
    if not path.exists():
        return None
    for problem in _damages(folder, path):
        warnings.warn(f"{problem}; this run is carried out again", stacklevel=2)
        return None
    found = read_sealed(path)
    taken: dict[str, float] = found["outcomes"]
    return taken if store is None or found.get("store") == store.as_posix() else None


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
    if not (folder / RUNS).is_dir():
        yield f"{folder / RUNS}: is missing: an older gpusim made this trial; its results can be checked one by one"
    for path in [folder / PROVENANCE, *sorted((folder / RUNS).glob("*.json"))]:
        yield from _damages(folder, path)


def _damages(folder: Path, path: Path) -> Iterator[str]:
    """What is wrong with a sealed file, and with the result of the run whose outcomes it holds."""
    try:
        found = read_sealed(path)
    except ResultError as error:
        yield str(error)
        return
    if found.get("store"):
        store = folder / found["store"]
        if not (store / layout.SUMMARY).is_file():
            yield f"{store}: {layout.SUMMARY} is missing"
        yield from checking.damages(store)
