"""Units at the border: text such as "30 um^2/min" outside, plain numbers inside.

Inside, lengths are in micrometres and times in minutes; a concentration is in its field's own unit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

if TYPE_CHECKING:
    import pint

_MICRO = str.maketrans("\u00b5\u03bc", "uu")
_LONGEST = 80
_LARGEST = 1e36
"""Products of a few such numbers stay in float64, and each in float32."""
_REMEMBERED = 4096
"""Quantities as written, for a scenario says the same few again and again, and its arms and sites too."""
_ALLOWED = re.compile(r"[\w\s.+\-*/^()µμ%]*")
# Pint 0.26 forgets the number in "2 (3 um)", which 0.25 multiplies.
_TIMES = re.compile(r"(?<=[\w.)µμ%])\s*(?=\()")
_NUMERALS = re.compile(r"[\d\s.eE+\-*/()]*")
# A power stands right behind a unit and is one digit: a tower of powers would never end.
_POWER = re.compile(r"\*\*|\^")
_GOOD_POWER = re.compile(r"(?<=[A-Za-zµμ])(?:\*\*|\^)-?\d(?![\w.*^])")

TITRES = ("vp", "TCID50", "TU")
"""Units of virus whose ratio to PFU a scenario may state: particles, end-point and transducing titres."""
_TITRE = re.compile(rf"(?<![A-Za-z_])({'|'.join(TITRES)})(?!\w)", re.IGNORECASE)


@functools.lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[float]:
    import pint

    registry: pint.UnitRegistry[float] = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.define("PFU = [infectivity] = PFU = plaque_forming_unit = pfu = Pfu")
    # The dose that infects half of all cultures: 1 - exp(-n) = 1/2, n infectious units by Poisson's distribution.
    registry.define("TCID50 = 0.6931471805599453 * PFU = TCID50 = tcid50")
    registry.define("vp = [viral_particles] = vp = viral_particle = VP")
    registry.define("TU = [transduction] = TU = transducing_unit = tu")
    registry.define("IU = [biological_activity] = IU = international_unit")
    registry.define("cell = [cell_count]")
    registry.define("voxel = [voxel_count]")
    registry.define("MOI = PFU / cell = MOI = multiplicity_of_infection = moi")
    return registry


class UnitError(ValueError):
    """A text is not a quantity, or not one of the wanted dimension."""


class TooLargeError(UnitError):
    """A quantity has the wanted dimension, and a number beyond what is worked with."""


@functools.lru_cache(maxsize=_REMEMBERED)
def parse(text: str, voxel_volume: float = 1.0) -> pint.Quantity[float]:
    """Read a quantity; the unit `voxel` is a volume of `voxel_volume` um^3.

    Raises `UnitError` with what is wrong.
    """
    if not text.strip() or len(text) > _LONGEST or not _ALLOWED.fullmatch(text):
        raise UnitError("is not a quantity such as '30 um^2/min'")
    if len(_POWER.findall(text)) != len(_GOOD_POWER.findall(text)):
        raise UnitError("has a power that is not a single digit after a unit, as in 'um^2'")
    body = text.strip()
    if body.startswith("/"):
        body = "1 " + body
    try:
        quantity = _registry().parse_expression(_TIMES.sub("*", body))
    except Exception as error:  # pint raises many kinds, tokenizer errors among them
        unknown = getattr(error, "unit_names", None)
        names = [unknown] if isinstance(unknown, str) else list(unknown or [])
        hint = f" (unknown unit {', '.join(map(repr, names))})" if names else ""
        raise UnitError(f"is not a quantity such as '30 um^2/min'{hint}") from None
    result: pint.Quantity[float] = _registry().Quantity(quantity)
    if not result._is_multiplicative:
        raise UnitError("has a unit with an offset or a logarithm, such as degC or dB")
    magnitude = result.magnitude
    if not isinstance(magnitude, (int, float)) or not abs(float(magnitude)) < float("inf"):
        raise UnitError("is not a finite number")
    power = dict(result.unit_items()).get("voxel", 0)
    if not power:
        return result
    volume = _registry().Quantity(float(voxel_volume), "um^3/voxel")
    cubed: pint.Quantity[float] = (result * volume**power).to_reduced_units()
    return cubed


def ascii_micro(text: str) -> str:
    """A text with "u" in place of the micro sign, in either of its two characters."""
    return text.translate(_MICRO)


def bare(text: str) -> bool:
    """Whether a text is a number without any unit: "5", not "5 %". Raises `UnitError` where it is no quantity."""
    return bool(_NUMERALS.fullmatch(text)) and not parse(text).unit_items()


def number(value: float | str, unit: str, voxel_volume: float = 1.0) -> float:
    """`value` as a number of `unit`; a bare number is taken to be in `unit` already.

    "5 %" is 0.05 where a pure number is wanted, and refused where a concentration is. `voxel_volume` is in um^3.
    Raises `UnitError` where the dimensions differ.
    """
    return _converted(value, unit, voxel_volume) if isinstance(value, str) else _in_range(value, unit)


@functools.lru_cache(maxsize=_REMEMBERED)
def _converted(text: str, unit: str, voxel_volume: float) -> float:
    found = parse(text, voxel_volume)
    return _in_range(found.magnitude if bare(text) else ratio(found, unit, voxel_volume), unit)


def ratio(found: pint.Quantity[Any], unit: str, voxel_volume: float = 1.0) -> Any:
    """The magnitude of a quantity, a number or an array, in `unit`. Raises `UnitError` where the dimensions differ."""
    wanted = parse(unit, voxel_volume)
    try:
        if not _of_one_kind(found, wanted):
            raise UnitError(f"is not a quantity in '{unit}'")
        return (found / wanted).to("dimensionless").magnitude
    except ArithmeticError:
        raise TooLargeError(f"is too large in '{unit}'") from None


def _of_one_kind(found: pint.Quantity[Any], wanted: pint.Quantity[float]) -> bool:
    """Whether nothing is left of the units of a ratio, angles and counts included: "1 degree/min" is no rate."""
    return not (found / wanted).to_root_units().unit_items()


def _in_range(value: float, unit: str) -> float:
    if abs(value) <= _LARGEST:
        return float(value)
    raise TooLargeError(f"is too large in '{unit}': expected at most {_LARGEST:g}")


def amount_per_voxel(unit: str, voxel_volume: float) -> tuple[float, str] | None:
    """What 1 of a unit is in a voxel (um^3), as an amount: 1 PFU/voxel is (1, "PFU"), 1 ng/mL (volume in mL, "ng").

    None for a unit that is neither per voxel nor per volume: sums of it over voxels are no amounts.
    """
    amount, _, of_what = (part.strip() for part in unit.rpartition("/"))
    if not amount or of_what == "voxel":
        return (1.0, amount) if amount else None
    try:
        return number(f"{voxel_volume!r} um^3", f"1 {of_what}"), amount
    except UnitError:
        return None


def ratio_missing(value: float | str) -> str:
    """A hint where a quantity is in a unit of virus that has no ratio to PFU yet."""
    named = _TITRE.search(str(value))
    return f"; state the ratio, as in 'units: {{{named[1]}: 0.05 PFU}}'" if named else ""


def in_pfu(text: str, ratios: Mapping[str, str]) -> str:
    """A text whose units of `TITRES` are replaced by PFU, where `ratios` say how many of these one is."""
    by_name = {name.lower(): ratio for name, ratio in ratios.items()}

    def replaced(found: re.Match[str]) -> str:
        ratio = by_name.get(found[1].lower())
        return f"({ratio})" if ratio is not None else found[0]

    return _TITRE.sub(replaced, text)


RATIOS = "ratios to PFU"
"""Key of the validation context under which a scenario's ratios stand: a mapping of `TITRES` to texts."""


