"""Reading of YAML text to plain data, with the line of each value."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gpusim.errors import ScenarioError

_MOST_BYTES = 500_000
_DEEPEST = 40

KeyPath = tuple[str | int, ...]


@dataclass
class Read:
    """Plain data, and the position of each path in it."""

    data: dict[str, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e6 is a number, as in YAML 1.2, and `yes` and `on` are words.

    Aliases are errors, because a few of them can create an exponential amount of data.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not supported; use 'extends'", event.start_mark
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
    list("-+.0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads as the same; items of lists stand to the right of their key."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


class _Writer(yaml.SafeDumper):
    """Quotes each text that `_Loader` or a reader of YAML 1.1 would take for something else."""


_Writer.yaml_implicit_resolvers = {
    first: [*yaml.SafeLoader.yaml_implicit_resolvers.get(first, ()), *_Loader.yaml_implicit_resolvers.get(first, ())]
    for first in {**yaml.SafeLoader.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}
}


def compose(text: str) -> yaml.Node | None:
    """The nodes of one YAML text with their positions; None of a text without a value. Raises `yaml.YAMLError`."""
    return yaml.compose(text, _Loader)


def dumped(node: yaml.Node) -> str:
    """A node as text, with its styles, in lines as long as necessary."""
    return yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=math.inf)


def as_text(value: Any, width: float = 100) -> str:
    """Plain data as YAML in lines, which `read_text` reads as the same."""
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=width)


def as_line(value: Any) -> str:
    """Plain data as YAML in one line, which `read_value` reads as the same."""
    text = yaml.dump(
        value, Dumper=_Writer, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return text.removesuffix("\n").removesuffix("\n...")


def read_value(text: str) -> Any:
    """The plain value of one YAML text, as in `--set path=value`."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def read_file(path: Path) -> Read:
    """Read a YAML file; raises `ScenarioError` naming file and line."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ScenarioError(f"{path}: {size} bytes; expected at most {_MOST_BYTES}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    return read_text(text, str(path))


def read_text(text: str, label: str) -> Read:
    """Read YAML text; `label` names it in messages."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ScenarioError(f"{label}: the file is empty; expected a scenario")
        read = Read({})
        for path, number in _walk(node, label):
            read.places[path] = f"{label}:{number}"
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ScenarioError(f"{label}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{label}: not YAML: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise ScenarioError(f"{label}: expected a mapping of keys such as 'fields:', found a {_kind(data)}")
    read.data = data
    return read


def _walk(node: yaml.Node, label: str, path: KeyPath = ()) -> Iterator[tuple[KeyPath, int]]:
    line = node.start_mark.line + 1
    if len(path) > _DEEPEST:
        raise ScenarioError(f"{label}:{line}: nested deeper than {_DEEPEST}")
    yield path, line
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ScenarioError(f"{label}:{at}: expected a plain word as key")
            if key.value in seen:
                raise ScenarioError(f"{label}:{at}: {dotted((*path, key.value))}: duplicate key")
            seen.add(key.value)
            for inner, inner_line in _walk(value, label, (*path, key.value)):
                yield inner, at if inner == (*path, key.value) else inner_line
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _walk(item, label, (*path, i))


def dotted(path: KeyPath) -> str:
    """`('rules', 'infection', 'modulators', 0)` as `rules.infection.modulators[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _kind(value: Any) -> str:
    return {list: "list", str: "text", type(None): "blank"}.get(type(value), type(value).__name__)
