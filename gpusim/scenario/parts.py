"""What the files of the library say of themselves."""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from gpusim.scenario.reading import KeyPath, dotted


def head(path: Path) -> str:
    """The comment at the head of a file."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)


def about(path: Path) -> str:
    """The first sentence of the comment at the head of a file, without its full stop."""
    return head(path).split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")


def contents(data: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
    """Names that the data of a file define, by key, and paths that they only remove; without sources."""
    defined: dict[str, list[str]] = {}
    removed: list[str] = []
    for key, content in data.items():
        if key == "sources":
            continue
        if not isinstance(content, dict):
            defined[key] = [str(each) for each in content] if isinstance(content, list) else [str(content)]
            continue
        for name, value in content.items():
            leaves = list(_leaves(value, (key, name)))
            if all(leaf is None for _, leaf in leaves):
                removed += [dotted(path) for path, _ in leaves]
            else:
                defined.setdefault(key, []).append(name)
    return defined, removed


def _leaves(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if not isinstance(data, dict) or not data:
        yield path, data
        return
    for key, value in data.items():
        yield from _leaves(value, (*path, key))
