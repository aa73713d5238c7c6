"""The schema of a scenario file. Positions and sizes are in the order x, y, z."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from gpusim.scenario import expressions, groups
from gpusim.scenario.conditions import number as as_number
from gpusim.scenario.conditions import parse as parse_condition
from gpusim.scenario.limits import LEAST_POWER, LONGEST_AXIS, MOST_POWER
from gpusim.scenario.sources import Kind, Sources
from gpusim.scenario.texts import Text
from gpusim.units import (
    Amount,
    Conductance,
    Coordinate,
    Diffusivity,
    HydraulicConductivity,
    InPFU,
    Length,
    Pressure,
    PureNumber,
    Rate,
    SignedAmount,
    Speed,
    SurfaceDensity,
    Time,
    UnitError,
    Volume,
    WallConductivity,
    WholeNumber,
    number,
    parse,
)

Name = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,39}$")]
"""Names become columns, folders and labels: at most 40 letters, digits and underscores."""

READ = "read"
InputFile = Annotated[str, READ]
"""An input file of the scenario. A relative path starts from the scenario's folder; results depend on the content
(`gpusim/scenario/inputs.py`)."""

TITLE = r"^\w[\w .+-]{0,79}$"
Title = Annotated[str, Field(pattern=TITLE)]
"""Title of a scenario or an arm. It becomes the name of a folder, so it contains no path separators."""


Layer = Literal["tissue", "immune"]
CellSide = Literal["closed", "periodic", "open"]
Position = Literal["centre"] | tuple[Length, Length, Length]
Fraction = Annotated[PureNumber, Field(ge=0, le=1)]
_NAME = re.compile(r"\w{1,40}")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _transition(text: str) -> tuple[list[str], list[str]] | None:
    """Names to the left of the arrow, and those to the right; None where it is no transition."""
    left, arrow, right = text.partition("->")
    leaves, enters = ([name.strip() for name in side.split(sign)] for side, sign in ((left, "|"), (right, "+")))
    good = bool(arrow) and len(enters) <= 2 and all(_NAME.fullmatch(name) for name in (*leaves, *enters))
    return (leaves, enters) if good else None


def _unit(text: str) -> str:
    try:
        if parse(text).magnitude <= 0:
            raise UnitError("is not a unit")
    except UnitError as error:
        raise ValueError(f"{text!r} {error}") from None
    return text


Unit = Annotated[str, AfterValidator(_unit), InPFU]
StateNames = Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(min_length=1), groups.LIST]
"""A state or a group of states, or a list of them."""


def _left(text: str) -> list[str]:
    ends = _transition(text)
    return ends[0] if ends else []


def _left_in_states(text: str, members: groups.Groups) -> str:
    return f"{'|'.join(groups.states_of(_left(text), members))} -> {text.partition('->')[2].strip()}"


Transition = Annotated[str, groups.Plural(_left, _left_in_states)]
"""A transition of cells, whose left side names states and groups."""


def _partners(text: str) -> tuple[list[str], str | None] | None:
    """States and groups of a partner, and the state that it enters, None if it keeps its own; None: no partner."""
    states, arrow, _ = text.partition("->")
    ends = _transition(text if arrow else f"{states} -> {NONE}")
    return None if ends is None or len(ends[1]) > 1 else (ends[0], ends[1][0] if arrow else None)


def _of_partners(text: str) -> list[str]:
    found = _partners(text)
    return found[0] if found else []


def _partners_in_states(text: str, members: groups.Groups) -> str:
    _, arrow, after = text.partition("->")
    states = "|".join(groups.states_of(_of_partners(text), members))
    return f"{states} -> {after.strip()}" if arrow else states


Partner = Annotated[str, groups.Plural(_of_partners, _partners_in_states)]
"""States and groups of a partner that keeps its state, or its transition, whose left side names states and groups."""


Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
"""Red, green and blue, two hexadecimal digits each."""
StateRole = Literal["tumour", "exposed", "infected", "dead", "healthy", "stroma", "vessel", "effector"]
"""Role of a state in figures and reports: tumour cell, exposed to the virus (not producing it yet), infected (producing
it), dead, healthy tissue, stroma, vessel, effector (an immune cell that kills)."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Sides(_Part):
    """Boundary conditions of cells on both sides of an axis: closed, periodic, or open to more of the background.

    Cells leave through an open side by movement or displacement. `boundary` of a field is the condition for
    concentrations.
    """

    x: CellSide = "closed"
    y: CellSide = "closed"
    z: CellSide = "closed"


class Grid(_Part):
    """The lattice: `shape` voxels along x, y, z, with an edge of `spacing`.

    `shape` is optional if the tissue comes from an image or a table of cells; the lattice then encloses this tissue.
    `sides` are the boundary conditions of cells.
    """

    spacing: Length = "20 um"
    shape: tuple[WholeNumber, WholeNumber, WholeNumber] | None = None
    sides: Sides = Sides()

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if shape is not None and not all(1 <= n <= LONGEST_AXIS for n in shape):
            raise ValueError(f"expected three whole numbers from 1 to {LONGEST_AXIS}")
        return shape


class Step(_Part):
    """Time steps. Steps that are not given are derived from the rates of the scenario."""

    field: Time | None = None
    rules: Time | None = None
    motion: Time | None = None


class TimeSpec(_Part):
    """Duration of a run, and its time steps.

    Derived time steps are divisors of `until`, of the times of snapshots and doses, and of the times `at`.
    """

    until: Time = "1 day"
    at: Annotated[tuple[Time, ...], BeforeValidator(_listed), Field(max_length=10_000)] = ()
    step: Step = Step()


DEFAULT = "default"


def _by_state(value: object) -> object:
    return value if isinstance(value, dict) else {DEFAULT: value}


def _needs_default(table: dict[str, str]) -> dict[str, str]:
    if DEFAULT not in table:
        raise ValueError(f"expected a '{DEFAULT}' in addition to the states")
    return table


def _as_written(table: dict[str, str]) -> str | dict[str, str]:
    return table[DEFAULT] if len(table) == 1 else table


DiffusivityByState = Annotated[
    dict[Name, Diffusivity],
    BeforeValidator(_by_state),
    AfterValidator(_needs_default),
    PlainSerializer(_as_written),
    groups.TABLE,
]
"""One diffusion coefficient, or a table by tissue state or group with a `default` for all other states."""


