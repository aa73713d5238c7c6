"""Conditions on a column of a table: a value, a threshold, a range, a pattern.

1            the number, also where the table says "1" or 1.0
Tumor        the text
Tumor*       texts of this form; * stands for any characters
"> 20"       also >=, <, <=, = (equal to what follows, as it stands) and != (different)
"20 to 40"   from 20 to 40, both included
"> 5 and <= 9"
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

_COMPARISON = re.compile(r"\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*", re.DOTALL)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s+to\s+({_NUMBER})\s*")
_MOST = 200
"""Characters of a condition."""

ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
"""Comparisons of numbers; they hold for arrays too."""


class Test(NamedTuple):
    """One comparison: `<`, `<=`, `>`, `>=` with a number; `=`, `!=` with a number or text; `*` with a pattern."""

    kind: str
    value: float | str


def number(text: str) -> float | None:
    """The finite number that a text is; None where it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse(text: str) -> tuple[Test, ...]:
    """The comparisons of a condition, which all must hold. Raises `ValueError`."""
    if len(text) > _MOST:
        raise ValueError(f"expected a condition of at most {_MOST} characters, found {len(text)}")
    if between := _RANGE.fullmatch(text):
        low, high = map(float, between.groups())
        if low > high:
            raise ValueError(f"expected a range from low to high, found {text!r}")
        return Test(">=", low), Test("<=", high)
    if not _COMPARISON.fullmatch(text):
        return (Test("*" if "*" in text else "=", text.strip()),)
    return tuple(_comparison(part, text) for part in re.split(r"\s+and\s+(?=[<>=!])", text))


def _comparison(part: str, text: str) -> Test:
    found = _COMPARISON.fullmatch(part)
    if not found:
        raise ValueError(f"expected comparisons such as '> 5 and <= 9', found {text!r}")
    kind, right = found.groups()
    if kind in ("=", "!="):
        return Test(kind, right)
    value = number(right)
    if value is None:
        raise ValueError(f"expected a number after '{kind}', found {text!r} (for a text, write '= {text.strip()}')")
    return Test(kind, value)
