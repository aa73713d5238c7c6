"""The table of counts: one line at a time, each handed to the system at once."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class CountsTable:
    """Appends rows to `path`; begins it with `columns`, or after its first `size` bytes.

    Raises `OSError`; `ValueError` where the file is shorter than `size`.
    """

    def __init__(self, path: Path, columns: Iterable[str], size: int | None = None) -> None:
        self._path = path
        if size is not None and path.stat().st_size < size:
            raise ValueError(f"{path.name} holds {path.stat().st_size} bytes; expected {size}")
        # Line by line: a killed run leaves whole rows.
        self._file = path.open("w" if size is None else "a", buffering=1, newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        if size is None:
            self._rows.writerow(columns)
        else:
            self._file.truncate(size)

    def add(self, row: Iterable[Any]) -> None:
        """Add a row. Raises `FileNotFoundError` where the file has vanished meanwhile."""
        if not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
            raise FileNotFoundError(None, "another file has taken its place")
        self._rows.writerow(row)

    def synced_size(self) -> int:
        """Bytes of the file, all of them on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
