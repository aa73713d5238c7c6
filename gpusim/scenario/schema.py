"""What a scenario file may say. Positions and sizes are in the order x, y, z."""

import re
from typing import Annotated, Any, Literal

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

from gpusim.scenario import expressions
from gpusim.scenario.conditions import parse as parse_condition
from gpusim.scenario.limits import LONGEST_AXIS
from gpusim.units import (
    Amount,
    Diffusivity,
    InPFU,
    Length,
    PureNumber,
    Rate,
    Speed,
    Time,
    UnitError,
    Volume,
    WholeNumber,
    number,
    parse,
)

Name = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,39}$")]
"""Names become columns, folders and labels: letters, digits and underscores, 40 at the most."""

READ = "read"
InputFile = Annotated[str, READ]
"""A file that the scenario reads: a relative path starts from the scenario's folder, and the content is part of what
a result depends on (`gpusim/scenario/inputs.py`)."""

Title = Annotated[str, Field(pattern=r"^\w[\w .+-]{0,79}$")]
"""Of a scenario; it becomes a folder, so that nothing in it may lead elsewhere."""


def _printable(text: str) -> str:
    if not all(c.isprintable() or c == "\n" for c in text):
        raise ValueError(f"expected text without control characters, found {text!r}")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
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
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One name, or a list of them."""


Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
"""Red, green and blue, two hexadecimal digits each."""
StateRole = Literal["tumour", "exposed", "infected", "dead", "healthy", "stroma", "vessel", "effector"]
"""What a cell is to pictures and reports: of the tumour, exposed to the virus and not making it yet, making it, a dead
body, healthy tissue, stroma, a vessel, an immune cell that kills."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Sides(_Part):
    """What cells meet at both sides of an axis: a wall, the other side, or more of the background.

    Through an open side cells leave, by moves or pushed out. `boundary` of a field says what concentrations meet.
    """

    x: CellSide = "closed"
    y: CellSide = "closed"
    z: CellSide = "closed"


class Grid(_Part):
    """The lattice: voxels of edge `spacing`, `shape` of them along x, y, z.

    `shape` may be left out where the tissue comes from an image or a table of cells; it then fits it. `sides` are
    those for cells.
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
    """Time steps; what is left out is chosen from the scenario's own rates."""

    field: Time | None = None
    rules: Time | None = None
    motion: Time | None = None


class TimeSpec(_Part):
    """How long a run lasts, and by which steps.

    Steps that are chosen divide `until`, the times of snapshots and doses, and the times `at`.
    """

    until: Time = "1 day"
    at: Annotated[tuple[Time, ...], BeforeValidator(_listed), Field(max_length=10_000)] = ()
    step: Step = Step()


DEFAULT = "default"


def _by_state(value: object) -> object:
    return value if isinstance(value, dict) else {DEFAULT: value}


def _needs_default(table: dict[str, str]) -> dict[str, str]:
    if DEFAULT not in table:
        raise ValueError(f"expected a '{DEFAULT}' beside the states")
    return table


def _as_written(table: dict[str, str]) -> str | dict[str, str]:
    return table[DEFAULT] if len(table) == 1 else table


DiffusivityByState = Annotated[
    dict[Name, Diffusivity],
    BeforeValidator(_by_state),
    AfterValidator(_needs_default),
    PlainSerializer(_as_written),
]
"""One diffusivity, or a table of them by tissue state with a `default` for the others."""


