"""What a study leaves on the disk, and finds there again.

study.yaml      as it was run
runs/KEY.json   the outcomes of a finished run; KEY is a hash of all that they depend on
log.csv         when each run began, finished, failed, or was found finished by a further try, and where
stores/KEY/     the result folder of a run, with `keep: stores`
table.parquet   one row a run
"""

import csv
import io
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from gpusim.record.files import write_text

STUDY, RUNS, LOG, STORES, TABLE = "study.yaml", "runs", "log.csv", "stores", "table.parquet"


def finished(folder: Path, key: str) -> dict[str, float] | None:
    """Outcomes of a run that has finished, by column; None where it has not."""
    try:
        found: dict[str, float] = json.loads((folder / RUNS / f"{key}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found


def finish(folder: Path, key: str, outcomes: dict[str, float]) -> None:
    """Keep the outcomes of a run, whole or not at all."""
    write_text(folder / RUNS / f"{key}.json", json.dumps(outcomes))


def store(folder: Path, key: str) -> Path:
    """The result folder of a run."""
    return folder / STORES / key[:16]


def note(folder: Path, key: str, event: str) -> None:
    """Add a line to the log; the system keeps those of several processes apart."""
    line = io.StringIO()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    csv.writer(line, lineterminator="\n").writerow([now, key, event, socket.gethostname(), os.getpid()])
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(line.getvalue())