class Side(_Part):
    """Boundary condition at a side of the grid.

    `no-flux`, `periodic` (both sides of an axis), a fixed `value`, or a `permeability` with the flux permeability *
    (far - concentration at the side).
    """

    kind: Literal["no-flux", "periodic"] | None = None
    value: Amount | None = None
    permeability: Speed | None = None
    far: Amount = 0.0

    @model_validator(mode="before")
    @classmethod
    def _by_word(cls, value: object) -> object:
        return value if isinstance(value, dict | Side) else {"kind": value}

    @model_validator(mode="after")
    def _one(self) -> "Side":
        if sum(v is not None for v in (self.kind, self.value, self.permeability)) != 1:
            raise ValueError("expected no-flux, periodic, a 'value', or a 'permeability' (with 'far')")
        if "far" in self.model_fields_set and self.permeability is None:
            raise ValueError("'far' needs a 'permeability'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> str | dict[str, object]:
        return self.kind or dump(self)


class Boundary(_Part):
    """Boundary conditions of a field. A side takes precedence over its axis, and an axis over `all`."""

    all: Side = Side(kind="no-flux")
    x: Side | None = None
    y: Side | None = None
    z: Side | None = None
    x_low: Side | None = None
    x_high: Side | None = None
    y_low: Side | None = None
    y_high: Side | None = None
    z_low: Side | None = None
    z_high: Side | None = None

    def sides(self) -> tuple[Side, ...]:
        """z low, z high, y low, y high, x low, x high."""
        return tuple(
            getattr(self, f"{axis}_{end}") or getattr(self, axis) or self.all
            for axis in "zyx"
            for end in ("low", "high")
        )

    @model_validator(mode="after")
    def _in_pairs(self) -> "Boundary":
        kinds = [side.kind == "periodic" for side in self.sides()]
        for i, axis in enumerate("zyx"):
            if kinds[2 * i] != kinds[2 * i + 1]:
                raise ValueError(f"periodic applies to both sides of an axis: '{axis}: periodic'")
        return self


def _exponent(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, found {'true' if value else 'false'}")
    return value


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


Power = Annotated[
    float,
    BeforeValidator(_exponent),
    Field(ge=LEAST_POWER, le=MOST_POWER),
    AfterValidator(_whole),
    PlainSerializer(_whole, return_type=Any),
]
"""Exponent of a Hill function, whole or not."""

Factor = Annotated[PureNumber, Field(ge=0, le=1e6)]


SIDES = ("z_low", "z_high", "y_low", "y_high", "x_low", "x_high")
"""Names of the sides of the grid, in the order of their numbers."""


class _Argument(_Part):
    """What a rate depends on."""

    field: Name | None = None
    neighbours: StateNames | None = None
    contact: StateNames | None = None
    body: Name | None = None
    trait: Name | None = None
    room: Literal[True] | None = None
    connected: StateNames | None = None
    to: StateNames | None = None
    neighbourhood: Literal[6, 18, 26] = 26
    half: Amount | None = None
    power: Power = 1

    @property
    def _given(self) -> int:
        arguments = (self.field, self.neighbours, self.contact, self.body, self.trait, self.room, self.connected)
        return sum(v is not None for v in arguments)

    @model_validator(mode="after")
    def _connection(self) -> Self:
        if (self.connected is None) != (self.to is None):
            raise ValueError("'connected' and 'to' (the states or sides of the grid at the other end) go together")
        for key in ("half", "power", "per", "above", "below", "neighbourhood"):
            if self.connected is not None and key in self.model_fields_set:
                raise ValueError(f"'{key}' does not apply to 'connected', which is 1 or 0; expected 'at_zero' or none")
        return self


class Signal(_Argument):
    """A signal of a joint response: x^`power` with x = argument / `half`; the arguments are those of a modulator."""

    half: Amount

    @model_validator(mode="after")
    def _one(self) -> "Signal":
        if self._given != 1:
            raise ValueError("expected exactly one of 'field', 'neighbours', 'contact', 'body', 'trait', 'room'")
        if not isinstance(self.half, str) and self.half <= 0:
            raise ValueError("expected 'half' above 0")
        return self


Signals = Annotated[tuple[Signal, ...], Field(min_length=1, max_length=100)]


class Modulator(_Argument):
    """A factor on a rate, as a function of one argument, or a joint response to several.

    The argument is one of the following: the concentration of a `field`; the number of `neighbours` in some states; the
    presence of a cell of the other layer in some states (`contact`); a quantity of the `body`; a `trait` of either cell
    of the voxel (0 if neither has it); with `room: true`, only for rules, the distance to the nearest voxel that can
    take a tissue cell, as far as divisions reach; `connected`, which is 1 if voxels in these tissue states that share a
    face, an edge or a corner connect the voxel `to` a voxel in some states or to some sides of the grid (`x_low`, ...),
    otherwise 0.

    Functions: Hill function (`half`, `power`), proportion (`per`), threshold (`above`, `below`). `effect: inhibits`
    reverses a Hill function; `at_zero` and `at_saturation` set its two limits.

    A joint response: with s the sum of x^power over the signals in `increases` (x = argument / half), and t that over
    those in `decreases`, u = (`at_zero` + `at_saturation` * s) / (1 + s), and the factor is (u + `at_inhibition` * t) /
    (1 + t).
    """

    per: Amount | None = None
    above: Amount | None = None
    below: Amount | None = None
    effect: Literal["activates", "inhibits"] = "activates"
    increases: Signals | None = None
    decreases: Signals | None = None
    at_zero: Factor | None = None
    at_saturation: Factor | None = None
    at_inhibition: Factor | None = None

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Those of a joint response; empty for a function of one argument."""
        return (*(self.increases or ()), *(self.decreases or ()))

    @property
    def arguments(self) -> tuple["Signal | Modulator", ...]:
        """All that the factor depends on."""
        return self.signals or (self,)

    @model_validator(mode="after")
    def _joint(self) -> "Modulator":
        if self.at_inhibition is not None and self.decreases is None:
            raise ValueError("'at_inhibition' applies only to a joint response with 'decreases'")
        if not self.signals:
            return self
        for key in ("half", "power", "per", "above", "below", "effect", "neighbourhood"):
            if key in self.model_fields_set:
                raise ValueError(f"'{key}' belongs to each of the signals of 'increases' and 'decreases'")
        if self.at_saturation is not None and self.increases is None:
            raise ValueError("'at_saturation' applies only to a joint response with 'increases'")
        return self

    @model_validator(mode="after")
    def _one_of_each(self) -> "Modulator":
        if self._given + bool(self.signals) != 1:
            raise ValueError(
                "expected exactly one of 'field', 'neighbours', 'contact', 'body', 'trait', 'room', 'connected', or a "
                "joint response ('increases', 'decreases')"
            )
        if self.signals:
            return self
        shapes = [k for k in ("half", "per", "above", "below") if getattr(self, k) is not None]
        if len(shapes) > 1 or ((self.field or self.body or self.trait or self.room) is not None and not shapes):
            raise ValueError("expected exactly one of 'half', 'per', 'above', 'below'")
        for shape in shapes:
            value = getattr(self, shape)
            if shape in ("half", "per") and not isinstance(value, str) and value <= 0:
                raise ValueError(f"expected '{shape}' above 0")
        if self.effect == "inhibits" and "half" not in shapes:
            raise ValueError("'effect: inhibits' needs a Hill function (give 'half')")
        return self


def _as_rate(value: object) -> object:
    return value if isinstance(value, (dict, BaseModel)) else {"rate": value}


class _Secretion(_Part):
    """Secretion at a `rate`, times its modulators."""

    rate: Amount
    modulators: tuple[Modulator, ...] = ()


class _Loss(_Part):
    """A loss at a `rate`, times its modulators."""

    rate: Rate
    modulators: tuple[Modulator, ...] = ()


Secretion = Annotated[_Secretion, BeforeValidator(_as_rate)]
"""A rate alone, or {rate, modulators}."""
Loss = Annotated[_Loss, BeforeValidator(_as_rate)]
"""A rate alone, or {rate, modulators}."""


_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}


def _delimiter(value: Any) -> Any:
    delimiter = _DELIMITERS.get(value, value) if isinstance(value, str) else value
    if delimiter not in _DELIMITERS.values():
        raise ValueError(f"expected one of {', '.join(_DELIMITERS)}, found {value!r}")
    return delimiter


def _encoding(name: str) -> str:
    try:
        if not isinstance("".encode(name), bytes):
            raise LookupError
    except (LookupError, UnicodeError, ValueError):
        raise ValueError(f"expected an encoding such as utf-8, utf-16 or latin-1, found {name!r}") from None
    return name


Delimiter = Annotated[str, BeforeValidator(_delimiter)]
"""Separator of the columns of a text: the character, or its name."""
Encoding = Annotated[str, AfterValidator(_encoding)]


class TextReading(_Part):
    """Format of a text table: the `delimiter` between columns, the `decimal` sign, the `encoding`, the line of the
    `header`. Keys that are not given are detected.
    """

    delimiter: Delimiter | None = None
    decimal: Literal[".", ","] | None = None
    encoding: Encoding | None = None
    header: Annotated[WholeNumber, Field(ge=1, le=10_000)] | None = None


def _expression(text: str) -> str:
    expressions.parse(text)
    return text


class PointColumns(_Part):
    """Columns of a table with positions, and with the `value` at each position.

    By default, the columns of the positions follow from the detected format, and the value is the column with the
    field's name, or `value`. Without `z`, the table is a 2D section.
    """

    x: str | None = None
    y: str | None = None
    z: str | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _both(self) -> "PointColumns":
        if (self.x is None) != (self.y is None) or (self.z is not None and self.x is None):
            raise ValueError("expected both 'x' and 'y', with 'z' or without, or none of them")
        return self


_OF_INITIAL = {
    "table": {"columns", "length_unit", "reading", "unit", "default"},
    "image": {"spacing", "unit", "default"},
    "expression": set(),
}
"""What a distribution consists of, and the keys that belong to each."""


class InitialField(_Part):
    """A concentration at time 0 that depends on position: a `table`, an `image` or an `expression`.

    Table: a voxel takes the mean of its rows. Positions are measured from the corner of the grid in `length_unit` (by
    default, that of the format, or 1 um). Image: a voxel takes the mean of its pixels; the centre of the image is the
    centre of the grid, and `spacing` is the edge of a pixel, as for a label image. `unit` is the concentration for
    which a value of 1 stands. Voxels without a value take `default`; without `default`, they cause an error. An
    expression is a function of x, y, z (from the corner of the grid) and r (from its centre), with units.
    """

    table: InputFile | None = None
    image: InputFile | None = None
    expression: Annotated[str, AfterValidator(_expression), InPFU] | None = None
    columns: PointColumns = PointColumns()
    length_unit: Length | None = None
    reading: TextReading = TextReading()
    spacing: Length | tuple[Length, Length, Length] | None = None
    unit: Amount = 1.0
    default: Amount | None = None

    @model_validator(mode="after")
    def _one(self) -> "InitialField":
        kinds = [kind for kind in _OF_INITIAL if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError("expected exactly one of 'table', 'image', 'expression'")
        idle = self.model_fields_set - {*_OF_INITIAL, *_OF_INITIAL[kinds[0]]}
        if idle:
            raise ValueError(f"'{min(idle)}' does not apply to '{kinds[0]}'")
        return self


_AMOUNT, _WITH_KEYS = Tag("amount"), Tag("with keys")
_AMOUNT_OR_KEYS = Discriminator(lambda value: "with keys" if isinstance(value, dict | BaseModel) else "amount")

Initial = Annotated[Annotated[Amount, _AMOUNT] | Annotated[InitialField, _WITH_KEYS], _AMOUNT_OR_KEYS]
"""An amount, or a concentration that depends on position."""


class Advection(_Part):
    """Transport of a field by the flow of interstitial fluid, with the velocity of `flow` * `retardation` / `volume`.

    `volume` is the fraction of the tissue's volume that is available to the solute; concentrations are per volume of
    tissue. `retardation` is the velocity of the solute relative to that of the fluid.
    """

    volume: Annotated[PureNumber, Field(gt=0, le=1)] = 1.0
    retardation: Annotated[PureNumber, Field(gt=0, le=1)] = 1.0


def _as_advection(value: object) -> object:
    return {} if value is True else None if value is False else value


class FieldSpec(_Part):
    """A concentration on the grid, in its own `unit`.

    `advection` (`true`, or its keys): the flow of interstitial fluid carries the field (see `flow`). `clearance` lists
    further losses by name, whose modulators may depend on fields, cells or the body. `holds` gives tissue states, or
    groups of them, with a fixed concentration in their voxels. The solvers `implicit2` and `steady` are not allowed for
    a field that flow carries, rules release, reactions change or therapies inject.

    Only for figures and reports: `label`, `colours` (a colour map of matplotlib), and `role`: `virus` is shown first,
    and the peak of an `effector` is reported.
    """

    unit: Unit
    diffusion: DiffusivityByState = {DEFAULT: "0 um^2/min"}
    boundary: Boundary = Boundary()
    advection: Annotated[Advection | None, BeforeValidator(_as_advection)] = None
    decay: Rate = "0 /min"
    clearance: dict[Name, Loss] = {}
    holds: Annotated[dict[Name, Amount], groups.TABLE] = {}
    initial: Initial = 0.0
    solver: Literal["auto", "explicit", "implicit", "implicit2", "steady"] = "auto"
    label: Text | None = None
    colours: Literal["viridis", "cividis", "inferno", "magma", "plasma"] | None = None
    role: Literal["virus", "effector"] | None = None


MOST_CONSUMED = 2
"""Largest number of fields that a reaction consumes: termolecular reactions are rare."""


class Reaction(_Part):
    """Conversion of fields by mass action: `rate` times the concentrations of the one or two fields in `consumes`.

    The unit of the extent is that of the first field in `consumes`. A coefficient is the amount of a field that one
    unit of the extent consumes or makes, as a number in the unit of the field or as a quantity ("8 ng/mL /
    (PFU/voxel)", "64 fg/PFU"). Modulators act on the rate; a field that accelerates a reaction and is not consumed is
    a modulator.
    """

    consumes: dict[Name, Amount]
    makes: dict[Name, Amount] = {}
    rate: Amount
    modulators: tuple[Modulator, ...] = ()

    @field_validator("consumes", "makes")
    @classmethod
    def _above_0(cls, coefficients: dict[str, float | str]) -> dict[str, float | str]:
        for name, value in coefficients.items():
            if (parse(value).magnitude if isinstance(value, str) else value) == 0:
                raise ValueError(f"expected a coefficient above 0 for '{name}', found {value!r}")
        return coefficients

    @model_validator(mode="after")
    def _sides(self) -> "Reaction":
        found = len(self.consumes)
        if found == 0:
            raise ValueError(
                "expected one or two fields in 'consumes', found none; cells produce fields by 'secretion'"
            )
        if found > MOST_CONSUMED:
            raise ValueError(
                f"expected one or two fields in 'consumes', found {found}; write two reactions, or make a "
                "field that is not consumed a modulator ({field: NAME, per: 1})"
            )
        for name in self.consumes:
            if name in self.makes:
                raise ValueError(
                    f"'{name}' is in both 'consumes' and 'makes'; a field that is not consumed is a modulator "
                    f"({{field: {name}, per: 1}})"
                )
        return self


class Exchange(_Part):
    """Exchange between a voxel and the blood: permeability * (concentration in the blood - concentration in the voxel).

    The blood has a constant concentration (`blood`), or contains a quantity of the `body`, dissolved in a `volume`;
    the body then gains what the voxels lose. Modulators act on the permeability. `reflection` is the reflection
    coefficient of the solute: where `flow` has vessels in this state, the fluid that leaks from them brings 1 -
    `reflection` times the concentration of the blood (solvent drag), and fluid that returns to them takes 1 -
    `reflection` times that of the voxel.
    """

    permeability: Rate
    blood: Amount | None = None
    body: Name | None = None
    volume: Volume | None = None
    reflection: Fraction | None = None
    modulators: tuple[Modulator, ...] = ()

    @model_validator(mode="after")
    def _one_blood(self) -> "Exchange":
        if (self.blood is None) == (self.body is None):
            raise ValueError("expected exactly one of 'blood' (a concentration), 'body' (a quantity)")
        if (self.body is None) != (self.volume is None):
            raise ValueError("'body' and 'volume' go together: the volume that the quantity is dissolved in")
        if self.volume is not None and parse(self.volume).magnitude == 0:
            raise ValueError("expected a 'volume' above 0")
        return self


class Bias(_Part):
    """Drift along the direction of chemotaxis as a share of the speed: its `value` times its modulators, at most 1."""

    value: Annotated[PureNumber, Field(ge=0, le=1)]
    modulators: tuple[Modulator, ...] = ()


class Slope(_Part):
    """Part of a direction: the gradient of a field times `weight` (below 0: down the gradient) and its modulators.

    With `per`, the gradient is divided by this concentration; otherwise, it is normalised to a length of 1.
    """

    weight: Annotated[PureNumber, Field(ge=-1e6, le=1e6)]
    per: Amount | None = None
    modulators: tuple[Modulator, ...] = ()

    @field_validator("weight")
    @classmethod
    def _some(cls, weight: float) -> float:
        if weight == 0:
            raise ValueError("expected a weight other than 0")
        return weight


def _as_part(key: str) -> BeforeValidator:
    return BeforeValidator(lambda value: value if isinstance(value, dict | BaseModel) else {key: value})


class Chemotaxis(_Part):
    """Movement along gradients, in one of two forms.

    `field`, `half`, `sensitivity`: up the gradient of the receptor occupancy c / (half + c) of one field. A new
    direction is chosen with weight 1 + `sensitivity` * (rise of the occupancy per length), so the drift is speed *
    sensitivity / 3 * gradient of the occupancy.

    `along`, `bias`: along the sum of the gradients of several fields, each with its weight. The drift in this direction
    is speed * `bias` and does not depend on the steepness of the gradients.
    """

    field: Name | None = None
    half: Amount | None = None
    sensitivity: Length | None = None
    along: dict[Name, Annotated[Slope, _as_part("weight")]] = {}
    bias: Annotated[Bias, _as_part("value")] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Chemotaxis":
        given = [key for key in ("field", "half", "sensitivity") if getattr(self, key) is not None]
        biased = [key for key in ("along", "bias") if getattr(self, key)]
        if (len(given), len(biased)) not in ((3, 0), (0, 2)):
            raise ValueError("expected either 'field', 'half' and 'sensitivity', or 'along' and 'bias'")
        if len({part.per is None for part in self.along.values()}) > 1:
            raise ValueError(
                "expected 'per' for all fields of 'along' or for none, as directions and slopes have no sum"
            )
        return self


class Persistence(_Part):
    """Mean time until a cell turns: `time` times its modulators."""

    time: Time
    modulators: tuple[Modulator, ...] = ()

    @field_validator("time")
    @classmethod
    def _some(cls, time: str) -> str:
        if parse(time).magnitude == 0:
            raise ValueError("expected a 'time' above 0")
        return time


class Motility(_Part):
    """Movement of a cell along one axis at `speed`, until it turns, on average after `persistence`.

    A cell enters voxels without a cell of its own layer, in which the state of the other layer is in `enters` (by
    default, any state). It also enters voxels with cells of its own layer in the immobile states `crushes`; these cells
    are lost. Modulators act on the speed. In the voxel from which it moves, it leaves a cell in the state `trail`, of
    its own layer.
    """

    speed: Speed
    persistence: Annotated[Annotated[Time, _AMOUNT] | Annotated[Persistence, _WITH_KEYS], _AMOUNT_OR_KEYS] = "0 min"
    chemotaxis: Chemotaxis | None = None
    enters: StateNames | None = None
    crushes: StateNames | None = None
    trail: Name | None = None
    modulators: tuple[Modulator, ...] = ()

    @property
    def turns(self) -> str:
        """Mean time until a cell turns, without modulators."""
        return self.persistence.time if isinstance(self.persistence, Persistence) else self.persistence

    @property
    def turns_modulated(self) -> tuple[Modulator, ...]:
        """Modulators of this time."""
        return self.persistence.modulators if isinstance(self.persistence, Persistence) else ()


class Yielding(_Part):
    """Response of a cell to divisions nearby: `displaced` to the next voxel, `crushed` (lost), or `rigid`.

    The voxel of a crushed cell counts as a free voxel that is farther away by `resistance`. If a free voxel is nearer,
    the cell is displaced instead. A `rigid` cell does not swap places by adhesion either.
    """

    how: Literal["displaced", "crushed", "rigid"]
    resistance: Length | None = None

    @model_validator(mode="after")
    def _of_crushed(self) -> "Yielding":
        if self.resistance is not None and self.how != "crushed":
            raise ValueError("'resistance' applies only to 'crushed'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> str | dict[str, object]:
        return dump(self) if self.resistance is not None else self.how


def _as_yielding(value: object) -> object:
    return {"how": value} if isinstance(value, str) else value


class State(_Part):
    """Layer of a cell state, its effects on the fields of the voxel, its motility, and its response to divisions.

    A voxel in a state with `outside: true` counts as outside for rules that close ('state -> outside'). A tissue state
    with `barrier: true` is impermeable, like the glass around a section: no cell enters its voxels, divides into them
    or is recruited into them; the voxels are `rigid`; and a field does not diffuse in them unless its `diffusion` names
    the state.

    Only for figures and reports: `label`, `colour` (as in "#00ff00") and `role`.
    """

    layer: Layer = "tissue"
    secretion: dict[Name, Secretion] = {}
    uptake: dict[Name, Loss] = {}
    exchange: dict[Name, Exchange] = {}
    motility: Motility | None = None
    yields: Annotated[Yielding, BeforeValidator(_as_yielding)] | None = None
    outside: Literal[True] | None = None
    barrier: Literal[True] | None = None
    label: Text | None = None
    colour: Colour | None = None
    role: StateRole | None = None


EMPTY = "empty"
"""The predefined tissue state of a voxel without a resident cell."""
NONE = "none"
"""The predefined immune state of a voxel without a mobile cell."""
OUTSIDE = "outside"
"""In place of a state that a rule enters: the voxel is closed up."""


class Normal(_Part):
    """A normal distribution; values beyond the range of the trait are set to its ends."""

    mean: Amount
    sd: Amount


class Lognormal(_Part):
    """A lognormal distribution: its `median`, and the factor `fold` (geometric standard deviation)."""

    median: Amount
    fold: Annotated[PureNumber, Field(ge=1, le=1e6)]


class Between(_Part):
    """A uniform distribution."""

    low: Amount
    high: Amount


class InitialTrait(_Part):
    """Initial values of a trait: one distribution, or a `column` of the cell table.

    With a column, cells from elsewhere (shapes, grafts, rules) begin with `otherwise`.
    """

    normal: Normal | None = None
    lognormal: Lognormal | None = None
    uniform: Between | None = None
    column: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    otherwise: Amount | None = None

    @model_validator(mode="after")
    def _one(self) -> "InitialTrait":
        if sum(v is not None for v in (self.normal, self.lognormal, self.uniform, self.column)) != 1:
            raise ValueError("expected exactly one of 'normal', 'lognormal', 'uniform', 'column'")
        if self.otherwise is not None and self.column is None:
            raise ValueError("'otherwise' applies only to 'column'")
        return self


class Mutation(_Part):
    """Mutation of a trait at a division: with a `probability`, the value of the daughter changes.

    It changes by a normally distributed amount (standard deviation `spread`) or by a lognormally distributed factor
    (geometric standard deviation `fold`), or it `becomes` a given value. With `clone: new`, the daughter then founds a
    clone.
    """

    probability: Fraction
    spread: Amount | None = None
    fold: Annotated[PureNumber, Field(gt=1, le=1e6)] | None = None
    becomes: Amount | None = None
    clone: Literal["new"] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Mutation":
        if sum(v is not None for v in (self.spread, self.fold, self.becomes)) != 1:
            raise ValueError("expected exactly one of 'spread', 'fold', 'becomes'")
        return self


class Law(_Part):
    """Change of a trait: a constant `gain`, exponential `growth`, or an approach `towards` a value at a `rate`.

    Modulators act on the gain, the growth or the rate. `of`: the states in which the law applies (by default, all that
    have the trait).
    """

    of: StateNames | None = None
    gain: Amount | None = None
    growth: Rate | None = None
    towards: Amount | None = None
    rate: Rate | None = None
    modulators: tuple[Modulator, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> "Law":
        if sum(v is not None for v in (self.gain, self.growth, self.towards)) != 1:
            raise ValueError("expected exactly one of 'gain', 'growth', 'towards'")
        if (self.rate is None) != (self.towards is None):
            raise ValueError("'towards' (a value) and 'rate' go together")
        return self


class Transfer(_Part):
    """A transfer between a trait of a cell and a field of its voxel, at a `rate` times its modulators.

    `ratio`: the amount that results from one unit of the transferred amount, as in "20 vp/PFU"; without it, both must
    have the same unit.
    """

    rate: Rate
    ratio: Amount | None = None
    modulators: tuple[Modulator, ...] = ()


class Trait(_Part):
    """A number that each cell of some states (`of`, all of one layer) has: from 0 to `most`, in a `unit`.

    The value moves with the cell. A cell that enters one of the states from another state begins with an `initial`
    value. `at_division`: both cells have the value of the mother (`copy`), half of it each (`share`), or initial values
    (`reset`). `changes`: laws by which the value changes, by name. `uptake`: transfers from fields of the voxel to the
    trait; `secretion`: transfers from the trait to fields.

    Only for figures and reports: `label`.
    """

    of: StateNames
    unit: Unit = "dimensionless"
    most: Amount | None = None
    initial: Annotated[Annotated[Amount, _AMOUNT] | Annotated[InitialTrait, _WITH_KEYS], _AMOUNT_OR_KEYS] = 0.0
    at_division: Literal["copy", "share", "reset"] = "copy"
    mutation: Mutation | None = None
    changes: dict[Name, Law] = {}
    uptake: dict[Name, Transfer] = {}
    secretion: dict[Name, Transfer] = {}
    label: Text | None = None


class Clones(_Part):
    """Clones: each cell of some states (`of`, all of one layer) belongs to a clone, to which its daughters belong too.

    `founders`: at time 0, all cells are of `one` clone, or `each` founds its own. A cell that enters one of the states
    from another state founds a clone. `mutation`: probability that a daughter founds a clone, at each division.
    """

    of: StateNames
    founders: Literal["one", "each"] = "one"
    mutation: Fraction = 0.0


class TraitRelease(_Part):
    """A release in proportion to a trait: the amount for `each` unit of it."""

    trait: Name
    each: Amount


Release = Annotated[Annotated[Amount, _AMOUNT] | Annotated[TraitRelease, _WITH_KEYS], _AMOUNT_OR_KEYS]
"""An amount, or an amount in proportion to a trait."""


_NAME_ONLY = Tag("name")
ToBody = Annotated[
    Annotated[Name, _NAME_ONLY] | Annotated[dict[Name, Release], Field(min_length=1), _WITH_KEYS],
    Discriminator(lambda value: "with keys" if isinstance(value, dict) else "name"),
]
"""A quantity of the body that gains a cell, or amounts by quantity."""


class Rule(_Part):
    """A transition `from|from -> to` at a `rate`, once a cell has been in its state for `after`; division; closing.

    A division `mother -> mother + daughter` has a rate per mother. It takes place if there is room for the daughter: a
    neighbouring voxel that can take a cell, or one within `reach`, towards which the cells in between are displaced by
    one voxel (depending on `yields` of their states). The reach is measured to the near side of the voxel. After a
    division, the time in the state begins anew for both cells.

    Closing, `from -> outside`, empties the voxel; the cells between it and the outside then move inwards by one voxel,
    so that the free voxel moves to the outside. The outside consists of voxels in a state with `outside: true`, and of
    free voxels that a cube with an edge of three voxels can reach from these or from an open side of the grid. Closing
    takes place if the outside is within `reach` along a straight line.

    `add` and `set` change traits of the cell, or of its partner. The `partner` is the cell of the other layer in the
    voxel. The rule requires one in the given states. With `state|state`, the partner keeps its state; with `state|state
    -> state`, it enters another state together with the transition. A rule that has another effect may begin and end in
    the same state. `clone: new`: the cell, or the daughter of a division, founds a clone.

    `to_body`: the quantity of the body to which a firing adds a cell; or several quantities, each with the amount that
    a firing adds, which may be in proportion to the value of a trait before the transition. `from_body`: the quantity
    from which a firing takes a cell.

    Only for reports: `label` names the firings, and the role `harm` marks firings that harm the host.
    """

    transition: Transition
    rate: Rate
    after: Time = "0 min"
    reach: Length | None = None
    modulators: tuple[Modulator, ...] = ()
    releases: dict[Name, Release] = {}
    add: dict[Name, SignedAmount] = {}
    set: dict[Name, Amount] = {}
    partner: Partner | None = None
    clone: Literal["new"] | None = None
    to_body: ToBody | None = None
    from_body: Name | None = None
    label: Text | None = None
    role: Literal["harm"] | None = None

    @field_validator("transition")
    @classmethod
    def _arrow(cls, text: str) -> str:
        if _transition(text) is None:
            raise ValueError(
                "expected 'state -> state', 'state|state -> state', of a division 'state -> state + state', "
                f"or of closing 'state -> {OUTSIDE}', found {text!r}"
            )
        if len(set(_left(text))) < len(_left(text)):
            raise ValueError("a state is given twice on the left")
        return text

    @field_validator("partner")
    @classmethod
    def _arrow_of_one(cls, text: str | None) -> str | None:
        if text is None:
            return text
        found = _partners(text)
        if found is None:
            raise ValueError(
                f"expected 'state', 'state|state', 'state -> state' or 'state|state -> state', found {text!r}"
            )
        if len(set(found[0])) < len(found[0]):
            raise ValueError("a state is given twice" + (" on the left" if "->" in text else ""))
        return text

    @property
    def partners(self) -> dict[str, str]:
        """States of the cell of the other layer that has to take part, each with its state after the rule."""
        found = _partners(self.partner) if self.partner is not None else None
        return {state: found[1] or state for state in found[0]} if found else {}

    @property
    def all_made(self) -> list[str]:
        """States that come of the rule, in both layers."""
        return [*self.made, *dict.fromkeys(self.partners.values())]

    @property
    def brings(self) -> dict[str, float | str | TraitRelease]:
        """What a firing adds to quantities of the body."""
        return {self.to_body: "1 cell"} if isinstance(self.to_body, str) else self.to_body or {}

    @property
    def carries(self) -> list[tuple[str, TraitRelease]]:
        """What of it is in proportion to traits, by quantity."""
        return [(name, each) for name, each in self.brings.items() if isinstance(each, TraitRelease)]

    @property
    def leaves(self) -> list[str]:
        """States that the rule leaves."""
        return self._ends[0]

    @property
    def enters(self) -> str:
        """State that the rule enters; of a division, the mother does; of closing, that of a free voxel."""
        return self.made[0]

    @property
    def daughter(self) -> str | None:
        """State of the daughter; None of a rule that is no division."""
        return self.made[1] if len(self.made) > 1 else None

    @property
    def closes(self) -> bool:
        """Whether the cells around close up the voxel."""
        return self._ends[1] == [OUTSIDE]

    @property
    def waits(self) -> bool:
        """Whether the rule takes place only where there is a way: for a daughter, or for the cells that close up."""
        return self.closes or self.daughter is not None

    @property
    def made(self) -> list[str]:
        """States that come of the rule."""
        return [EMPTY] if self.closes else self._ends[1]

    @property
    def _ends(self) -> tuple[list[str], list[str]]:
        return _ends(self.transition)


def _ends(transition: str) -> tuple[list[str], list[str]]:
    ends = _transition(transition)
    assert ends
    return ends


MOST_ENERGY = 100
"""Largest contact energy, kT; with 26 neighbours, a hundredth of it decides every swap."""
ENERGY_DIGITS = 3
"""Decimal places of a contact energy in kT; further ones are rounded."""

ContactEnergy = Annotated[PureNumber, Field(ge=-MOST_ENERGY, le=MOST_ENERGY, allow_inf_nan=False)]


class Adhesion(_Part):
    """Adhesion between tissue cells: voxels that share a face swap contents, preferably if this lowers the energy.

    `rate`: attempts to swap, per pair of voxels. An attempt succeeds with the probability 1 / (1 + exp(dE / kT)), where
    dE is the change of the sum of the contact energies over all pairs of neighbours (26 for each voxel). `energies`
    gives the energy of a contact between two states or groups, in kT, rounded to 0.001 kT: negative for adhesion. Each
    pair of the states in the table is given once; `empty` with itself is 0 by default. Only states in the table swap.
    All others stay in place, and their contacts have no energy. States that yield `rigid` have contacts, but stay in
    place.
    """

    rate: Rate
    energies: Annotated[dict[Name, dict[Name, ContactEnergy]], Field(min_length=1), groups.CONTACTS]

    @property
    def states(self) -> list[str]:
        """States in the table, in its order."""
        return list(dict.fromkeys(name for row, others in self.energies.items() for name in (row, *others)))

    def energy(self, one: str, other: str) -> float | None:
        """Energy of a contact between two states, kT, whichever is named first; None where it is not given."""
        for row, column in ((one, other), (other, one)):
            found = self.energies.get(row, {}).get(column)
            if found is not None:
                return round(found, ENERGY_DIGITS)
        return None


ConductivityByState = Annotated[
    dict[Name, HydraulicConductivity],
    BeforeValidator(_by_state),
    AfterValidator(_needs_default),
    PlainSerializer(_as_written),
    groups.TABLE,
]
"""One hydraulic conductivity, or a table by tissue state or group with a `default` for all other states."""


class Leak(_Part):
    """Vessels that exchange fluid with the tissue, by Starling's equation.

    The volume of fluid that enters a volume of tissue per time is `conductivity` * `surface` * (`pressure` -
    `reflection` * `oncotic` - pressure of the tissue). `conductivity` is that of the vessel wall, `surface` the surface
    of the vessels per volume of tissue, `pressure` that in the vessels, `oncotic` the oncotic pressure of the plasma
    minus that of the tissue, and `reflection` the reflection coefficient of the plasma proteins.
    """

    conductivity: WallConductivity
    surface: SurfaceDensity
    pressure: Pressure
    oncotic: Pressure = "0 mmHg"
    reflection: Fraction = 1.0


class Lymphatics(_Part):
    """Lymph vessels. The volume of fluid that they take from a volume of tissue per time is `conductance` * (pressure
    of the tissue - `pressure`).

    The lymph takes advected fields along, at the concentration of the fluid.
    """

    conductance: Conductance
    pressure: Pressure = "0 mmHg"


class Flow(_Part):
    """Flow of interstitial fluid by Darcy's law: velocity = - conductivity * gradient of the pressure.

    `field` names the field of the pressure, whose `boundary` and `holds` are the pressure at the sides and in voxels of
    some states. This field needs no other keys: the pressure is in equilibrium with the leak of `vessels` and with
    `lymphatics`, both by tissue state or group, and is solved again at the interval `every`, with the tissue at that
    time. Only pressure differences matter, so the lowest pressure can be set to 0.
    """

    field: Name
    conductivity: ConductivityByState
    vessels: Annotated[dict[Name, Leak], groups.TABLE] = {}
    lymphatics: Annotated[dict[Name, Lymphatics], groups.TABLE] = {}
    every: Time = "1 hour"


NOTHING = "nothing"
"""The outside of the body, as one end of a process."""


class Quantity(_Part):
    """A variable of the body, outside the lattice: cells of one kind, a drug, antibodies.

    Only for reports: `label`, and `role`: the lowest value of a `reserve` is reported, and the last value of `memory`.
    """

    unit: Unit = "cell"
    initial: Amount = 0.0
    label: Text | None = None
    role: Literal["reserve", "memory"] | None = None


class Process(_Part):
    """A flow `from -> to` between quantities: rate * `by` (by default, `from`) * modulators.

    One end may be `nothing`: an inflow, or a loss.
    """

    transition: str
    rate: Amount
    by: Name | None = None
    modulators: tuple[Modulator, ...] = ()

    @field_validator("transition")
    @classmethod
    def _arrow(cls, text: str) -> str:
        ends = _transition(text)
        if ends is None or len(ends[0]) > 1 or len(ends[1]) > 1:
            raise ValueError(f"expected 'quantity -> quantity', found {text!r}")
        if ends[0] == ends[1]:
            raise ValueError(f"'{ends[1][0]}' is on both sides")
        return text

    @property
    def ends(self) -> tuple[str | None, str | None]:
        """Quantities that the flow leaves and enters; None for `nothing`."""
        leaves, enters = (end.strip() for end in self.transition.split("->"))
        return (None if leaves == NOTHING else leaves), (None if enters == NOTHING else enters)


class Body(_Part):
    """Blood, lymph nodes, drugs and all else outside the lattice, described by ordinary differential equations."""

    quantities: dict[Name, Quantity] = {}
    processes: dict[Name, Process] = {}


class _Shape(_Part):
    """Cells of `state` in a `fraction` of the voxels of a region, only where the present state is in `into`."""

    state: Name
    into: StateNames | None = None
    fraction: Fraction = 1.0


class Everywhere(_Shape):
    """The whole grid."""

    kind: Literal["everywhere"]


class Sphere(_Shape):
    """A ball."""

    kind: Literal["sphere"]
    centre: Position = "centre"
    radius: Length


class Extent(_Part):
    """Voxels with centres from `lower` up to, but not including, `upper`, each three lengths along x, y, z."""

    lower: tuple[Length, Length, Length]
    upper: tuple[Length, Length, Length]


class Box(_Shape, Extent):
    """Voxels with centres from `lower` up to, but not including, `upper`."""

    kind: Literal["box"]


class Cylinder(_Shape):
    """All points within `radius` of a line segment."""

    kind: Literal["cylinder"]
    start: Position
    end: Position
    radius: Length


class Vessels(_Shape):
    """Winding vessels that start at random sides of the grid, on average one per `distance`^2 of cross-section."""

    kind: Literal["vessels"]
    distance: Length
    radius: Length = "10 um"


Shape = Annotated[Everywhere | Sphere | Box | Cylinder | Vessels, Field(discriminator="kind")]


class Columns(_Part):
    """Columns of the table with the centres of the cells. Without `z`, the table is a 2D section.

    By default, they follow from the format of the table.
    """

    x: str = "x_um"
    y: str = "y_um"
    z: str | None = None


def _condition(value: Any) -> Any:
    if isinstance(value, str):
        parse_condition(value)
    return value


_Value = Annotated[str | bool | int | float, AfterValidator(_condition)]
Condition = _Value | Annotated[tuple[_Value, ...], Field(min_length=1)]
"""A value, a threshold ("> 20"), a range ("20 to 40"), a pattern ("Tumor*"), or a list of these (one must be met)."""


class CellType(_Part):
    """Rows that meet all conditions in `where` (by column) become cells of `state`.

    With a `fraction`, only this share of these rows, chosen at random by the seed, becomes `state`; later types can
    take the others.
    """

    state: Name
    where: dict[str, Condition] = {}
    fraction: Fraction = 1.0


class TableReading(TextReading):
    """Format of the table of cells. Keys that are not given are detected.

    `format`: the program that wrote the table. `where`: conditions, by column, for the rows to be used. `time`: the
    time to be used from a table of several times. For text: the `delimiter` between columns, the `decimal` sign, the
    `encoding`, and the line of the `header`. For AnnData: the array of `obsm` with the centres.
    """

    format: Literal["gpusim", "physicell", "qupath", "inform", "halo", "mcmicro", "xenium", "cosmx"] | None = None
    where: dict[str, Condition] = {}
    time: Time | None = None
    obsm: str | None = None


class Depth(_Part):
    """Extension of a 2D section to a volume.

    slab: the section is repeated over `thickness`. sweep: the section is rotated about the vertical axis (y) through
    the centre of its bounding box.
    """

    mode: Literal["slab", "sweep"] = "slab"
    thickness: Length = "20 um"


class LabelImage(_Part):
    """An image (NIfTI, TIFF, OME-TIFF, NRRD, OME-Zarr) whose values stand for states or for single cells.

    `labels` gives the state for each value. If the values stand for cells, `instances` is the column of the table
    `cells` with these values, and `types` gives the states. `spacing` is the edge of a pixel, one length or three
    along x, y, z (by default, that of the file). A voxel takes the most frequent label of its pixels, or the label of
    the pixel at its centre (`nearest`).
    """

    file: InputFile
    labels: dict[int, Name] = {}
    instances: str | None = None
    spacing: Length | tuple[Length, Length, Length] | None = None
    resampling: Literal["majority", "nearest"] = "majority"

    @model_validator(mode="after")
    def _one_meaning(self) -> "LabelImage":
        if bool(self.labels) == (self.instances is not None):
            raise ValueError("expected either 'labels' (a state for each number) or 'instances' (a column of 'cells')")
        return self


class Outline(_Part):
    """Outline of the tissue of an image or a table. All voxels beyond it are in the state `beyond`, also within shapes.

    With `radius`, the outline is found: the voxels with cells are closed by a disc (in a volume, a ball) of this
    radius, so that gaps narrower than twice the radius belong to the tissue. With `polygon`, it is given as a list of
    corners, as lengths along x, y in the coordinates of the table.
    """

    beyond: Name
    radius: Length | None = None
    polygon: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=3)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Outline":
        if (self.radius is None) == (self.polygon is None):
            raise ValueError("expected either 'radius' (the outline is found) or 'polygon' (its corners)")
        return self


class Tissue(_Part):
    """The tissue at time 0: the background, then an image, the cells of a table, and shapes in the order given.

    `length_unit` is the length of one unit of the table's coordinates, such as the edge of a pixel (by default, that
    of the format, or 1 um). `origin` is the corner of the grid in the coordinates of the table, along x, y, z; without
    it, the middle of the cells is the middle of the grid.
    """

    background: Name = "empty"
    image: LabelImage | None = None
    cells: InputFile | None = None
    table: TableReading = TableReading()
    columns: Columns = Columns()
    length_unit: Length | None = None
    origin: tuple[Coordinate, Coordinate, Coordinate] | None = None
    types: tuple[CellType, ...] = ()
    margin: Length = "40 um"
    depth: Depth = Depth()
    outline: Outline | None = None
    shapes: dict[Name, Shape] = {}


class Site(_Part):
    """A separate lattice in the same body: the primary tumour, a metastasis.

    Its `grid` and `tissue` are merged over those of the scenario.
    """

    grid: Grid = Grid()
    tissue: Tissue = Tissue()


class Therapy(_Part):
    """An intervention, given once or repeatedly.

    `inject`: an amount of a field, spread evenly over a region of a `site` (by default, the first), or a number of
    cells of a state, placed at random in voxels of the region without a cell of the same layer or with a cell in one of
    the states `into`. `resect`: the cells of these states are removed from a region; their voxels are then free, or, in
    the tissue, in the state that it `leaves`. `infuse`: an amount is added to a quantity of the body. The region
    comprises all points within `radius` of the point `at`, or of the line from `at` to `to`. An amount per cell, such
    as a multiplicity of infection (MOI, PFU per cell), is given for each cell of `targets` in the region at time 0.

    With `volume` and `duration`, an advected field is infused through a needle: the amount is dissolved in this volume
    of fluid, and both enter the voxels of the region at a constant rate for this time.
    """

    inject: Name | None = None
    infuse: Name | None = None
    resect: StateNames | None = None
    site: Name | None = None
    amount: Amount | None = None
    targets: StateNames | None = None
    into: StateNames | None = None
    leaves: Name | None = None
    volume: Volume | None = None
    duration: Time | None = None
    at: Position = "centre"
    to: Position | None = None
    radius: Length = "0 um"
    start: Time = "0 min"
    every: Time | None = None
    doses: Annotated[WholeNumber, Field(ge=1, le=10_000)] = 1

    @model_validator(mode="after")
    def _whole(self) -> "Therapy":
        if sum(verb is not None for verb in (self.inject, self.infuse, self.resect)) != 1:
            raise ValueError("expected exactly one of 'inject', 'infuse', 'resect'")
        if self.infuse is not None and {"site", "at", "to", "radius", "into"} & self.model_fields_set:
            raise ValueError("'site', 'at', 'to', 'radius' and 'into' apply only to 'inject' and 'resect'")
        if self.leaves is not None and self.resect is None:
            raise ValueError("'leaves' applies only to 'resect'")
        if self.targets is not None and self.inject is None:
            raise ValueError("'targets' applies only to 'inject'")
        if (self.amount is None) != (self.resect is not None):
            raise ValueError("'inject' and 'infuse' need an 'amount', 'resect' takes none")
        magnitude = parse(self.amount).magnitude if isinstance(self.amount, str) else self.amount
        if magnitude == 0:
            raise ValueError("expected an 'amount' above 0; to leave a therapy out, set it to null")
        if self.resect is not None and parse(self.radius).magnitude == 0:
            raise ValueError("'resect' needs a 'radius'")
        if self.doses > 1 and self.every is None:
            raise ValueError("more than one dose needs 'every'")
        for key in ("volume", "duration"):
            given = getattr(self, key)
            if given is not None and self.inject is None:
                raise ValueError(f"'{key}' applies only to 'inject'")
            if given is not None and parse(given).magnitude == 0:
                raise ValueError(f"expected a '{key}' above 0")
        if (self.volume is None) != (self.duration is None):
            raise ValueError("'volume' and 'duration' of an infusion into the tissue are given together")
        return self


class Titres(_Part):
    """Value in PFU of one viral particle (`vp`), end-point dose (`TCID50`), or transducing unit (`TU`).

    Quantities in these units are converted to PFU on loading.
    """

    vp: Amount | None = None
    TCID50: Amount | None = None
    TU: Amount | None = None

    @field_validator("*")
    @classmethod
    def _in_pfu(cls, ratio: float | str | None) -> float | str | None:
        if ratio is None:
            return ratio
        try:
            if isinstance(ratio, str) and number(ratio, "PFU") > 0:
                return ratio
        except UnitError:
            pass
        raise ValueError(f"expected a quantity in 'PFU' above 0, such as '0.05 PFU', found {ratio!r}")


class Heat(_Part):
    """Definition of tumour heat and lesions.

    Cells in `tumour` states make up the lesions, `effectors` are the immune cells that kill, and `cd8` are the cells
    that a CD8 stain shows. `cytokines` are the inflammatory fields, each with its scale, the concentration that adds 1
    to the sum.
    """

    tumour: StateNames
    effectors: StateNames
    cd8: StateNames
    cytokines: dict[Name, Amount]


class Outcome(_Part):
    """A number that is measured in a run, at its end or at given times.

    `count`: the number of cells in some states. `volume`: their volume in mm^3. `total`: the amount of a field whose
    unit is per voxel (PFU/voxel: PFU) or per volume (ng/mL: ng). `mean`: the mean of a field over the volume. `box`
    restricts these four to a part of the lattice, and `of` restricts `total` and `mean` to the voxels with cells in
    some states (0 without such voxels). `fired`: the firings of a rule since the start. `barred`: the divisions by a
    rule for which there was no room. `crushed`: the cells in some states that divisions or moves have crushed. `left`:
    those that have left through open sides. `room`: the share of the cells in some states for which a division with the
    reach `within` would find room, such as the dividing share of a tumour; 0 without cells. `trait`: the mean of a
    trait over the cells that have it (or those `of` some states), a `quantile` of its values, or the share of these
    cells whose value is at least `above`; 0 without cells. `body`: a quantity of the body. `lesion`: a property of the
    largest lesion (number of cells, diameter in um, CD8 cells per mm^2 in core or margin, mean heat of the core), 0
    without lesions. `site`: the outcome at this site only, instead of all sites. `take`: instead of the present value,
    the highest or lowest value in the snapshots so far.
    """

    count: StateNames | None = None
    volume: StateNames | None = None
    box: Extent | None = None
    total: Name | None = None
    mean: Name | None = None
    fired: Name | None = None
    barred: Name | None = None
    crushed: StateNames | None = None
    left: StateNames | None = None
    room: StateNames | None = None
    within: Length | None = None
    trait: Name | None = None
    of: StateNames | None = None
    quantile: Fraction | None = None
    above: Amount | None = None
    body: Name | None = None
    lesion: Literal["cells", "diameter", "core", "margin", "heat"] | None = None
    site: Name | None = None
    take: Literal["last", "highest", "lowest"] = "last"
    at: Annotated[tuple[Time, ...], BeforeValidator(_listed)] = ()

    @property
    def kind(self) -> str:
        """The quantity that is measured: "count", "volume" and so on."""
        return next(k for k in OUTCOME_KINDS if getattr(self, k) is not None)

    @model_validator(mode="after")
    def _one(self) -> "Outcome":
        if sum(getattr(self, k) is not None for k in OUTCOME_KINDS) != 1:
            raise ValueError(f"expected exactly one of {', '.join(map(repr, OUTCOME_KINDS))}")
        if self.body is not None and self.site is not None:
            raise ValueError("an outcome of the 'body' has no 'site'")
        if (self.room is None) != (self.within is None):
            raise ValueError("'room' and 'within' go together: the share of cells that have room within a distance")
        if self.box is not None and self.kind not in ("count", "volume", "total", "mean"):
            raise ValueError("'box' applies only to a 'count', a 'volume', a 'total' or a 'mean'")
        if self.of is not None and self.kind not in ("trait", "total", "mean"):
            raise ValueError("'of' applies only to a 'trait', a 'total' or a 'mean'")
        for key in ("quantile", "above"):
            if self.trait is None and getattr(self, key) is not None:
                raise ValueError(f"'{key}' applies only to a 'trait'")
        if self.quantile is not None and self.above is not None:
            raise ValueError("expected at most one of 'quantile', 'above'")
        return self


OUTCOME_KINDS = (
    *("count", "volume", "total", "mean", "fired", "barred", "crushed", "left", "room", "trait", "body", "lesion"),
)
END = "end"
"""The time of an outcome that is taken when the run ends."""


def column(name: str, time: str) -> str:
    """The column of an outcome at a time in a table."""
    return name if time == END else f"{name}@{time}"


def columns(outcomes: Mapping[str, Outcome]) -> dict[str, tuple[Outcome, str]]:
    """Columns of outcomes in a table, each with its outcome and its time: "tumour", "tumour@3 day"."""
    return {column(name, time): (outcome, time) for name, outcome in outcomes.items() for time in outcome.at or (END,)}


def _nothing_changed(arms: Any) -> Any:
    if isinstance(arms, dict):
        return {name: {} if changes is None else changes for name, changes in arms.items()}
    return arms


def _some_arm(arms: dict[str, Any]) -> dict[str, Any]:
    if not arms:
        raise ValueError("expected one arm or more")
    return arms


Arms = Annotated[dict[Title, dict[str, Any]], BeforeValidator(_nothing_changed), AfterValidator(_some_arm)]
"""Changed values by dotted path, for each arm; a blank arm changes nothing."""


class Order(_Part):
    """An expected order of a trial: `arms` from the lowest `outcome` to the highest.

    For a single arm: the times `at`, from the lowest outcome to the highest. For several arms, `at` restricts the
    order to some times of the outcome (by default, all). `suspended` is the reason why an order is reported but not
    required until the model has been fitted again.
    """

    outcome: Name
    arms: Annotated[tuple[Title, ...], Field(min_length=1)]
    at: Annotated[tuple[Time, ...], BeforeValidator(_listed)] = ()
    suspended: Text | None = None

    @model_validator(mode="after")
    def _compares(self) -> "Order":
        if len(self.arms) == 1 and len(self.at) < 2:
            raise ValueError("expected two arms or more, or two times or more under 'at'")
        return self


RATIO = " / "
"""Between two outcomes whose ratio a condition is on."""


def _of_numbers(condition: Condition) -> Condition:
    for each in condition if isinstance(condition, tuple) else (condition,):
        tests = parse_condition(each) if isinstance(each, str) else ()
        if isinstance(each, bool) or any(isinstance(t.value, str) and as_number(t.value) is None for t in tests):
            raise ValueError(f"expected a condition on a number, such as '> 20' or '20 to 40', found {each!r}")
    return condition


class Vary(_Part):
    """Sets of plausible numbers, for each of which `gpusim robustness` runs all arms once.

    `sets`: the number of sets. `kinds`: the numbers that vary within their ranges, by the kind of their source.
    `posterior`: a CSV table of joint draws, with a column for each number, named by its path. `filter`: by arm,
    conditions on outcomes (columns of the table, or the ratio of two: `tumour@5 day / tumour@0 day`) for a second
    share, over the sets that meet all of them.
    """

    sets: Annotated[WholeNumber, Field(ge=1, le=2**20)] = 24
    kinds: Annotated[tuple[Kind, ...], BeforeValidator(_listed), Field(min_length=1)] = ("assumed", "fitted")
    posterior: InputFile | None = None
    filter: dict[Title, dict[str, Annotated[Condition, AfterValidator(_of_numbers)]]] = {}


class Trial(_Part):
    """Arms that differ by changed values (dotted paths, as for --set) and share their seeds.

    Each arm is run `replicates` times, with the seed of the scenario and the seeds that follow it.
    """

    arms: Annotated[Arms, Field(max_length=100)]
    replicates: Annotated[WholeNumber, Field(ge=1, le=10_000)] = 8
    outcomes: Annotated[dict[Name, Outcome], Field(min_length=1)]
    expected: tuple[Order, ...] = ()
    vary: Vary | None = None


class Checkpoints(_Part):
    """Complete states for resuming, written every interval `every` of simulated time and `wall` of real time.

    The last `keep` checkpoints are kept until the end of the run. With `all`, every checkpoint is kept, also after the
    end, so that other runs can start from any of them.
    """

    every: Time | None = None
    wall: Time = "10 min"
    keep: Literal["all"] | Annotated[WholeNumber, Field(ge=1, le=1000)] = 2


class Tracks(_Part):
    """Tracks: the positions of a sample of immune cells in some states (`of`), at the interval `every`.

    Up to `cells` cells are tracked at a time, chosen at random. The track of a cell ends when it dies, divides, leaves
    the lattice or enters another state; another cell then begins a track.
    """

    of: StateNames
    cells: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 200
    every: Time = "1 min"


class Record(_Part):
    """Output to the result folder: snapshots at the interval `every`, the last state, checkpoints, tracks of cells.

    Snapshots contain all fields, both layers, the `traits` listed (by default, all) and, unless `clones` is false, the
    labels of clones.
    """

    every: Time = "6 hour"
    traits: Annotated[tuple[Name, ...], BeforeValidator(_listed)] | None = None
    clones: bool = True
    tracks: Tracks | None = None
    checkpoints: Checkpoints = Checkpoints()


class Document(_Part):
    """A whole scenario.

    `groups` are named sets of states and of other groups. A group stands for its states wherever several states can be
    named. A file adds to the groups of the files that it extends.
    """

    name: Title = "unnamed"
    description: Text = ""
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**64)] = 0
    units: Titres = Titres()
    grid: Grid = Grid()
    time: TimeSpec = TimeSpec()
    fields: dict[Name, FieldSpec] = {}
    flow: Flow | None = None
    reactions: dict[Name, Reaction] = {}
    states: dict[Name, State] = {}
    groups: dict[Name, StateNames] = {}
    traits: dict[Name, Trait] = {}
    clones: Clones | None = None
    rules: dict[Name, Rule] = {}
    adhesion: Adhesion | None = None
    tissue: Tissue = Tissue()
    sites: dict[Name, Site] = {}
    therapies: dict[Name, Therapy] = {}
    body: Body = Body()
    heat: Heat | None = None
    record: Record = Record()
    trial: Trial | None = None
    sources: Sources = {}

    @field_validator("fields", "reactions", "states", "groups", "traits", "rules")
    @classmethod
    def _room(cls, table: dict[str, object]) -> dict[str, object]:
        if len(table) > 200:
            raise ValueError(f"expected at most 200 entries, found {len(table)}")
        return table


def known_keys(loc: tuple[int | str, ...], schema: type[BaseModel] = Document) -> list[str]:
    """Keys that a schema knows at a place in a document; empty where it takes any."""
    model: type[BaseModel] | None = schema
    for part in loc:
        if model is None:
            break
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation, None)
        else:
            model = _model_in(_KIND.get(str(part), model), None)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


_KIND: dict[str, type[_Shape]] = {
    "everywhere": Everywhere,
    "sphere": Sphere,
    "box": Box,
    "cylinder": Cylinder,
    "vessels": Vessels,
}
KINDS = tuple(_KIND)


def _model_in(annotation: object, found: type[BaseModel] | None) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = found or _model_in(inner, None)
    return found
