"""Expressions of position: a concentration as text, such as "38 mmHg * exp(-(r / (200 um))^2)".

    comparison = sum [("<" | "<=" | ">" | ">=") sum]            1 where it holds, 0 elsewhere
    sum        = product {("+" | "-") product}
    product    = power {("*" | "/") power}
    power      = {"-" | "+"} atom ["^" power]
    atom       = number {unit ["^" whole number]} | unit | variable | function "(" comparison {"," comparison} ")"
               | "(" comparison ")"

Variables are x, y, z, from the corner of the grid, and r, from its middle. A number belongs closely to the units behind
it: "r / 200 um" is r / (200 um). Text is read by this grammar alone and never evaluated as code.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gpusim import units

if TYPE_CHECKING:
    import pint

VARIABLES = ("x", "y", "z", "r")
_LONGEST = 500
_DEEPEST = 40
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[^\W\d]\w*|%)|(?P<sign><=|>=|\*\*|[-+*/^(),<>]))"
)
_ARGUMENTS = {"exp": 1, "log": 1, "sqrt": 1, "sin": 1, "cos": 1, "tanh": 1, "abs": 1, "min": 2, "max": 2}
"""Functions, by name, and how many arguments they take."""
_SUMS, _PRODUCTS, _COMPARISONS = ("+", "-"), ("*", "/"), ("<", "<=", ">", ">=")

Value = Any
"""A quantity of pint, of a number or an array."""


class UndefinedError(units.UnitError):
    """An operation has no value: a division by 0, a root or a logarithm of what has none.

    Attributes:
        index: of the first such entry of the arrays of a position; empty where it is a number's.
    """

    def __init__(self, message: str, index: tuple[int, ...]) -> None:
        super().__init__(message)
        self.index = index


class Node(NamedTuple):
    """An operation on others, or a leaf: a "number", a "unit" or a "variable", which `text` holds."""

    kind: str
    text: str
    parts: tuple[Node, ...] = ()


class Expression(NamedTuple):
    """A text and what it was read as."""

    text: str
    tree: Node

    def require(self, unit: str) -> None:
        """Raise `UnitError` unless this is a quantity in `unit` and its kin, wherever it is looked at."""
        import numpy as np

        nowhere = units.parse("1 um") * np.full(1, np.nan)
        self.value(dict.fromkeys(VARIABLES, nowhere), unit, 1.0)

    def value(self, position: Mapping[str, pint.Quantity[Any]], unit: str, voxel_volume: float) -> Any:
        """The expression in a unit at positions, by variable: numbers or arrays of float64, not checked.

        `voxel_volume` is in um^3. Raises `UnitError` where dimensions do not fit each other or the unit, and
        `UndefinedError` where an operation has no value.
        """
        import numpy as np

        with np.errstate(all="ignore"):
            found = _evaluated(self.tree, position, voxel_volume)
            return units.ratio(found, unit, voxel_volume)


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Read an expression. Raises `ValueError` with what is wrong and where."""
    if len(text) > _LONGEST:
        raise ValueError(f"expected an expression of at most {_LONGEST} characters, found {len(text)}")
    reader = _Reader(text)
    tree = reader.comparison(0)
    if reader.kind != "end":
        raise reader.unexpected("an operator")
    return Expression(text, tree)


class _Reader:
    """Reads a text from left to right; `kind` and `word` are those of the next token."""

    def __init__(self, text: str) -> None:
        self._text, self._end = text, 0
        self.advance()

    def advance(self) -> str:
        """Go on to the next token; gives the one passed."""
        passed = getattr(self, "word", "")
        rest = self._text[self._end :]
        self._at = self._end + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self.kind, self.word = "end", ""
            return passed
        found = _TOKEN.match(self._text, self._end)
        if found is None:
            raise ValueError(f"{self._text[self._at]!r} at character {self._at + 1} is not allowed in an expression")
        assert found.lastgroup is not None
        self.kind, self.word = found.lastgroup, found[found.lastgroup]
        self.word = "^" if self.word == "**" else self.word
        self._end = found.end()
        return passed

    def unexpected(self, expected: str) -> ValueError:
        """What to raise where something else stands."""
        found = f"{self.word!r} at character {self._at + 1}" if self.word else "the end"
        return ValueError(f"expected {expected}, found {found} of {self._text!r}")

    def _sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.word in signs

    def _close(self) -> None:
        if not self._sign(")"):
            raise self.unexpected("')'")
        self.advance()

    def comparison(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST}: {self._text!r}")
        left = self._sum(depth)
        if self._sign(*_COMPARISONS):
            sign = self.advance()
            return Node(sign, "", (left, self._sum(depth)))
        return left

    def _sum(self, depth: int) -> Node:
        return self._chain(_SUMS, lambda: self._chain(_PRODUCTS, lambda: self._power(depth)))

    def _chain(self, signs: tuple[str, ...], inner: Callable[[], Node]) -> Node:
        found = inner()
        while self._sign(*signs):
            sign = self.advance()
            found = Node(sign, "", (found, inner()))
        return found

    def _power(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST}: {self._text!r}")
        negative = False
        while self._sign("-", "+"):
            negative ^= self.advance() == "-"
        found = self._atom(depth + 1)
        if self._sign("^"):
            self.advance()
            found = Node("^", "", (found, self._power(depth + 1)))
        return Node("negative", "", (found,)) if negative else found

    def _atom(self, depth: int) -> Node:
        if self.kind == "number":
            return self._quantity(depth)
        if self.kind == "name":
            name = self.advance()
            if self._sign("(") and name not in VARIABLES:
                return self._function(name, depth)
            return Node("variable" if name in VARIABLES else "unit", name)
        if self._sign("("):
            self.advance()
            found = self.comparison(depth)
            self._close()
            return found
        raise self.unexpected("a number, a variable (x, y, z, r), a function or '('")

    def _quantity(self, depth: int) -> Node:
        """A number and the units right behind it, or a parenthesis as a ratio of titres makes it."""
        found = Node("number", self.advance())
        while (self.kind == "name" and self.word not in VARIABLES) or self._sign("("):
            if self.kind == "name" and self._is_call():
                break
            unit = self._atom(depth)
            if unit.kind == "unit" and self._sign("^"):
                self.advance()
                negative = self._sign("-") and self.advance() == "-"
                if self.kind != "number":
                    raise self.unexpected("a whole number as the power of a unit")
                power = Node("number", self.advance())
                unit = Node("^", "", (unit, Node("negative", "", (power,)) if negative else power))
            found = Node("*", "", (found, unit))
        return found

    def _is_call(self) -> bool:
        """Whether a parenthesis stands behind the name."""
        return self._text[self._end :].lstrip().startswith("(")

    def _function(self, name: str, depth: int) -> Node:
        if name not in _ARGUMENTS:
            raise ValueError(f"unknown function '{name}' (known: {', '.join(_ARGUMENTS)})")
        self.advance()
        given = [self.comparison(depth)]
        while self._sign(","):
            self.advance()
            given.append(self.comparison(depth))
        self._close()
        wanted = _ARGUMENTS[name]
        if len(given) < wanted or (wanted == 1 and len(given) > 1):
            raise ValueError(f"'{name}' takes {'one argument' if wanted == 1 else 'two or more'}, found {len(given)}")
        return Node("function", name, tuple(given))


