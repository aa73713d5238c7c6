"""Writes the pages that are generated from the code: reference.md (the schema), library.md (shipped files) and
references.md (the sources of their numbers).

`python docs/generate.py` after a change of either; a test checks that they are current.
"""

import inspect
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gpusim import units
from gpusim.scenario import Scenario, library, numbers, presets, references, schema
from gpusim.scenario.parts import contents, head
from gpusim.scenario.reading import read_file
from gpusim.scenario.sources import KINDS, Range, References

FOLDER = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py; edits here are lost. -->\n\n"

WORDS: list[tuple[Any, str]] = [
    (units.Length, 'a length, e.g. `"20 um"`'),
    (units.Coordinate, "a length, which may be below 0"),
    (units.Time, 'a time, e.g. `"6 hour"`'),
    (units.Rate, 'a rate, e.g. `"0.01 /min"`'),
    (units.Speed, 'a speed, e.g. `"4 um/min"`'),
    (units.Volume, 'a volume, e.g. `"5 L"`'),
    (units.Diffusivity, 'a diffusion coefficient, e.g. `"30 um^2/min"`'),
    (units.Pressure, 'a pressure, e.g. `"20 mmHg"`'),
    (units.HydraulicConductivity, 'a hydraulic conductivity, e.g. `"4e-8 cm^2/mmHg/s"`'),
    (units.WallConductivity, 'a hydraulic conductivity of a wall, e.g. `"3e-7 cm/mmHg/s"`'),
    (units.Conductance, 'a volume of fluid per volume, time and pressure, e.g. `"1e-5 /mmHg/s"`'),
    (units.SurfaceDensity, 'a surface per volume, e.g. `"200 /cm"`'),
    (units.Amount, "a number or a quantity"),
    (units.SignedAmount, "a number or a quantity, which may be below 0"),
    (schema.Release, "a number or a quantity, or [TraitRelease](#traitrelease)"),
    (schema.ToBody, "a name, or a number or a quantity or [TraitRelease](#traitrelease) by name"),
    (schema.Name, "a name"),
    (schema.Title, "a title"),
    (Any, "a value"),
    (bool, "`true` or `false`"),
    (schema.StateNames, "a state or a group of states, or a list of them"),
    (schema.Title, "a title"),
    (schema.Text, "text"),
    (Range, 'a range, e.g. `"2 to 12 hour"`'),
    (References, "a key of the [references](references.md) or a DOI, or a list of them"),
    (schema.Unit, "a unit"),
    (schema.Position, "`centre`, or three lengths along x, y, z"),
    (schema.Fraction, "a number from 0 to 1"),
    (
        schema.Condition,
        'a value, a threshold (`"> 20"`), a range (`"20 to 40"`), a pattern (`Tumor*`), or a list of them',
    ),
    (schema.Delimiter, "`comma`, `semicolon`, `tab`, `bar` or `space`"),
    (schema.Encoding, "an encoding, e.g. `latin-1`"),
    (schema.Initial, "a number or a quantity, or [InitialField](#initialfield)"),
    (schema.ConductivityByState, "a hydraulic conductivity, or a table by tissue state or group with a `default`"),
    (schema.DiffusivityByState, "a diffusion coefficient, or a table by tissue state or group with a `default`"),
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (type(None), "none"),
    (Any, "any value"),
]
"""What a type of the schema is called; equal types go by the first."""
BARE = {float, int, str}


def reference() -> str:
    """The schema of a scenario, a table for each part of it."""
    parts: list[type[BaseModel]] = []
    _collect(schema.Document, parts)
    text = [
        "# Scenario reference\n",
        "All keys of a scenario. [Scenarios](scenarios.md) explains them. Names of fields, states, rules and other\n"
        "parts may contain letters, digits and underscores. A number without a unit is in the unit of the field or\n"
        "quantity to which it belongs.\n",
    ]
    for part in parts:
        text.append(f"## {_title(part)}\n")
        text.append((inspect.getdoc(part) or "") + "\n")
        text.append("| key | value | default |\n| --- | --- | --- |")
        hints = typing.get_type_hints(part, include_extras=True)
        for key, field in part.model_fields.items():
            text.append(f"| `{key}` | {_words(hints[key])} | {_default(field)} |")
        text.append("")
    return NOTICE + "\n".join(text)


def _collect(part: type[BaseModel], found: list[type[BaseModel]]) -> None:
    if part not in found:
        found.append(part)
        for hint in typing.get_type_hints(part, include_extras=True).values():
            for inner in _parts(hint):
                _collect(inner, found)