class Side(_Part):
    """What a field meets at a side of the grid.

    `no-flux`, `periodic` (both sides of an axis), a fixed `value`, or a leak: permeability *
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
            raise ValueError("expected no-flux, periodic, a 'value', or a 'permeability' with the value 'far' away")
        if "far" in self.model_fields_set and self.permeability is None:
            raise ValueError("'far' needs a 'permeability'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> str | dict[str, object]:
        return self.kind or dump(self)


class Boundary(_Part):
    """What a field meets at the sides of the grid; one side goes before its axis, an axis before `all`."""

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
                raise ValueError(f"periodic takes both sides of an axis: '{axis}: periodic'")
        return self


class Modulator(_Part):
    """A factor on a rule's rate: something looked at, put through a shape.

    Looked at: a `field`, the number of `neighbours` in some states, the cell of the other layer in
    `contact`, a quantity of the `body`, or the `room` (true): of rules alone, the distance from the nearest voxel that
    can take a cell of the tissue, up to the greatest reach of a division. Shapes: Hill function (`half`, `power`),
    proportion (`per`), threshold (`above`, `below`). `effect` turns a Hill function; `at_zero` and `at_saturation` set
    its two ends.
    """

    field: Name | None = None
    neighbours: Names | None = None
    contact: Names | None = None
    body: Name | None = None
    room: Literal[True] | None = None
    neighbourhood: Literal[6, 18, 26] = 26
    half: Amount | None = None
    power: Annotated[WholeNumber, Field(ge=1, le=4)] = 1
    per: Amount | None = None
    above: Amount | None = None
    below: Amount | None = None
    effect: Literal["activates", "inhibits"] = "activates"
    at_zero: Annotated[PureNumber, Field(ge=0, le=1e6)] | None = None
    at_saturation: Annotated[PureNumber, Field(ge=0, le=1e6)] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> "Modulator":
        if sum(v is not None for v in (self.field, self.neighbours, self.contact, self.body, self.room)) != 1:
            raise ValueError("expected exactly one of 'field', 'neighbours', 'contact', 'body', 'room'")
        shapes = [k for k in ("half", "per", "above", "below") if getattr(self, k) is not None]
        if len(shapes) > 1 or ((self.field or self.body or self.room) is not None and not shapes):
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
"""What stands between the columns of a text: the sign itself, or its name."""
Encoding = Annotated[str, AfterValidator(_encoding)]


class TextReading(_Part):
    """How a table of text is read: the `delimiter` between columns, the `decimal` sign, the `encoding`, the line of the
    `header`; what is left out is found by looking at it.
    """

    delimiter: Delimiter | None = None
    decimal: Literal[".", ","] | None = None
    encoding: Encoding | None = None
    header: Annotated[WholeNumber, Field(ge=1, le=10_000)] | None = None


def _expression(text: str) -> str:
    expressions.parse(text)
    return text


class PointColumns(_Part):
    """Columns of a table that hold positions, and the `value` there.

    Left out, positions are those of the format that the columns tell, and the value is the column with the field's
    name, or `value`. Without `z` the table is a 2D section.
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

    A voxel takes the mean of the rows of a table that lie in it, with positions from the corner of the grid in
    `length_unit` (left out, what the format says, or 1 um), or the mean of the pixels of an image over it, whose middle
    lies in the middle of the grid; `spacing` is the edge of a pixel, as for an image of labels. `unit` is the
    concentration that a value of 1 stands for. A voxel without a value takes `default`; left out, there must be none.
    An expression is of x, y, z (from the corner of the grid) and r (from its middle), with units.
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
            raise ValueError(f"'{min(idle)}' does not belong to '{kinds[0]}'")
        return self


Initial = Annotated[
    Annotated[Amount, Tag("amount")] | Annotated[InitialField, Tag("by position")],
    Discriminator(lambda value: "by position" if isinstance(value, dict | InitialField) else "amount"),
]
"""An amount, or a concentration that depends on position."""


class FieldSpec(_Part):
    """A concentration on the grid, in its own `unit`.

    `clearance` holds further losses by name, which other fields, cells or the body may modulate. `holds` gives tissue
    states whose voxels keep a concentration. The solvers `implicit2` and `steady` are refused for a field that rules
    release or therapies inject.

    For pictures and reports alone: `label` is what a reader calls it, `colours` a map of matplotlib; the role `virus`
    makes it the field that is looked at first, `effector` one whose peak is reported.
    """

    unit: Unit
    diffusion: DiffusivityByState = {DEFAULT: "0 um^2/min"}
    boundary: Boundary = Boundary()
    decay: Rate = "0 /min"
    clearance: dict[Name, Loss] = {}
    holds: dict[Name, Amount] = {}
    initial: Initial = 0.0
    solver: Literal["auto", "explicit", "implicit", "implicit2", "steady"] = "auto"
    label: Text | None = None
    colours: Literal["viridis", "cividis", "inferno", "magma", "plasma"] | None = None
    role: Literal["virus", "effector"] | None = None
    source: Text | None = None


MOST_CONSUMED = 2
"""Fields that a reaction consumes at most: three hardly ever meet at once."""


