"""A Zarr store in a folder, to which nothing is written after the end of a block."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore


@contextmanager
def writable(folder: Path) -> Iterator[LocalStore]:
    """A store in which nothing is written after the block, whether it ends with an error or without.

    zarr and dask write several chunks at a time, and after an error in one of them they go on with the others, which
    would make a folder anew that was removed because of the error.
    """
    store = _Store(folder)
    try:
        yield store
    finally:
        store.end()


class _Store(LocalStore):
    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._changed = threading.Condition()
        self._writing = 0
        self._ended = False

    async def set(self, key: str, value: Buffer) -> None:
        with self._written():
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        with self._written():
            await super().set_if_not_exists(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        with self._written():
            super().set_sync(key, value)

    @contextmanager
    def _written(self) -> Iterator[None]:
        with self._changed:
            if self._ended:
                raise ValueError(f"{self.root}: the store has ended")
            self._writing += 1
        try:
            yield
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Refuse further writes, and wait for those that have begun."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._writing)
