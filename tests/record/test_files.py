"""Files that are written together."""

import errno
import os

import pytest

from gpusim.record.files import aside


def test_none_of_the_files_is_renamed_if_one_cannot_be_brought_to_the_disk(tmp_path, monkeypatch):
    """A full disk may be told only by the last `fsync`."""
    (tmp_path / "a.csv").write_text("before")
    synced = []

    def fsync(descriptor):
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write():
        with aside(tmp_path / "a.csv") as unready:
            unready.write_text("after")
            unready.with_name("b.csv").write_text("after")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "before"
