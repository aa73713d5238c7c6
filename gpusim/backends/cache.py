"""A per-user cache of what compilers made.

The name of an entry ends in the hash of its bytes, so that a damaged one is noticed before it is loaded.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def name(*decisive: str) -> str:
    """Name of an entry, from all that decides its bytes: source, options, compiler, machine."""
    return f"kernels-{hashlib.sha256(chr(0).join(decisive).encode()).hexdigest()[:32]}"


def folder() -> Path:
    """$GPUSIM_CACHE, or the user's cache folder."""
    return Path(os.environ.get("GPUSIM_CACHE") or platformdirs.user_cache_dir("gpusim"))


def found(entry: str, suffix: str) -> Iterator[Path]:
    """Entries of this name whose bytes are as they were kept; damaged ones are removed."""
    for path in sorted(folder().glob(f"{entry}-*{suffix}")):
        try:
            if path.stem == f"{entry}-{_hash(path.read_bytes())}":
                yield path
            else:
                path.unlink(missing_ok=True)
        except OSError:
            continue


def keep(entry: str, suffix: str, content: bytes) -> Path:
    """Write an entry aside and rename it, so that no other process sees half of it. Raises `OSError`."""
    cache = _writable()
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as aside:
        written = Path(aside) / f"kernels{suffix}"
        written.write_bytes(content)
        path = cache / f"{entry}-{_hash(content)}{suffix}"
        os.replace(written, path)
        return path


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _writable() -> Path:
    """The cache; a temporary folder where it can't be written."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder()):
            return folder()
    except OSError:
        return Path(_temporary().name)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="gpusim-cache-", ignore_cleanup_errors=True)