def _parts(hint: Any) -> list[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    return [part for inner in get_args(hint) for part in _parts(inner)]


def _title(part: type[BaseModel]) -> str:
    return "The scenario" if part is schema.Document else part.__name__.lstrip("_").removesuffix("Spec")


def _link(part: type[BaseModel]) -> str:
    title = _title(part)
    return f"[{title}](#{title.lower().replace(' ', '-')})"


def _words(hint: Any) -> str:
    """A type in words."""
    for known, words in WORDS:
        if hint == known and (known not in BARE or hint in BARE):
            return words
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _link(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = _limits(inner[1:])
        short = "a rate, or " if inner[0] in (schema._Secretion, schema._Loss) else ""
        return short + _words(inner[0]) + (f" {limits}" if limits else "")
    if origin is Literal:
        *first, last = (f"`{_flow(value)}`" for value in inner)
        return f"{', '.join(first)} or {last}" if first else last
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in inner if part is not type(None))
    if origin is tuple:
        each = _words(inner[0])
        if inner[-1] is not Ellipsis:
            return f"{each}, for each of {', '.join('xyz'[: len(inner)])}"
        return f"a list of {each}" if each.startswith("[") else f"a list of values: {each}"
    if origin is dict:
        by = {int: "by number", str: "by key"}.get(inner[0], "by name")
        return f"{_words(inner[1])}, {by}"
    raise TypeError(f"no words for {hint}; see WORDS in docs/generate.py")


def _limits(metadata: tuple[Any, ...]) -> str:
    """Bounds of a number, from what pydantic keeps of `Field(ge=..., le=...)`."""
    kept = {
        type(limit).__name__: limit
        for data in metadata
        for limit in getattr(data, "metadata", [data])
        if type(limit).__name__ in ("Ge", "Gt", "Le", "Lt")
    }
    low, high = kept.get("Ge"), kept.get("Le")
    if low and high:
        return f"from {low.ge:g} to {high.le:g}"
    return f"of {low.ge:g} or more" if low else ""


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or value is None or value in ({}, (), ""):
        return "none"
    if isinstance(value, BaseModel):
        return f"`{_flow(value.model_dump(exclude_unset=True))}`" if value.model_fields_set else "see below"
    if isinstance(value, dict) and set(value) == {schema.DEFAULT}:
        value = value[schema.DEFAULT]
    return f"`{_flow(int(value) if isinstance(value, float) and value.is_integer() else value)}`"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return text.strip("'")


_COMBINATIONS = """## Combinations of parts

A scenario extends a tumour, its immune state, a virus and therapies, and sets only the values that differ:

```yaml
extends: [pancreatic, excluded, adenovirus, hsv1-gmcsf, immune-host, intravenous, anti-pd1]
time: {until: 10 day}
therapies: {infusion_of_virus: {amount: 1e8 PFU, start: 1 day}}
```

- *Genes.* `hsv1-gmcsf`, `hsv1-il12`, `hsv1-collagenase` and `hsv1-crispr` add a gene to any virus: with
  `adenovirus` in the list, as above, the virus has the numbers of the adenovirus, and infected cells also secrete
  GM-CSF.
- *Antibodies.* `immune-host` gives the host antibodies against the virus from the start. Without it, they appear some
  days after the first dose.
- *T cells.* Dendritic cells prime T cells in every host of the library, unless `immunodeficient` is in the list.
- *Doses.* The body is a mouse's: 2 mL of blood, and doses as for mice. `gpusim check FILE` lists the therapies.
- *Size of the lattice.* Numbers of cells in the body (primed T cells, and the numbers that half-saturate recruitment
  and expansion) are those of the lattice's share of the body. The numbers of the library apply to one site of 48 x 48 x
  48 voxels of 20 um (`nodule`: 16 x 16 x 16). Let n be the volume of a lattice, or of all sites together, divided by
  that volume. Multiply `rules.ctl_recruitment.modulators[1].half`, `rules.helper_recruitment.modulators[1].half`,
  `body.processes.recall.modulators[0].half`, `body.processes.expansion.modulators[0].half`,
  `body.processes.expansion.modulators[1].half`, and, with `excluded` and `inflamed`, `body.quantities.ctl.initial` and
  `body.quantities.memory.initial` by n. Divide `body.processes.secretion_of_antibody.rate` by n. Otherwise, the number
  of T cells per volume depends on the size of the lattice. [`set`](scenarios.md#merging) in a file changes single
  numbers of a list, as in the example there. Tumours that are much smaller than those of the library contain less
  TGF-beta, so that `excluded` keeps T cells out of them only in part. Whether T cells are primed in them depends on a
  few cells.
"""


def shipped() -> str:
    """The shipped scenarios and the library."""
    text = [
        "# Shipped scenarios and library\n",
        "`gpusim presets` prints this list; `gpusim check NAME` prints what a scenario contains.\n"
        "Every number has a [source](references.md). Sizes of tumours and lattices, seeds and durations are choices\n"
        "without a source.\n",
        _COMBINATIONS,
        "## Scenarios\n",
    ]
    for name, path in presets().items():
        document = Scenario.load(path).document
        text += [f"### {name}\n", head(path), ""]
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        bases = ", ".join(f"[{base}](#{base})" for base in _listed(raw.get("extends", [])))
        text += [f"- extends: {bases}" if bases else "- extends nothing", f"- duration: {document.time.until}"]
        if document.grid.shape:
            shape = " x ".join(map(str, document.grid.shape))
            text.append(f"- {shape} voxels of {document.grid.spacing}, {len(document.fields)} fields")
        for key, therapy in document.therapies.items():
            cut = ", ".join(therapy.resect or ())
            what = f"resection of {cut}" if cut else f"{therapy.amount} of {therapy.inject or therapy.infuse}"
            text.append(f"- {key}: {what}, first at {therapy.start}")
        text.append("")
    for kind, parts in library().items():
        text.append(f"## {kind.capitalize()}\n")
        for name, path in parts.items():
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            text += [f"### {name}\n", head(path), ""]
            bases = ", ".join(f"[{base}](#{base})" for base in _listed(raw.get("extends", [])))
            if bases:
                text.append(f"- extends: {bases}")
            defined, removed = contents(raw)
            for key in ("fields", "reactions", "states", "groups", "rules"):
                if key in defined:
                    text.append(f"- {key}: {', '.join(f'`{part}`' for part in defined[key])}")
            if removed:
                text.append(f"- removes: {', '.join(f'`{path}`' for path in removed)}")
            text.append("")
    return NOTICE + "\n".join(text)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def sources() -> str:
    """The sources of the numbers of the shipped files: counts, and references with the numbers that they support."""
    found = {name: numbers.of(read_file(path).data) for name, path in _files().items()}
    every = [number for each in found.values() for number in each]
    text = [
        "# Sources of the library's numbers\n",
        "Each number of the shipped files is measured, fitted, derived or assumed, and has a range in which it may\n"
        "lie ([what these mean](scenarios.md#sources-of-numbers)). `gpusim presets NAME` prints them with notes and\n"
        "references. Numbers that another model uses without a measurement count as assumed, with that model as a\n"
        "reference.\n",
        "## Numbers by kind\n",
        "The last column counts the numbers that have the same meaning as another number of the file. They are\n"
        "included in the kinds.\n",
        f"| file | numbers | {' | '.join(KINDS)} | equal to another |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in (*found.items(), ("all", every)):
        if each:
            kinds = numbers.counts(each)
            counts = [len(each), *(kinds[kind] for kind in KINDS), sum(number.equals is not None for number in each)]
            text.append(f"| {name} | {' | '.join(map(str, counts))} |")
    for title, kinds in (("Measured, fitted and derived numbers", KINDS[:-1]), ("Assumed numbers", KINDS[-1:])):
        text.append(f"\n## {title}\n")
        text.append(
            "| file | number | value | kind | range | reference | note |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        for name, each in found.items():
            for number in each:
                source = number.source
                if source and source.kind in kinds and not number.equals:
                    keys = ", ".join(f"[{key}](#{key})" for key in source.reference)
                    cells = (name, f"`{number.path}`", number.value, source.kind, source.range, keys, source.note or "")
                    text.append(f"| {' | '.join(map(str, cells))} |")
    text.append("\n## References\n")
    for key in references.known():
        link = references.link(key)
        text += [f"### {key}\n", f"{references.cited(key)}{f' [Link]({link})' if link else ''}\n"]
        for name, each in found.items():
            if supported := numbers.by_reference(each).get(key):
                text.append(f"- {name}: {', '.join(f'`{number.path}`' for number in supported)}")
        text.append("")
    return NOTICE + "\n".join(text)


def _files() -> dict[str, Path]:
    """The shipped files by name, the library first."""
    return {name: path for kind in (*library().values(), presets()) for name, path in kind.items()}


PAGES = {"reference.md": reference, "library.md": shipped, "references.md": sources}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
