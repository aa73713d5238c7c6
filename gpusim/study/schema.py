"""What a study file may say."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from gpusim.scenario.schema import Arms, Name, Outcome, Title
from gpusim.scenario.texts import Text
from gpusim.units import Amount, PureNumber, UnitError, WholeNumber, number, parse


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def split(quantity: float | str) -> tuple[float, str]:
    """Number and unit of "0.01 /min", or of a bare number. Raises `UnitError`."""
    if not isinstance(quantity, str):
        return float(quantity), ""
    text = quantity.strip()
    for end in range(len(text), 0, -1):
        try:
            return float(text[:end]), text[end:].strip()
        except ValueError:
            continue
    parse(text)
    return 1.0, text  # such as "/min" or "(3 um)"


class Range(_Part):
    """A parameter between two values, evenly spread over them or over their logarithms.

    `levels`: how many values a grid takes of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, serialize_by_alias=True)

    low: Amount = Field(alias="from")
    to: Amount
    scale: Literal["linear", "log"] = "linear"
    levels: Annotated[WholeNumber, Field(ge=2, le=10_000)] = 5

    @model_validator(mode="after")
    def _rising(self) -> "Range":
        if isinstance(self.low, str) != isinstance(self.to, str):
            raise ValueError("expected a unit at both ends of the range, or at none")
        low, high = self.ends
        if not low < high:
            raise ValueError(f"expected 'from' below 'to', found {self.low!r} and {self.to!r}")
        if self.scale == "log" and low <= 0:
            raise ValueError("'scale: log' needs 'from' above 0")
        return self

    @property
    def unit(self) -> str:
        """Unit of both ends, that of `from`; empty for bare numbers."""
        return split(self.low)[1]

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, in `unit`."""
        low, unit = split(self.low)
        try:
            high = number(self.to, f"1 {unit}") if unit else split(self.to)[0]
        except UnitError as error:
            raise ValueError(f"to: {self.to!r} {error}") from None
        return low, high


def _some(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("expected one value or more")
    return values


Values = Annotated[list[Any], AfterValidator(_some)]
Parameter = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Values, Tag("values")],
    Discriminator(lambda value: "range" if isinstance(value, dict | Range) else "values"),
]
"""A range, or a list of values as a scenario takes them."""


def _by_word(value: object) -> object:
    return value if isinstance(value, dict | BaseModel) else {"kind": value}


class _Design(_Part):
    """Which points of the parameters' space are run.

    `grid`: every combination. `latin-hypercube`, `sobol`: so many `points`, spread evenly.
    """

    kind: Literal["grid", "latin-hypercube", "sobol"] = "grid"
    points: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _counted(self) -> "_Design":
        if (self.points is None) != (self.kind == "grid"):
            wanted = "no 'points': it takes every combination" if self.kind == "grid" else "'points', as in points: 64"
            raise ValueError(f"'{self.kind}' needs {wanted}")
        if self.kind == "sobol" and self.points and self.points & (self.points - 1):
            raise ValueError(f"sobol: expected a power of 2 as 'points', found {self.points}")
        return self


Design = Annotated[_Design, BeforeValidator(_by_word)]


class Morris(_Part):
    """Elementary effects of Morris: which parameters matter at all, for few runs."""

    method: Literal["morris"]
    trajectories: Annotated[WholeNumber, Field(ge=2, le=100_000)] = 10
    levels: Annotated[WholeNumber, Field(ge=2, le=100)] = 4


class Sobol(_Part):
    """Sobol indices: shares of the variance, first order and total. `points` is a power of 2."""

    method: Literal["sobol"]
    points: Annotated[WholeNumber, Field(ge=2, le=2**20)] = 64

    @field_validator("points")
    @classmethod
    def _power(cls, points: int) -> int:
        if points & (points - 1):
            raise ValueError(f"expected a power of 2, found {points}")
        return points


Sensitivity = Annotated[
    Annotated[Morris, Tag("morris")] | Annotated[Sobol, Tag("sobol")],
    Discriminator(lambda v: str(v.get("method", "sobol")) if isinstance(v, dict) else v.method),
]


_Error = Annotated[PureNumber, Field(gt=0, le=2)]
_Errors = Annotated[
    Annotated[_Error, Tag("one")] | Annotated[dict[Name, _Error], Tag("by outcome")],
    Discriminator(lambda v: "by outcome" if isinstance(v, dict) else "one"),
]


class Fit(_Part):
    """How parameters are fitted to measured values.

    `error` is the relative standard deviation of one measurement (0.1: a tenth), taken to be lognormal, for all
    outcomes or by outcome; `subjects`, how many animals or patients a measured value is the mean of: in a model each
    differs by its seed. `abc`: sequential Monte Carlo by `populations` of `particles`; `optuna`: `trials` of a
    tree-structured Parzen estimator, `batch` at a time.
    """

    method: Literal["abc", "optuna"] = "abc"
    error: _Errors = 0.1
    subjects: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 1
    particles: Annotated[WholeNumber, Field(ge=10, le=100_000)] = 100
    populations: Annotated[WholeNumber, Field(ge=1, le=100)] = 8
    trials: Annotated[WholeNumber, Field(ge=10, le=1_000_000)] = 200
    batch: Annotated[WholeNumber, Field(ge=1, le=1000)] = 8


class StudyDocument(_Part):
    """A whole study. Parameters, `set` and arms hold dotted paths of the scenario and values."""

    name: Title = "unnamed"
    description: Text = ""
    scenario: str
    set: dict[str, Any] = {}
    parameters: dict[str, Parameter] = {}
    design: Design = _Design()
    replicates: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 1
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**64)] = 0
    arms: Arms = {"baseline": {}}
    outcomes: Annotated[dict[Name, Outcome], Field(min_length=1)]
    keep: Literal["table", "stores"] = "table"
    sensitivity: Sensitivity | None = None
    fit: Fit = Fit()

    @field_validator("parameters")
    @classmethod
    def _no_seed(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if "seed" in parameters:
            raise ValueError("'seed' is no parameter: each replicate has its own (see 'replicates')")
        return parameters
