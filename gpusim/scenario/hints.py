"""Types of the schema, taken apart."""

import types
import typing
from collections.abc import Iterator
from typing import Any


def forms(hint: Any, metadata: Any = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The alternatives of a type, from unions and `Annotated`, each with its metadata."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(hint)
        yield from forms(inner, (*metadata, *more))
    elif origin in (typing.Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from forms(inner, metadata)
    else:
        yield hint, tuple(metadata)