def _by_ratio(value: Any, info: ValidationInfo) -> Any:
    ratios = (info.context or {}).get(RATIOS)
    return in_pfu(value, ratios) if ratios and isinstance(value, str) else value


InPFU = BeforeValidator(_by_ratio)
"""Replaces units of virus by PFU, by the ratios of the validation context."""


def _checked(unit: str) -> Any:
    def check(text: str) -> str:
        try:
            found = parse(text)
        except UnitError as error:
            raise ValueError(str(error)) from None
        if bare(text) or not _of_one_kind(found, parse(unit)):
            raise ValueError(f"expected a quantity in '{unit}' or a convertible unit, found {text!r}")
        if found.magnitude < 0:
            raise ValueError(f"expected a quantity of 0 or more, found {text!r}")
        try:
            number(text, unit)
        except UnitError as error:
            raise ValueError(f"{text!r} {error}") from None
        return text

    return check


def _explain_bare(unit: str) -> Any:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"expected a quantity with its unit, such as '1 {unit}', found {value!r}")
        return value

    return check


QUANTITY = "quantity"
"""Mark of the types of quantities, by which numbers are found in a scenario (`scenario/walking.py`)."""


def _quantity(unit: str, shown: str = "") -> tuple[Any, ...]:
    """What makes a text a quantity in a unit, of which examples and the JSON schema have the form `shown`."""
    shown = shown or unit
    schema = WithJsonSchema({"type": "string", "unit": shown})
    return AfterValidator(_checked(unit)), BeforeValidator(_explain_bare(shown)), schema, QUANTITY


