"""Tables that grow during a run: each line is handed to the system at once."""

import csv
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def same(path: Path, size: int, sha256: str) -> bool:
    """Whether the first `size` bytes of a table are what they were."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest() == sha256


class Table:
    """Appends rows to `path`; begins it with `columns`, or after its first `size` bytes.

    Args:
        sha256: of these bytes.

    Attributes:
        path: of the file.

    Raises `OSError`; `ValueError` where the file is shorter than `size`, or its first bytes are others.
    """

    def __init__(self, path: Path, columns: Iterable[str], size: int | None = None, sha256: str = "") -> None:
        self.path = path
        kept = b""
        if size is not None:
            kept = path.read_bytes()[:size]
            if len(kept) < size:
                raise ValueError(f"{path.name} holds {len(kept)} bytes; expected {size}")
            if hashlib.sha256(kept).hexdigest() != sha256:
                raise ValueError(f"{path.name} is damaged")
        self._sha = hashlib.sha256(kept)
        # Line by line: a killed run leaves whole rows.
        self._file = path.open("w" if size is None else "a", buffering=1, newline="", encoding="utf-8")
        if size is None:
            self._write(columns)
        else:
            self._file.truncate(size)

    def add(self, *rows: Iterable[Any]) -> None:
        """Add rows. Raises `FileNotFoundError` where the file has vanished meanwhile."""
        if not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
            raise FileNotFoundError(None, "another file has taken its place")
        self._write(*rows)

    def _write(self, *rows: Iterable[Any]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(rows)
        self._file.write(lines.getvalue())
        self._sha.update(lines.getvalue().encode())

    def synced(self) -> tuple[int, str]:
        """Bytes of the file, all of them on the disk, and their SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size, self._sha.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
