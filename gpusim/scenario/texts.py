"""Texts of a scenario that are only printed."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _printable(text: str) -> str:
    if not all(c.isprintable() or c == "\n" for c in text):
        raise ValueError(f"expected text without control characters, found {text!r}")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
