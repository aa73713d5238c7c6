"""Walks through the plain data of a scenario, checked or not, along the schema."""

import functools
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, BeforeValidator

from gpusim.scenario.hints import forms
from gpusim.scenario.reading import KeyPath
from gpusim.scenario.schema import Bias, Document, Loss, Secretion, Slope


def marked(data: Any, mark: str, annotation: Any = Document, metadata: tuple[Any, ...] = ()) -> Iterator[KeyPath]:
    """Paths of the values whose type in the schema bears a mark, such as `READ` of input files.

    A path may come several times, where the schema has several forms for a value.
    """
    scalar = not isinstance(data, (dict, list, tuple))
    for form, marks in forms(annotation, metadata):
        if scalar:
            if mark in marks or (_abbreviated(form, marks) and mark in _abbreviations(form)):
                yield ()
        elif isinstance(form, type) and issubclass(form, BaseModel):
            if isinstance(data, dict):
                for name, field in form.model_fields.items():
                    key = field.alias or name
                    if key in data:
                        for path in marked(data[key], mark, field.annotation, tuple(field.metadata)):
                            yield (key, *path)
        elif typing.get_origin(form) is dict and isinstance(data, dict):
            for key, value in data.items():
                for path in marked(value, mark, typing.get_args(form)[1]):
                    yield (key, *path)
        elif typing.get_origin(form) in (tuple, list) and isinstance(data, (list, tuple)):
            for i, value in enumerate(data):
                for path in marked(value, mark, typing.get_args(form)[0]):
                    yield (i, *path)


def value_at(data: Any, path: KeyPath) -> Any:
    """The value at a path. Raises `KeyError`, `IndexError`, `TypeError`."""
    for part in path:
        data = data[part]
    return data


def _abbreviated(form: Any, marks: tuple[Any, ...]) -> bool:
    """Whether one value may stand for the whole: a rate for {rate, modulators}, a number for a table by state."""
    by_state = typing.get_origin(form) is dict and any(isinstance(each, BeforeValidator) for each in marks)
    return by_state or (isinstance(form, type) and form in _ALONE)


@functools.cache
def _abbreviations(form: Any) -> frozenset[str]:
    """The marks of that one value."""
    if typing.get_origin(form) is dict:
        found = forms(typing.get_args(form)[1])
    else:
        field = form.model_fields[_ALONE[form]]
        found = forms(field.annotation, tuple(field.metadata))
    return frozenset(mark for _, marks in found for mark in marks if isinstance(mark, str))


_ALONE = {typing.get_args(each)[0]: "rate" for each in (Secretion, Loss)} | {Slope: "weight", Bias: "value"}
"""Parts that may be written as the value of one key alone, and this key."""
