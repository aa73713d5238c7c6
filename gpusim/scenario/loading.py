"""Loading of scenarios: `extends`, changed values, and messages with positions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gpusim.errors import ScenarioError
from gpusim.scenario import inputs, numbers, sources
from gpusim.scenario.checks import Problem, nearest, problems
from gpusim.scenario.reading import KeyPath, Read, dotted, read_file, read_text, read_value
from gpusim.scenario.schema import KINDS, TITLE, Document, Site, Titres, known_keys
from gpusim.scenario.usage import misspelt
from gpusim.units import RATIOS

_MOST_FILES = 40
_MOST_PROBLEMS = 20
_LONGEST_MESSAGE = 400
SET = "set"
"""The key under which a file changes single values of those that it extends, by their paths."""
GROUPS = "groups"
"""The key whose lists are joined, not replaced, when files are merged."""
SITE_KEYS = tuple(Site.model_fields)
_KINDS_IN_WORDS = ", ".join(KINDS)

Checked = TypeVar("Checked", bound=BaseModel)


def presets() -> dict[str, Path]:
    """Shipped scenarios by name."""
    folder = Path(str(resources.files("gpusim") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def library() -> dict[str, dict[str, Path]]:
    """The shipped library, by kind ("viruses") and name."""
    folder = Path(str(resources.files("gpusim") / "presets" / "library"))
    return {kind.name: {path.stem: path for path in sorted(kind.glob("*.yaml"))} for kind in sorted(folder.iterdir())}


def _shipped() -> dict[str, Path]:
    """Shipped scenarios and files of the library, by name."""
    return {name: path for group in ({"scenarios": presets()} | library()).values() for name, path in group.items()}


def find(scenario: str, base: Path | None = None) -> Path:
    """The file of a shipped name, or of a path, which is relative to `base` in an `extends`."""
    known = _shipped()
    try:
        path = Path(scenario).expanduser()
    except RuntimeError:
        raise ScenarioError(f"{scenario}: unknown user after '~'") from None
    if base is not None and not path.is_absolute():
        path = base / path
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ScenarioError(f"{scenario}: no such file")
    if scenario in known:
        return known[scenario]
    if path.is_file():
        return path
    raise ScenarioError(
        f"{scenario}: neither a shipped scenario nor a file{nearest(scenario, known)} (shipped: {', '.join(presets())})"
    )


def load(scenario: str | Path, overrides: Mapping[str, Any] | None = None) -> Document:
    """Load a scenario, with `extends` and changed values, and check it. Raises `ScenarioError`.

    `overrides` maps dotted paths to values, as for `--set`. A relative path of an input file starts from the folder of
    the file that contains it; in an override or a shipped scenario, from the current folder.
    """
    path = find(str(scenario))
    read = extended(path)
    for key, value in (overrides or {}).items():
        override(read, key, value)
    return validated(read, str(path))


def extended(path: Path, text: str | None = None) -> Read:
    """A file merged over the files that it extends, not checked yet. Raises `ScenarioError`.

    `text` stands for the content of the file, which need not exist then.
    """
    laid: dict[Path, Read] = {}
    _lay(path, (), laid, text)
    merged = Read({})
    for file, read in laid.items():
        changed = _set(merged, read, str(file))
        _require_known(blanks(merged.data, read.data), merged.data, read, str(file))
        merged.data = laid_over(merged.data, read.data)
        for parts, place in changed.items():
            if _starts(read.data, parts):
                raise ScenarioError(f"{place} {dotted(parts)}: has no effect, as the file writes this value itself")
        merged.places.update(read.places)
    return merged


def _set(merged: Read, read: Read, label: str) -> dict[KeyPath, str]:
    """Change single values of the files below (`merged`), as a file says under `set`; paths with their places.

    Raises `ScenarioError`.
    """
    changes = read.data.pop(SET, {})
    place = read.places.get((SET,), label)
    if not isinstance(changes, dict) or not all(isinstance(key, str) for key in changes):
        raise ScenarioError(f"{place}: {SET}: expected values by path, such as 'fields.virus.decay: 0.01 /min'")
    if changes and not merged.data:
        raise ScenarioError(f"{place}: {SET}: changes values of the files under 'extends', of which there are none")
    places = {key: f"{read.places.get((SET, key), label)}: {SET}" for key in changes}
    for key, value in changes.items():
        override(merged, key, value, places[key])
    return {_parts(key, place): place for key, place in places.items()}


def _starts(data: Any, path: KeyPath) -> bool:
    """Whether data has a value at a path, or one that is no mapping on the way to it."""
    here = data
    for part in path:
        if not isinstance(here, dict):
            return True
        if part not in here:
            return False
        here = here[part]
    return True


def _lay(path: Path, chain: tuple[Path, ...], laid: dict[Path, Read], text: str | None = None) -> None:
    """Add the files that a file extends, and then the file, to `laid`; `chain` is the path of `extends` to it.

    Each file is added once, because a base of two files must not undo the changes of the first.
    """
    real = path.resolve()
    if real in chain:
        raise ScenarioError(f"{path}: 'extends' leads back to itself: {' -> '.join(p.name for p in (*chain, real))}")
    if real in laid:
        return
    if len(chain) + len(laid) >= _MOST_FILES:
        raise ScenarioError(f"{path}: 'extends' leads to more than {_MOST_FILES} files")
    read = read_file(path) if text is None else read_text(text, str(path))
    _place_members(read)
    if path not in _shipped().values():
        _anchor(read.data, path.parent)
    bases = read.data.pop("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    place = read.places.get(("extends",), str(path))
    if not isinstance(bases, list) or not all(isinstance(b, str) for b in bases):
        raise ScenarioError(f"{place}: extends: expected a name, a file or a list of them")
    for base in bases:
        try:
            found = find(base, path.parent)
        except ScenarioError as error:
            raise ScenarioError(f"{place}: extends: {error}") from None
        _lay(found, (*chain, real), laid)
    laid[real] = read


def _anchor(data: dict[str, Any], folder: Path) -> None:
    """Make relative paths of input files start from `folder`."""
    for holder, key in list(inputs.places(data)):
        holder[key] = str((folder / holder[key]).absolute())


def merge(base: Any, top: Any, path: KeyPath = ()) -> Any:
    """`top` merged over `base`: mappings are merged, groups joined, other values replaced, keys with a blank removed.

    `path` is the path of both in the scenario.
    """
    if path[:-1] == (GROUPS,):
        return _joined(base, top)
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    merged = dict(base)
    for key, value in top.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged[key], value, (*path, key)) if key in merged else value
    return merged


def laid_over(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """A scenario merged over another one; numbers that `top` writes do not keep the sources of the former ones."""
    merged: dict[str, Any] = merge(base, top)
    _put_sources(merged, sources.lay_over(_sources(base), top))
    return merged


def _sources(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The sources in unchecked data."""
    found = data.get(sources.SOURCES)
    return found if isinstance(found, Mapping) else {}


