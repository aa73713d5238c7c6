"""What tells one model from another: a state can only go on in the model that it came from."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gpusim.model.model import Model


def fingerprint(models: Mapping[str, Model | Mapping[str, object]]) -> str:
    """SHA-256 over every number and name of the models of all sites; or of parts of them, by name."""
    sha = hashlib.sha256()
    for part in _parts(dict(models)):
        sha.update(part)
    return sha.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            part = getattr(value, field.name)
            if part is None and field.default is None:
                continue  # what few models have leaves no mark in the others
            yield field.name.encode()
            yield from _parts(part)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, (tuple, list)):
        yield str(len(value)).encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        yield from _parts(list(value.items()))
    else:
        yield repr(value).encode()