Length = Annotated[str, *_quantity("um")]
Time = Annotated[str, *_quantity("min", "hour")]
Rate = Annotated[str, *_quantity("1/min", "/min")]
Speed = Annotated[str, *_quantity("um/min")]
Volume = Annotated[str, *_quantity("mL")]
Diffusivity = Annotated[str, *_quantity("um^2/min")]
Pressure = Annotated[str, *_quantity("mmHg")]
HydraulicConductivity = Annotated[str, *_quantity("um^2/mmHg/min")]
WallConductivity = Annotated[str, *_quantity("um/mmHg/min")]
Conductance = Annotated[str, *_quantity("1/mmHg/min", "/mmHg/min")]
SurfaceDensity = Annotated[str, *_quantity("1/um", "/cm")]


def _any_quantity(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number or a quantity, found {value!r}")
    if isinstance(value, (int, float)):
        if not 0 <= value <= _LARGEST:
            raise ValueError(f"expected a number from 0 to {_LARGEST:g}, found {value!r}")
        return float(value)
    if isinstance(value, str):
        try:
            if parse(value).magnitude < 0:
                raise ValueError(f"expected a quantity of 0 or more, found {value!r}")
        except UnitError as error:
            raise ValueError(f"{value!r} {error}") from None
    return value


Amount = Annotated[float | str, BeforeValidator(_any_quantity), InPFU, QUANTITY]
"""A number in the field's unit, or a quantity whose dimension is checked against the field's."""


def _signed_quantity(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.startswith("-"):
        return f"-{_any_quantity(text[1:].strip())}"
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text < 0:
        return -_any_quantity(-text)
    return _any_quantity(value)


SignedAmount = Annotated[float | str, BeforeValidator(_signed_quantity), InPFU, QUANTITY]
"""An amount that may be below 0."""


def _coordinate(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text.startswith("-"):
        return f"-{_length(text[1:].strip())}"
    return _length(_explain_bare("um")(value))


_length = _checked("um")
Coordinate = Annotated[str, BeforeValidator(_coordinate)]
"""A length that may be below 0."""


def _pure(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, found {'true' if value else 'false'}")
    if isinstance(value, str):
        try:
            return number(value, "dimensionless")
        except UnitError as error:
            raise ValueError(f"expected a pure number such as 0.05 or '5 %', found {value!r}, which {error}") from None
    return value


PureNumber = Annotated[float, BeforeValidator(_pure), QUANTITY]
"""A number without a unit, or a share in %: "5 %" is 0.05."""


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, found {'true' if value else 'false'}")
    return value


WholeNumber = Annotated[int, BeforeValidator(_no_bool)]
"""A whole number; `true` is none."""


def duration(minutes: float) -> str:
    """Simulated time to read: "90 min", "12 h", "3 day"."""
    if minutes < 120:
        return f"{minutes:g} min"
    return f"{minutes / 60:.4g} h" if minutes < 2880 else f"{minutes / 1440:.3g} day"
