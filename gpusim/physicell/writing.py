"""A scenario as YAML with comments: blocks down to a place, one line from there on."""

from collections.abc import Mapping
from typing import Any

from gpusim.scenario.reading import as_line

Path = tuple[str, ...]
_WIDTH = 118


def text(document: Mapping[str, Any], comments: Mapping[Path, str], head: str) -> str:
    """The text of a document; `comments` stand above their key, `head` on top."""
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for key, value in document.items():
        if lines:
            lines.append("")
        lines += _entry(key, value, (key,), comments)
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, path: Path, comments: Mapping[Path, str]) -> list[str]:
    indent = "  " * (len(path) - 1)
    above = [f"{indent}# {line}".rstrip() for line in comments.get(path, "").splitlines()]
    line = f"{indent}{as_line(key)}: {as_line(value)}"
    commented = any(other[: len(path)] == path and len(other) > len(path) for other in comments)
    if isinstance(value, dict) and value and (len(line) > _WIDTH or commented or len(path) == 1):
        inner = [each for name, item in value.items() for each in _entry(str(name), item, (*path, str(name)), comments)]
        return [*above, f"{indent}{as_line(key)}:", *inner]
    if isinstance(value, list) and value and len(line) > _WIDTH:
        return [*above, f"{indent}{as_line(key)}:", *(part for item in value for part in _item(item, f"{indent}  "))]
    return [*above, line]


def _item(item: Any, indent: str) -> list[str]:
    """An entry of a list, on one line if it fits."""
    line = f"{indent}- {as_line(item)}"
    if not isinstance(item, dict) or len(line) <= _WIDTH:
        return [line]
    found = []
    for key, value in item.items():
        short = f"{indent}  {as_line(key)}: {as_line(value)}"
        if isinstance(value, list) and len(short) > _WIDTH:
            found += [f"{indent}  {as_line(key)}:", *(f"{indent}    - {as_line(each)}" for each in value)]
        else:
            found.append(short)
    found[0] = f"{indent}- {found[0].lstrip()}"
    return found