class Reaction(_Part):
    """Fields that turn into others by mass action: `rate` times the concentrations of one or two that it `consumes`.

    The extent of a reaction is counted in the unit of the first field that it consumes. A coefficient says how much
    of a field goes into or comes out of one unit of the extent, as a number in the unit of the field or as a quantity
    ("8 ng/mL / (PFU/voxel)", "64 fg/PFU"). Modulators act on the rate; what speeds a reaction up and is not consumed
    is one of them.
    """

    consumes: dict[Name, Amount]
    makes: dict[Name, Amount] = {}
    rate: Amount
    modulators: tuple[Modulator, ...] = ()
    source: Text | None = None

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
            raise ValueError("expected one or two fields in 'consumes', found none; cells make fields by 'secretion'")
        if found > MOST_CONSUMED:
            raise ValueError(
                f"expected one or two fields in 'consumes', found {found}; write it in two steps, or what is not used "
                "up as a modulator ({field: NAME, per: 1})"
            )
        for name in self.consumes:
            if name in self.makes:
                raise ValueError(
                    f"'{name}' stands in both 'consumes' and 'makes'; what is not used up is a modulator "
                    f"({{field: {name}, per: 1}})"
                )
        return self


class Exchange(_Part):
    """A wall between voxel and blood: permeability * (blood - local concentration).

    The blood holds a constant concentration `blood`, or a quantity of the `body` in some `volume`; then
    what leaves the voxel enters the body, and the reverse. Modulators act on the permeability.
    """

    permeability: Rate
    blood: Amount | None = None
    body: Name | None = None
    volume: Volume | None = None
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


class Chemotaxis(_Part):
    """Climbs the gradient of `field`, as receptors see it: occupancy c / (half + c).

    A new heading is drawn with weight 1 + `sensitivity` * (rise of the occupancy per length), so that
    the drift is speed * sensitivity / 3 * gradient of the occupancy.
    """

    field: Name
    half: Amount
    sensitivity: Length


class Motility(_Part):
    """How a cell moves: along one axis at `speed`, until it turns, on average after `persistence`.

    It enters voxels where no cell of its own layer stands, and of the other layer one of `enters`
    (any, where left out). Modulators act on the speed.
    """

    speed: Speed
    persistence: Time = "0 min"
    chemotaxis: Chemotaxis | None = None
    enters: Names | None = None
    modulators: tuple[Modulator, ...] = ()
    source: Text | None = None


