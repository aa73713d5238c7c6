"""From a name or a file to checked data: `extends`, overrides, and messages that say where."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gpusim.errors import ScenarioError
from gpusim.scenario import inputs
from gpusim.scenario.checks import Problem, nearest, problems
from gpusim.scenario.reading import KeyPath, Read, dotted, read_file, read_value
from gpusim.scenario.schema import KINDS, Document, Site, Titres, known_keys
from gpusim.scenario.usage import misspelt
from gpusim.units import RATIOS

_MOST_FILES = 40
_MOST_PROBLEMS = 20
_LONGEST_MESSAGE = 400
SITE_KEYS = tuple(Site.model_fields)
_KINDS_IN_WORDS = ", ".join(KINDS)

Checked = TypeVar("Checked", bound=BaseModel)


def presets() -> dict[str, Path]:
    """Shipped scenarios by name."""
    folder = Path(str(resources.files("gpusim") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def library() -> dict[str, dict[str, Path]]:
    """Shipped parts that scenarios extend, by kind ("viruses") and name."""
    folder = Path(str(resources.files("gpusim") / "presets" / "library"))
    return {kind.name: {path.stem: path for path in sorted(kind.glob("*.yaml"))} for kind in sorted(folder.iterdir())}


def _shipped() -> dict[str, Path]:
    """Scenarios and parts by name."""
    return {name: path for group in ({"scenarios": presets()} | library()).values() for name, path in group.items()}


def about(path: Path) -> str:
    """What a file of the library says of itself in its first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").rstrip(".\n ")


def find(scenario: str, base: Path | None = None) -> Path:
    """The file of a shipped name or of a path (relative to `base`, where an `extends` stands)."""
    known = _shipped()
    try:
        path = Path(scenario).expanduser()
    except RuntimeError:
        raise ScenarioError(f"{scenario}: there is no such user, whose folder '~' stands for") from None
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
    """Load, extend, override, check. Raises `ScenarioError`.

    `overrides` are dotted paths to values, as `--set` takes them. A relative path to a table starts
    from the folder of the file that names it; in an override or a shipped scenario, from the current
    one.
    """
    path = find(str(scenario))
    read = extended(path)
    for key, value in (overrides or {}).items():
        override(read, key, value)
    return validated(read, str(path))


def extended(path: Path) -> Read:
    """A file laid over what it extends, not checked yet. Raises `ScenarioError`."""
    laid: dict[Path, Read] = {}
    _lay(path, (), laid)
    merged = Read({})
    for file, read in laid.items():
        _require_known(blanks(merged.data, read.data), merged.data, read, str(file))
        merged.data = merge(merged.data, read.data)
        merged.places.update(read.places)
    return merged


def _lay(path: Path, chain: tuple[Path, ...], laid: dict[Path, Read]) -> None:
    """Put what a file extends and then the file on `laid`; `chain` leads to it.

    Each file is laid once: a base that two files share must not take back what the first of them changed.
    """
    real = path.resolve()
    if real in chain:
        raise ScenarioError(f"{path}: 'extends' leads back to itself: {' -> '.join(p.name for p in (*chain, real))}")
    if real in laid:
        return
    if len(chain) + len(laid) >= _MOST_FILES:
        raise ScenarioError(f"{path}: 'extends' leads to more than {_MOST_FILES} files")
    read = read_file(path)
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
    """Let the relative paths of input files start from `folder`."""
    for holder, key in list(inputs.places(data)):
        holder[key] = str((folder / holder[key]).absolute())


def merge(base: Any, top: Any) -> Any:
    """`top` laid over `base`: mappings merge, anything else replaces, a blank takes away."""
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    merged = dict(base)
    for key, value in top.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged[key], value) if key in merged else value
    return merged