def _put_sources(data: dict[str, Any], found: dict[str, Any]) -> None:
    """Replace the sources in data, unless they are none by their form, which the schema reports."""
    if not isinstance(data.get(sources.SOURCES, {}), Mapping):
        return
    if found:
        data[sources.SOURCES] = found
    else:
        data.pop(sources.SOURCES, None)


def _joined(base: Any, top: Any) -> Any:
    """The members of a group in two files, each once."""
    base, top = ([each] if isinstance(each, str) else each for each in (base, top))
    if not (isinstance(base, list) and isinstance(top, list)):
        return top
    return [*base, *(member for member in top if member not in base)]


def _place_members(read: Read) -> None:
    """Make the members of groups known by name, because their numbers change when files are merged."""
    for path, place in list(read.places.items()):
        if path[0:1] == (GROUPS,) and len(path) == 3:
            member = read.data[GROUPS][path[1]][path[2]]
            if isinstance(member, str):
                read.places[(*path[:2], member)] = place


def blanks(base: Any, top: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Paths of blanks in `top` for keys that `base` does not have."""
    if isinstance(base, dict) and isinstance(top, dict):
        for key, value in top.items():
            if value is None and key not in base:
                yield (*path, key)
            elif key in base:
                yield from blanks(base[key], value, (*path, key))


def _require_known(taken: Iterable[KeyPath], data: Any, read: Read, label: str, above: KeyPath = ()) -> None:
    """Raise `ScenarioError` unless the keys to be removed (`taken`) exist in `data`, or are optional.

    `above` is the path of the data in `read`; `label` names the file if a position is not known.
    """
    for path in taken:
        full = (*above, *path)
        # Keys under `sites` are merged over those of the scenario later.
        if path[0] == "sites" or path[-1] in known_keys(full[:-1]):
            continue
        here = data
        for part in path[:-1]:
            here = here[part]
        close = nearest(str(path[-1]), map(str, here))
        raise ScenarioError(
            f"{_place(read, full, label)}: {dotted(full)}: is blank, but there is no such key to remove{close}"
        )


def override(read: Read, key: str, value: Any, place: str = "--set") -> None:
    """Set the value at a dotted path such as `rules.infection.rate` or `rules.infection.modulators[0].half`.

    `place` is the position that messages give.
    """
    parts = _parts(key, place)
    here: Any = read.data
    for i, part in enumerate(parts[:-1]):
        if isinstance(part, int):
            here = _item(here, part, key, place)
        elif isinstance(here, dict):
            if part not in here:
                here[part] = [] if isinstance(parts[i + 1], int) else {}
                read.places[parts[: i + 1]] = place
            here = here[part]
        else:
            raise ScenarioError(f"{place} {key}: {dotted(parts[:i])} has no keys")
    if parts[0] != sources.SOURCES:
        _put_sources(read.data, sources.without(_sources(read.data), [dotted(parts)]))
    last = parts[-1]
    if isinstance(last, int):
        _item(here, last, key, place)
        here[last] = value
    elif isinstance(here, dict):
        if value is None and last not in here and _unfilled(read.data) and parts[0] == "sites":
            here[last] = None  # for the scenario's own tissue, over which it is merged later
        elif value is None:
            read.places[parts] = place
            _require_known([] if last in here else [parts], read.data, read, place)
            here.pop(last, None)
        else:
            here[last] = value
    else:
        raise ScenarioError(f"{place} {key}: {dotted(parts[:-1])} has no keys")
    read.places[parts] = place


def pass_through(read: Read, times: Iterable[str]) -> None:
    """Add times that the time steps of an unchecked scenario must divide."""
    time = read.data.setdefault("time", {})
    if isinstance(time, dict) and (more := list(dict.fromkeys(times))):
        time["at"] = [*(time.get("at") or ()), *more]


def _item(here: Any, index: int, key: str, place: str) -> Any:
    if not isinstance(here, list) or not 0 <= index < len(here):
        found = f"a list of {len(here)} items" if isinstance(here, list) else "not a list"
        raise ScenarioError(f"{place} {key}: there is no item [{index}] ({found})")
    return here[index]


def _parts(key: str, place: str) -> KeyPath:
    parts: list[str | int] = []
    for piece in key.split("."):
        name, *indices = piece.replace("]", "").split("[")
        if not name or not all(i.isdigit() for i in indices):
            raise ScenarioError(f"{place} {key}: expected a path such as 'fields.virus.decay'")
        parts += [name, *map(int, indices)]
    return tuple(parts)


def parse_set(text: str) -> tuple[str, Any]:
    """Path and value from the text `"path=value"` of the command line."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError(f"--set {text}: expected path=value, such as fields.virus.decay='0.01 /min'")
    return key.strip(), read_value(value)


def validated(read: Read, label: str) -> Document:
    """Check data against the schema and for consistency; raises `ScenarioError` with all problems."""
    _fill_in_sites(read, label)
    return checked(
        Document, read, label, lambda document: [*problems(document), *numbers.problems(document)] or misspelt(document)
    )


def checked(schema: type[Checked], read: Read, label: str, problems: Callable[[Checked], Iterable[Problem]]) -> Checked:
    """Check data against a schema, and the result with `problems`; raises `ScenarioError` with all problems."""
    try:
        document = schema.model_validate(read.data, context={RATIOS: _ratios(read.data)})
    except ValidationError as error:
        errors = [(_path(e["loc"], read.data, e["type"] == "missing"), dict(e)) for e in error.errors()]
        found = [(path, _message(e, schema)) for path, e in _merged(errors)]
    else:
        found = list(problems(document))
    if found:
        lines = list(dict.fromkeys(f"{_place(read, path, label)}: {dotted(path)}: {m}" for path, m in found))
        shown = [line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "..." for line in lines]
        more = [f"and {len(lines) - _MOST_PROBLEMS} more"] if len(lines) > _MOST_PROBLEMS else []
        raise ScenarioError("\n".join(shown[:_MOST_PROBLEMS] + more))
    return document


def _ratios(data: dict[str, Any]) -> dict[str, str]:
    """The ratios to PFU in a scenario; the schema reports errors in them."""
    try:
        stated = Titres.model_validate(data.get("units", {}))
    except ValidationError:
        return {}
    return {name: str(ratio) for name, ratio in stated.model_dump(exclude_none=True).items()}


def _fill_in_sites(read: Read, label: str) -> None:
    """Merge the grid and tissue of each site over those of the scenario, which are then removed."""
    data = read.data
    sites = data.get("sites")
    if not isinstance(sites, dict) or not sites:
        return
    shared = {key: data.pop(key) for key in SITE_KEYS if key in data}
    for name, site in sites.items():
        _require_known(blanks(shared, site), shared, read, label, ("sites", name))
    _put_sources(data, sources.of_sites(_sources(data), SITE_KEYS, sites))
    data["sites"] = {name: merge(shared, site or {}) for name, site in sites.items()}


def _unfilled(data: dict[str, Any]) -> bool:
    """Whether the scenario's grid and tissue have not been merged into the sites yet."""
    return any(key in data for key in SITE_KEYS)


def _place(read: Read, path: KeyPath, label: str) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in read.places:
            return read.places[path[:length]]
    return label


def _path(loc: tuple[int | str, ...], data: Any, missing: bool) -> KeyPath:
    """The path in the data that corresponds to a location of pydantic, without the tags of unions.

    The last part does not exist in the data if it is `missing`.
    """
    path: list[str | int] = []
    here = data
    for i, part in enumerate(loc):
        last = i == len(loc) - 1
        if isinstance(here, dict) and (part in here or (missing and last)):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and (part < len(here) or (missing and last)):
            here = here[part] if part < len(here) else None
        else:
            continue
        path.append(part)
    return tuple(path)


_TYPES = {
    "string_type": "text",
    "float_type": "a number",
    "quantity_type": "a number or a quantity",
    "tuple_type": "a list",
    "dict_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "model_attributes_type": "a table of keys and values",
}
"""What is expected, by the types of pydantic's errors."""


def _merged(errors: list[tuple[KeyPath, dict[str, Any]]]) -> list[tuple[KeyPath, dict[str, Any]]]:
    """Errors of which the two of a value that is neither a number nor a text are one."""
    types: dict[KeyPath, set[str]] = {}
    for path, error in errors:
        types.setdefault(path, set()).add(error["type"])
    return [
        (path, error | {"type": "quantity_type"} if types[path] >= {"float_type", "string_type"} else error)
        for path, error in errors
    ]


def _message(error: dict[str, Any], schema: type[BaseModel]) -> str:
    kind, loc, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == "extra_forbidden":
        if loc[-1] == "source":
            return f"unknown key; sources of numbers are given under '{sources.SOURCES}', by the paths of the numbers"
        return f"unknown key{_nearest_key(loc, schema)}"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        if context["pattern"] == TITLE:
            return f"{error['input']!r} is not a valid title: at most 80 letters, digits and _ .+-, no dot first"
        return f"{error['input']!r} is not a valid name: at most 40 letters, digits and _, a letter first"
    if kind == "too_short":
        return f"expected one or more, found {error['input']!r}"
    if kind == "union_tag_not_found":
        return f"expected a 'kind', one of {_KINDS_IN_WORDS}"
    if kind == "union_tag_invalid":
        return f"unknown kind {context['tag']!r}{nearest(context['tag'], KINDS)} (known: {_KINDS_IN_WORDS})"
    if kind == "value_error":
        return str(context["error"])
    message = f"expected {_TYPES[kind]}" if kind in _TYPES else f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return f"{message}, found {'a table' if isinstance(error['input'], dict) else repr(error['input'])}"


def _nearest_key(loc: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    """Suggestion for an unknown key, from the model at this position of the schema."""
    known = known_keys(loc[:-1], schema)
    close = nearest(str(loc[-1]), known)
    if not close and "modulators" in known and loc[-1] in known_keys((*loc[:-1], "modulators"), schema):
        return f" (it is one of a modulator: {'.'.join(map(str, loc[:-1]))}.modulators[0].{loc[-1]})"
    return close or (f" (known: {', '.join(known)})" if known else "")
