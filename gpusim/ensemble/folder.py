"""What a study leaves on the disk, and finds there again.

study.yaml      as it was run
provenance.json the content of its input files and the program, as they were
runs/KEY.json   the outcomes of a finished run; KEY is a hash of all that they depend on
log.csv         when each run began, finished, failed, or was found finished by a further try, and where
stores/KEY/     the result folder of a run, with `keep: stores`
table.parquet   one row a run
SHA256SUMS      of study.yaml and the tables
"""

import csv
import io
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gpusim.errors import ResultError
from gpusim.record import sums
from gpusim.record.files import read_sealed
from gpusim.record.provenance import PROVENANCE
from gpusim.trial import kept

STUDY, RUNS, LOG, STORES, TABLE = "study.yaml", "runs", "log.csv", "stores", "table.parquet"


def outcomes(folder: Path, key: str) -> Path:
    """The file of the outcomes of a run that has finished."""
    return folder / RUNS / f"{key}.json"


def store(folder: Path, key: str) -> Path:
    """The result folder of a run."""
    return folder / STORES / key[:16]


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / RUNS).is_dir() and (folder / STUDY).is_file()


def damages(folder: Path) -> Iterator[str]:
    """What is wrong with what a study has left, a line each; `log.csv` has nothing to be held against."""
    yield from sums.problems(folder, (STUDY,))
    if (folder / PROVENANCE).exists():
        try:
            read_sealed(folder / PROVENANCE)
        except ResultError as error:
            yield str(error)
    for path in sorted((folder / RUNS).glob("*.json")):
        into = store(folder, path.stem)
        yield from kept.damages(path, into if into.exists() else None)


def note(folder: Path, key: str, event: str) -> None:
    """Add a line to the log; the system keeps those of several processes apart."""
    line = io.StringIO()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    csv.writer(line, lineterminator="\n").writerow([now, key, event, socket.gethostname(), os.getpid()])
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(line.getvalue())