def blanks(base: Any, top: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Where `top` is blank, to take something of `base` away that is not there."""
    if isinstance(base, dict) and isinstance(top, dict):
        for key, value in top.items():
            if value is None and key not in base:
                yield (*path, key)
            elif key in base:
                yield from blanks(base[key], value, (*path, key))


def _require_known(taken: Iterable[KeyPath], data: Any, read: Read, label: str, above: KeyPath = ()) -> None:
    """Raise `ScenarioError` unless all that is to be `taken` away from `data` is there, or may be left out.

    `above` is the path of the data in what was `read`; `label` names it where a place is not known.
    """
    for path in taken:
        full = (*above, *path)
        # What stands under `sites` is laid over the scenario's own later.
        if path[0] == "sites" or path[-1] in known_keys(full[:-1]):
            continue
        here = data
        for part in path[:-1]:
            here = here[part]
        close = nearest(str(path[-1]), map(str, here))
        raise ScenarioError(f"{_place(read, full, label)}: {dotted(full)}: is blank, with nothing to leave out{close}")


def override(read: Read, key: str, value: Any, place: str = "--set") -> None:
    """Set the value at a dotted path such as `rules.infection.rate` or `rules.infection.modulators[0].half`.

    `place` is where a message says that it was written.
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
            raise ScenarioError(f"{place} {key}: {dotted(parts[:i])} has no keys of its own")
    last = parts[-1]
    if isinstance(last, int):
        _item(here, last, key, place)
        here[last] = value
    elif isinstance(here, dict):
        if value is None and last not in here and _unfilled(read.data) and parts[0] == "sites":
            here[last] = None  # of the scenario's own tissue, which is laid under this one later
        elif value is None:
            read.places[parts] = place
            _require_known([] if last in here else [parts], read.data, read, place)
            here.pop(last, None)
        else:
            here[last] = value
    else:
        raise ScenarioError(f"{place} {key}: {dotted(parts[:-1])} has no keys of its own")
    read.places[parts] = place


def pass_through(read: Read, times: Iterable[str]) -> None:
    """Let the steps of a scenario that is not checked yet divide some more times."""
    time = read.data.setdefault("time", {})
    if isinstance(time, dict) and (more := list(dict.fromkeys(times))):
        time["at"] = [*(time.get("at") or ()), *more]


def _item(here: Any, index: int, key: str, place: str) -> Any:
    if not isinstance(here, list) or not 0 <= index < len(here):
        found = f"a list of {len(here)}" if isinstance(here, list) else "no list"
        raise ScenarioError(f"{place} {key}: there is no [{index}] ({found})")
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
    """`"path=value"` of the command line to path and value."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ScenarioError(f"--set {text}: expected path=value, such as fields.virus.decay='0.01 /min'")
    return key.strip(), read_value(value)


def validated(read: Read, label: str) -> Document:
    """Check data against the schema and against itself; raises `ScenarioError` with every problem."""
    _fill_in_sites(read, label)
    return checked(Document, read, label, lambda document: [*problems(document)] or misspelt(document))


def checked(schema: type[Checked], read: Read, label: str, problems: Callable[[Checked], Iterable[Problem]]) -> Checked:
    """Check data against a schema, and what it makes against `problems`; raises `ScenarioError` with every problem."""
    try:
        document = schema.model_validate(read.data, context={RATIOS: _ratios(read.data)})
    except ValidationError as error:
        found = [
            (_path(e["loc"], read.data, e["type"] == "missing"), _message(dict(e), schema)) for e in error.errors()
        ]
    else:
        found = list(problems(document))
    if found:
        lines = list(dict.fromkeys(f"{_place(read, path, label)}: {dotted(path)}: {m}" for path, m in found))
        shown = [line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "..." for line in lines]
        more = [f"and {len(lines) - _MOST_PROBLEMS} more"] if len(lines) > _MOST_PROBLEMS else []
        raise ScenarioError("\n".join(shown[:_MOST_PROBLEMS] + more))
    return document


def _ratios(data: dict[str, Any]) -> dict[str, str]:
    """The ratios to PFU that a scenario states; what is wrong with them, the schema says."""
    try:
        stated = Titres.model_validate(data.get("units", {}))
    except ValidationError:
        return {}
    return {name: str(ratio) for name, ratio in stated.model_dump(exclude_none=True).items()}


def _fill_in_sites(read: Read, label: str) -> None:
    """Let each site have the scenario's grid and tissue, with its own laid over them; the scenario's are then gone."""
    data = read.data
    sites = data.get("sites")
    if not isinstance(sites, dict) or not sites:
        return
    shared = {key: data.pop(key) for key in SITE_KEYS if key in data}
    for name, site in sites.items():
        _require_known(blanks(shared, site), shared, read, label, ("sites", name))
    data["sites"] = {name: merge(shared, site or {}) for name, site in sites.items()}


def _unfilled(data: dict[str, Any]) -> bool:
    """Whether the sites do not have the scenario's grid and tissue yet."""
    return any(key in data for key in SITE_KEYS)


def _place(read: Read, path: KeyPath, label: str) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in read.places:
            return read.places[path[:length]]
    return label


def _path(loc: tuple[int | str, ...], data: Any, missing: bool) -> KeyPath:
    """The part of a pydantic location that is a path in the data: the tags of unions are not.

    The last one is not there where it is what is `missing`.
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


def _message(error: dict[str, Any], schema: type[BaseModel]) -> str:
    kind, loc, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_nearest_key(loc, schema)}"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        if loc == ("name",) or loc[0] == "trial":
            return f"{error['input']!r} is not a title: letters, digits and _ .+-, 80 at the most, no dot first"
        return f"{error['input']!r} is not a name: letters, digits and _, 40 at the most, a letter first"
    if kind == "union_tag_not_found":
        return f"expected a 'kind', one of {_KINDS_IN_WORDS}"
    if kind == "union_tag_invalid":
        return f"unknown kind {context['tag']!r}{nearest(context['tag'], KINDS)} (known: {_KINDS_IN_WORDS})"
    message = str(context["error"]) if kind == "value_error" else error["msg"]
    if kind == "value_error" or isinstance(error["input"], dict):
        return message
    return f"{message[0].lower()}{message[1:]}, found {error['input']!r}"


def _nearest_key(loc: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    """Suggestion for an unknown key from the model that stands at its place in the schema."""
    known = known_keys(loc[:-1], schema)
    close = nearest(str(loc[-1]), known)
    return close or (f"; known here: {', '.join(known)}" if known else "")
