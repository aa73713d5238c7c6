"""Sources of a scenario's numbers: their schema, and what becomes of them where numbers are written anew.

`sources` maps the dotted path of a number (`rules.killing.rate`) to where the number comes from. What writes a number
takes the source of the former number away, be it a file over those that it extends, a changed value or an arm.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gpusim.scenario.reading import KeyPath, dotted
from gpusim.scenario.texts import Text
from gpusim.units import InPFU, UnitError, parse

SOURCES = "sources"
Kind = Literal["measured", "fitted", "derived", "assumed"]
KINDS: tuple[Kind, ...] = ("measured", "fitted", "derived", "assumed")
_NUMERAL = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMERAL})\s+to\s+({_NUMERAL})\s*(\S.*?)?\s*")
ABBREVIATED = ("rate", "default", "each", "weight", "value")
"""Keys whose value can stand alone: `uptake: {oxygen: 2 /min}` for `{oxygen: {rate: 2 /min}}`, `{virus: 1 PFU}` for a
release `{virus: {trait: load, each: 1 PFU}}`, `along: {tgfb: -1}` for `{tgfb: {weight: -1}}`."""


def limits(text: str) -> tuple[float, float, str]:
    """The lowest and the highest value of a range such as "2 to 12 hour", and its unit. Raises `ValueError`."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a range such as '2 to 12 hour', found {text!r}")
    low, high, unit = float(found[1]), float(found[2]), found[3] or ""
    if low > high:
        raise ValueError(f"expected the lower limit first, found {text!r}")
    if unit:
        try:
            parse(unit)
        except UnitError as error:
            raise ValueError(f"the unit {unit!r} of the range {error}") from None
    return low, high, unit


def _range(value: Any) -> Any:
    if isinstance(value, str):
        limits(value)
    return value


Range = Annotated[str, AfterValidator(_range), InPFU]
"""The range in which a number may lie: "2 to 12 hour", with a unit of the number or, for a rate, of its reciprocal."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


References = Annotated[tuple[Annotated[str, Field(max_length=200)], ...], BeforeValidator(_listed)]
"""A reference, or a list of them: a key of the shipped list of references, or a DOI ("10.1172/JCI34388")."""


class Source(BaseModel):
    """The source of a number: its `kind`, the `range` in which it may lie, and a `reference` or a `note`.

    Kinds: `measured` in the system that is simulated; `fitted` to data that the note names; `derived` from other
    numbers, by the formula in the note; `assumed`, with the reason for the range in the note. A number that has the
    same meaning as another number has only the key `equals`, with the path of that number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = None
    range: Range | None = None
    reference: References = ()
    note: Text | None = None
    equals: Annotated[str, Field(max_length=300)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Source":
        if self.equals is not None:
            if self.kind or self.range or self.reference or self.note:
                raise ValueError("'equals' stands alone: the source is that of the other number")
            return self
        if self.kind is None:
            raise ValueError(f"expected a 'kind' ({', '.join(KINDS)}), or 'equals' with the path of another number")
        if self.range is None:
            raise ValueError(f"a number that is {self.kind} needs a 'range', such as '2 to 12 hour'")
        if self.kind == "measured" and not (self.reference or self.note):
            raise ValueError("a number that is measured needs a 'reference', or a 'note' that names the measurement")
        if self.kind != "measured" and not self.note:
            what = {"fitted": "the data", "derived": "the formula", "assumed": "the reason for its range"}[self.kind]
            raise ValueError(f"a number that is {self.kind} needs a 'note' with {what}")
        return self


Sources = dict[Annotated[str, Field(max_length=300)], Source]


def lay_over(sources: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """The sources of merged data: `sources` without those of numbers that `top` writes, and those of `top`."""
    more = top.get(SOURCES, {})
    if more is None:
        return {}
    kept = without(sources, written({key: value for key, value in top.items() if key != SOURCES}))
    if isinstance(more, Mapping):
        kept |= more
    return {path: source for path, source in kept.items() if source is not None}


def written(data: Any, path: KeyPath = ()) -> Iterator[str]:
    """Dotted paths of what data write: all that is not a mapping."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from written(value, (*path, key))
    else:
        yield dotted(path)


def without(sources: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Sources without those of numbers at or below some paths.

    A number that was said to equal one of these keeps its value, and so its source, which is now its own.
    """
    gone = set(paths)
    lost = {path for path in sources if not gone.isdisjoint(_places(str(path)))}
    if not lost:
        return dict(sources)
    kept = {path: source for path, source in sources.items() if path not in lost}
    heirs: dict[str, str] = {}
    for path, source in kept.items():
        other = source.get("equals") if isinstance(source, Mapping) else None
        if isinstance(other, str) and other in lost:
            kept[path] = {"equals": heirs[other]} if other in heirs else sources[other]
            heirs.setdefault(other, path)
    return kept


def _places(path: str) -> Iterator[str]:
    """A path, all above it, and the path of the same number written in full."""
    yield from (f"{path}.{key}" for key in ABBREVIATED)
    yield path
    yield from (path[: found.start()] for found in re.finditer(r"[.\[]", path))


def of_sites(sources: Mapping[str, Any], shared: Iterable[str], sites: Mapping[str, Any]) -> dict[str, Any]:
    """The sources where the numbers under `shared` keys (grid, tissue) become those of every site.

    `sites`: what each site merges over them. A number of several sites has one source, that of the first of them.
    """
    keys = set(shared)
    of_shared = {path: source for path, source in sources.items() if str(path).partition(".")[0] in keys}
    found = {path: source for path, source in sources.items() if path not in of_shared}
    first: dict[str, str] = {}
    for site, own in sites.items():
        for path, source in without(of_shared, written(own)).items():
            here = f"sites.{site}.{path}"
            other = source.get("equals") if isinstance(source, Mapping) else None
            if other is None and path in first:
                source = {"equals": first[path]}
            elif isinstance(other, str):
                source = {"equals": first.get(other, f"sites.{site}.{other}" if other in of_shared else other)}
            first.setdefault(path, here)
            found.setdefault(here, source)
    return found