class Yielding(_Part):
    """How a cell gives way when others divide: `displaced` to the next voxel, `crushed` (it is lost), or `rigid`.

    A crushed cell gives way as a free voxel would that is farther by `resistance`; where another is nearer, it is
    displaced.
    """

    how: Literal["displaced", "crushed", "rigid"]
    resistance: Length | None = None

    @model_validator(mode="after")
    def _of_crushed(self) -> "Yielding":
        if self.resistance is not None and self.how != "crushed":
            raise ValueError("'resistance' belongs to 'crushed'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> str | dict[str, object]:
        return dump(self) if self.resistance is not None else self.how


def _as_yielding(value: object) -> object:
    return {"how": value} if isinstance(value, str) else value


class State(_Part):
    """What a cell of this state does to the fields of its voxel, how it moves, and how it gives way to others.

    For pictures and reports alone: `label` is what a reader calls it, `colour` as in "#00ff00", `role` what it is.
    """

    layer: Layer = "tissue"
    secretion: dict[Name, Secretion] = {}
    uptake: dict[Name, Loss] = {}
    exchange: dict[Name, Exchange] = {}
    motility: Motility | None = None
    yields: Annotated[Yielding, BeforeValidator(_as_yielding)] | None = None
    label: Text | None = None
    colour: Colour | None = None
    role: StateRole | None = None
    source: Text | None = None


class Rule(_Part):
    """A transition `from|from -> to` at a rate, from some time in the state on, or a division.

    A division, `mother -> mother + daughter`, has a rate per mother. It takes place when there is room for the
    daughter: a voxel next to the mother that can take a cell, or one within `reach`, towards which the cells in between
    move by one voxel (`yields` of a state says whether they do). Both cells then begin their states anew.

    `to_body` and `from_body` name the quantity of the body that a firing adds a cell to or takes it
    from. For reports alone: `label` is what a reader calls its firings, and the role `harm` says that they harm the
    host.
    """

    transition: str
    rate: Rate
    after: Time = "0 min"
    reach: Length | None = None
    modulators: tuple[Modulator, ...] = ()
    releases: dict[Name, Amount] = {}
    to_body: Name | None = None
    from_body: Name | None = None
    label: Text | None = None
    role: Literal["harm"] | None = None
    source: Text | None = None

    @field_validator("transition")
    @classmethod
    def _arrow(cls, text: str) -> str:
        if _transition(text) is None:
            raise ValueError(
                "expected 'state -> state', 'state|state -> state' or, of a division, 'state -> state + state', "
                f"found {text!r}"
            )
        return text

    @property
    def leaves(self) -> list[str]:
        """States that the rule leaves."""
        return self._ends[0]

    @property
    def enters(self) -> str:
        """State that the rule enters; of a division, the mother does."""
        return self._ends[1][0]

    @property
    def daughter(self) -> str | None:
        """State of the daughter; None of a rule that is no division."""
        return self._ends[1][1] if len(self._ends[1]) > 1 else None

    @property
    def made(self) -> list[str]:
        """States that come of the rule."""
        return self._ends[1]

    @property
    def _ends(self) -> tuple[list[str], list[str]]:
        ends = _transition(self.transition)
        assert ends
        return ends


NOTHING = "nothing"
"""What a process of the body makes a quantity from, or lets it vanish into."""


class Quantity(_Part):
    """A number of the body, outside the lattice: cells of a kind, a drug, antibodies.

    For reports alone: `label` is what a reader calls it; of a `reserve` the lowest value is reported, of `memory` the
    last.
    """

    unit: Unit = "cell"
    initial: Amount = 0.0
    label: Text | None = None
    role: Literal["reserve", "memory"] | None = None
    source: Text | None = None


class Process(_Part):
    """A flow `from -> to` between quantities: rate * amount of `by` (or of `from`) * modulators.

    Either end may be `nothing`: an inflow, or a loss.
    """

    transition: str
    rate: Amount
    by: Name | None = None
    modulators: tuple[Modulator, ...] = ()
    source: Text | None = None

    @field_validator("transition")
    @classmethod
    def _arrow(cls, text: str) -> str:
        ends = _transition(text)
        if ends is None or len(ends[0]) > 1 or len(ends[1]) > 1:
            raise ValueError(f"expected 'quantity -> quantity', found {text!r}")
        if ends[0] == ends[1]:
            raise ValueError(f"'{ends[1][0]}' stands on both sides")
        return text

    @property
    def ends(self) -> tuple[str | None, str | None]:
        """Quantities that the flow leaves and enters; None for `nothing`."""
        leaves, enters = (end.strip() for end in self.transition.split("->"))
        return (None if leaves == NOTHING else leaves), (None if enters == NOTHING else enters)


class Body(_Part):
    """What is not on the lattice: blood, lymph node, drugs; ordinary differential equations."""

    quantities: dict[Name, Quantity] = {}
    processes: dict[Name, Process] = {}


class _Shape(_Part):
    """Cells of `state` put into a region, in a `fraction` of its voxels, over the states `into`."""

    state: Name
    into: Names | None = None
    fraction: Fraction = 1.0


class Everywhere(_Shape):
    """The whole grid."""

    kind: Literal["everywhere"]


class Sphere(_Shape):
    """A ball."""

    kind: Literal["sphere"]
    centre: Position = "centre"
    radius: Length


class Box(_Shape):
    """Voxel centres from `lower` up to, not including, `upper`."""

    kind: Literal["box"]
    lower: tuple[Length, Length, Length]
    upper: tuple[Length, Length, Length]


class Cylinder(_Shape):
    """All within `radius` of a segment."""

    kind: Literal["cylinder"]
    start: Position
    end: Position
    radius: Length


class Vessels(_Shape):
    """Winding vessels, which enter at a random face; on average one to `distance`^2 of section."""

    kind: Literal["vessels"]
    distance: Length
    radius: Length = "10 um"


Shape = Annotated[Everywhere | Sphere | Box | Cylinder | Vessels, Field(discriminator="kind")]


class Columns(_Part):
    """Columns of the table that hold the centres of cells. Without `z` the table is a 2D section.

    Where nothing is said they are those of the table's format.
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
"""A value, a threshold ("> 20"), a range ("20 to 40"), a pattern ("Tumor*"), or a list of them, one of which holds."""


class CellType(_Part):
    """Rows in which every column of `where` fits its condition become cells of `state`."""

    state: Name
    where: dict[str, Condition] = {}


class TableReading(TextReading):
    """How the table of cells is read; what is left out is found by looking at it.

    `format`: the program that wrote it. `where`: the rows that count, each column with its condition; `time`: of a
    table of several times, the one to take. Of text: the `delimiter` between columns, the `decimal` sign, the
    `encoding`, and the line of the `header`. Of AnnData: the array of `obsm` that holds the centres.
    """

    format: Literal["gpusim", "physicell", "qupath", "inform", "halo", "mcmicro", "xenium", "cosmx"] | None = None
    where: dict[str, Condition] = {}
    time: Time | None = None
    obsm: str | None = None


class Depth(_Part):
    """How a 2D section becomes a volume.

    slab: the section repeated over `thickness`. sweep: the section turned about the upright axis
    (y) through the middle of its bounding box.
    """

    mode: Literal["slab", "sweep"] = "slab"
    thickness: Length = "20 um"


class LabelImage(_Part):
    """An image (NIfTI, TIFF, OME-TIFF, NRRD, OME-Zarr) in which a number stands for a state, or for a cell.

    `labels` gives the state of each number. Where a number stands for a cell, `instances` is the column of the table
    `cells` with that number, and `types` gives the states. `spacing` is the edge of a pixel, one or along x, y, z;
    left out, it is what the file says. A voxel takes the label of most of its pixels, or of the one in its middle
    (`nearest`).
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


class Tissue(_Part):
    """The tissue at time 0: a background, an image, then cells of a table, then shapes in the order given.

    `length_unit` is what one unit of the table's coordinates measures, such as the edge of a pixel; left out, it is
    what the format says, or 1 um.
    """

    background: Name = "empty"
    image: LabelImage | None = None
    cells: InputFile | None = None
    table: TableReading = TableReading()
    columns: Columns = Columns()
    length_unit: Length | None = None
    types: tuple[CellType, ...] = ()
    margin: Length = "40 um"
    depth: Depth = Depth()
    shapes: dict[Name, Shape] = {}


class Site(_Part):
    """A lattice of its own in the same body: the primary tumour, a metastasis.

    What it leaves out of `grid` and `tissue` is as at the head of the scenario (filled in on loading).
    """

    grid: Grid = Grid()
    tissue: Tissue = Tissue()


class Therapy(_Part):
    """An intervention, once or every so often.

    `inject`: an amount of a field, spread evenly over a region of a `site` (the first, where left out), or
    so many cells of a state, strewn over it where no other cell of their layer is, or one `into`
    whose place they may take. `resect`: cells of these states are cut out of a region. `infuse`: an
    amount into a quantity of the body. The region is all within `radius` of a point `at`, or of the
    track of a needle from there `to` another. An amount per cell, such as a MOI (PFU per cell), is given for
    each cell of `targets` that stands in the region at time 0.
    """

    inject: Name | None = None
    infuse: Name | None = None
    resect: Names | None = None
    site: Name | None = None
    amount: Amount | None = None
    targets: Names | None = None
    into: Names | None = None
    at: Position = "centre"
    to: Position | None = None
    radius: Length = "0 um"
    start: Time = "0 min"
    every: Time | None = None
    doses: Annotated[WholeNumber, Field(ge=1, le=10_000)] = 1
    source: Text | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Therapy":
        if sum(verb is not None for verb in (self.inject, self.infuse, self.resect)) != 1:
            raise ValueError("expected exactly one of 'inject', 'infuse', 'resect'")
        if self.infuse is not None and {"site", "at", "to", "radius", "into"} & self.model_fields_set:
            raise ValueError("'site', 'at', 'to', 'radius' and 'into' belong to 'inject' and 'resect'")
        if self.targets is not None and self.inject is None:
            raise ValueError("'targets' belongs to 'inject'")
        if (self.amount is None) != (self.resect is not None):
            raise ValueError("'inject' and 'infuse' need an 'amount', 'resect' has none")
        magnitude = parse(self.amount).magnitude if isinstance(self.amount, str) else self.amount
        if magnitude == 0:
            raise ValueError("expected an 'amount' above 0; to leave a therapy out, set it to null")
        if self.resect is not None and parse(self.radius).magnitude == 0:
            raise ValueError("'resect' needs a 'radius'")
        if self.doses > 1 and self.every is None:
            raise ValueError("more than one of 'doses' needs 'every'")
        return self


class Titres(_Part):
    """How many PFU stand for one viral particle (`vp`), end-point dose (`TCID50`), transducing unit (`TU`).

    Quantities in these units are turned into PFU on loading.
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
    """What tumour heat is made of.

    `tumour` states make up the lesions, `effectors` are the immune cells that kill, `cd8` those that a
    pathologist's CD8 stain shows. `cytokines` are the inflammatory fields, each with the
    concentration that counts as one.
    """

    tumour: Names
    effectors: Names
    cd8: Names
    cytokines: dict[Name, Amount]


class Outcome(_Part):
    """One number of a run, when it ends or at some times.

    `count`: cells in some states; `volume`: the same in mm^3; `total`: the amount of a field
    whose unit is per voxel (of PFU/voxel: PFU) or per volume (of ng/mL: ng); `mean`: of any field, by volume;
    `fired`: firings of a rule since the start; `barred`: divisions by a rule for which there was no room; `crushed`:
    cells in some states that dividing ones have crushed; `left`: those that have left through open sides; `body`: a
    quantity of the body; `lesion`: of the largest lesion, its cells, diameter (um), CD8 cells per mm^2 in core or
    margin, mean heat of the core; 0 where no lesion is left. `site`: at that one alone, instead of all. `take`: its
    highest or lowest value so far, at the times when a snapshot is due, instead of the present one.
    """

    count: Names | None = None
    volume: Names | None = None
    total: Name | None = None
    mean: Name | None = None
    fired: Name | None = None
    barred: Name | None = None
    crushed: Names | None = None
    left: Names | None = None
    body: Name | None = None
    lesion: Literal["cells", "diameter", "core", "margin", "heat"] | None = None
    site: Name | None = None
    take: Literal["last", "highest", "lowest"] = "last"
    at: Annotated[tuple[Time, ...], BeforeValidator(_listed)] = ()

    @property
    def kind(self) -> str:
        """What is looked at: "count", "volume" and so on."""
        return next(k for k in OUTCOME_KINDS if getattr(self, k) is not None)

    @model_validator(mode="after")
    def _one(self) -> "Outcome":
        if sum(getattr(self, k) is not None for k in OUTCOME_KINDS) != 1:
            raise ValueError(f"expected exactly one of {', '.join(map(repr, OUTCOME_KINDS))}")
        if self.body is not None and self.site is not None:
            raise ValueError("'body' has no 'site'")
        return self


OUTCOME_KINDS = ("count", "volume", "total", "mean", "fired", "barred", "crushed", "left", "body", "lesion")


def _nothing_changed(arms: Any) -> Any:
    if isinstance(arms, dict):
        return {name: {} if changes is None else changes for name, changes in arms.items()}
    return arms


def _some_arm(arms: dict[str, Any]) -> dict[str, Any]:
    if not arms:
        raise ValueError("expected one arm or more")
    return arms


Arms = Annotated[dict[Title, dict[str, Any]], BeforeValidator(_nothing_changed), AfterValidator(_some_arm)]
"""Overrides by dotted path, by arm; an arm left blank changes nothing."""


class Order(_Part):
    """What is expected of a trial: `arms` from the one with the lowest `outcome` to that with the highest.

    Of one arm alone: the times `at`, of those of the outcome, from the lowest to the highest. With several
    arms, `at` says at which times the order is expected; left out, at all of the outcome's. `suspended` gives the
    reason why an order is reported, but not required, until the model has been fitted anew.
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


class Trial(_Part):
    """Arms that differ by overrides (dotted paths, as for --set) and share their seeds.

    Each arm is run `replicates` times, with the seed of the scenario and those that follow it.
    """

    arms: Annotated[Arms, Field(max_length=100)]
    replicates: Annotated[WholeNumber, Field(ge=1, le=10_000)] = 8
    outcomes: Annotated[dict[Name, Outcome], Field(min_length=1)]
    expected: tuple[Order, ...] = ()


class Checkpoints(_Part):
    """Whole states to go on from: `every` so often, and whenever `wall` has passed on the clock.

    The newest `keep` stay.
    """

    every: Time | None = None
    wall: Time = "10 min"
    keep: Annotated[WholeNumber, Field(ge=1, le=1000)] = 2


class Record(_Part):
    """What is written to the result folder: snapshots `every` so often, the last state, checkpoints."""

    every: Time = "6 hour"
    checkpoints: Checkpoints = Checkpoints()


class Document(_Part):
    """A whole scenario."""

    name: Title = "unnamed"
    description: Text = ""
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**64)] = 0
    units: Titres = Titres()
    grid: Grid = Grid()
    time: TimeSpec = TimeSpec()
    fields: dict[Name, FieldSpec] = {}
    reactions: dict[Name, Reaction] = {}
    states: dict[Name, State] = {}
    rules: dict[Name, Rule] = {}
    tissue: Tissue = Tissue()
    sites: dict[Name, Site] = {}
    therapies: dict[Name, Therapy] = {}
    body: Body = Body()
    heat: Heat | None = None
    record: Record = Record()
    trial: Trial | None = None

    @field_validator("fields", "reactions", "states", "rules")
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