def _evaluated(node: Node, position: Mapping[str, Value], voxel_volume: float) -> Value:
    if node.kind == "number":
        return units.parse("1") * float(node.text)
    if node.kind == "unit":
        try:
            return units.parse(f"1 {node.text}", voxel_volume)
        except units.UnitError as error:
            raise units.UnitError(f"has '{node.text}', which {error}") from None
    if node.kind == "variable":
        return position[node.text]
    parts = [_evaluated(part, position, voxel_volume) for part in node.parts]
    try:
        return _OPERATIONS[node.text or node.kind](*parts)
    except UndefinedError:
        raise
    except units.UnitError:
        raise units.UnitError(f"takes '{node.text or node.kind}' of {_named(parts)}") from None
    except OverflowError:
        raise units.UnitError("is too large") from None
    except ZeroDivisionError:
        raise units.UnitError("divides by 0") from None
    except Exception:  # pint has several kinds for dimensions that do not fit
        raise units.UnitError(f"takes '{node.text or node.kind}' of {_named(parts)}") from None


def _named(parts: list[Value]) -> str:
    """Quantities by their units."""
    named = ["a number" if _bare(part) else f"a quantity in '{part.units:~C}'" for part in parts]
    return units.ascii_micro(" and ".join(named))  # pint writes one of the two, by its version


def _bare(value: Value) -> bool:
    return not value.unit_items()


def _require_none(undefined: Any, message: str) -> None:
    """Raise `UndefinedError` where any entry of an array of truth values is true."""
    import numpy as np

    found = np.argwhere(undefined)
    if len(found):
        raise UndefinedError(message, tuple(map(int, found[0])))


def _quotient(dividend: Value, divisor: Value) -> Value:
    _require_none(divisor.magnitude == 0, "divides by 0")
    return dividend / divisor


def _raised(base: Value, exponent: Value) -> Value:
    import numpy as np

    power = _plain(exponent)
    _require_none((base.magnitude == 0) & (power < 0), "divides by 0")
    _require_none((base.magnitude < 0) & (power != np.floor(power)), "takes a root of a number below 0")
    if getattr(power, "ndim", 0):
        return base**power if _bare(base) else units.parse("1") * (_plain(base) ** power)
    return base ** float(power)


def _plain(value: Value) -> Any:
    """The magnitude of a pure number."""
    return units.ratio(value, "dimensionless")


def _of(name: str) -> Callable[..., Value]:
    """A function of a pure number."""

    def operation(value: Value) -> Value:
        import numpy as np

        given = np.asarray(_plain(value), float)
        if name == "log":
            _require_none(given <= 0, "takes 'log' of a number that is not above 0")
        return units.parse("1") * getattr(np, name)(given)

    return operation


def _root(value: Value) -> Value:
    _require_none(value.magnitude < 0, "takes 'sqrt' of a number below 0")
    return value**0.5


def _extreme(name: str) -> Callable[..., Value]:
    def operation(*values: Value) -> Value:
        import numpy as np

        return functools.reduce(getattr(np, name), values)

    return operation


def _compared(name: str) -> Callable[..., Value]:
    def operation(left: Value, right: Value) -> Value:
        import numpy as np

        return units.parse("1") * np.asarray(getattr(np, name)(left, right), float)

    return operation


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "^": _raised,
    "negative": lambda a: -a,
    "abs": abs,
    "sqrt": _root,
    "min": _extreme("minimum"),
    "max": _extreme("maximum"),
    **{name: _of(name) for name in ("exp", "log", "sin", "cos", "tanh")},
    **{
        sign: _compared(name)
        for sign, name in {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}.items()
    },
}
