"""Changes to single values of a YAML text, which keep its other lines as they are, comments included."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from gpusim.scenario.reading import KeyPath, compose, dumped

_WIDTH = 110
"""Longest line of a collection that is written in one line."""


class SpliceError(ValueError):
    """A path does not lead to a value of the text."""


def put(text: str, path: KeyPath, value: str, order: Sequence[str] = ()) -> str:
    """The text with a value at a path; tables on the way that are missing are created.

    Args:
        text: YAML, of which the root is a table, or nothing.
        path: keys and positions in lists; a position behind the last item of a list appends.
        value: YAML of the value, which is written as it is if it is a single word or number.
        order: keys of the root in the order in which new ones are placed.

    Raises:
        SpliceError: the path leads through a value that is neither a table nor a list.
        yaml.YAMLError: the text or the value is not YAML.
    """
    given = compose(value)
    new = given if given is not None else yaml.ScalarNode("tag:yaml.org,2002:null", "")
    root = compose(text)
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        return _joined(text, _lines(_nested(path, new), 0))
    return _put(text, root, path, new, order)


def remove(text: str, path: KeyPath) -> str:
    """The text without a key or an item, and without the tables that are then empty.

    Raises `SpliceError` if there is no such value.
    """
    root = compose(text)
    if root is None:
        raise SpliceError("the text is empty")
    way = _way(root, path)
    if len(way) <= len(path):
        raise SpliceError(f"no value at {path}")
    depth = len(path) - 1  # of the collection from which something goes
    while depth > 0 and len(way[depth].value) == 1:
        depth -= 1
    holder, place = way[depth], _place(way[depth], path[depth])
    if any(_is_flow(node) for node in way[: depth + 1]):
        del holder.value[place]
        return _replaced(text, way, depth, path)
    entry = holder.value[place]
    first, last = entry if isinstance(entry, tuple) else (entry, entry)
    start = text.rfind("\n", 0, first.start_mark.index) + 1
    if text[start : first.start_mark.index].count("-") > isinstance(holder, yaml.SequenceNode):
        # The first key or item of an item of a list stands behind its dash.
        del holder.value[place]
        return _replaced(text, way, depth, path)
    return text[:start] + text[_end_of_line(text, _end(text, last)) + 1 :]


def _put(text: str, root: yaml.Node, path: KeyPath, new: yaml.Node, order: Sequence[str]) -> str:
    way = _way(root, path)
    old = way[-1]
    depth = len(way) - 1
    if depth == len(path):
        if isinstance(old, yaml.ScalarNode) and isinstance(new, yaml.ScalarNode) and old.style not in ("|", ">"):
            gap = "" if old.value or old.style or not depth else " "
            return text[: old.start_mark.index] + gap + _inline(new) + text[old.end_mark.index :]
        _exchange(way, path, new)
        return _replaced(text, [*way[:-1], new], depth, path, old)
    added = _nested(path[depth + 1 :], new)
    if isinstance(old, yaml.ScalarNode) and old.tag.endswith(":null"):
        filled = _nested(path[depth:], new)
        _exchange(way, path, filled)
        return _replaced(text, [*way[:-1], filled], depth, path, old)
    _add(old, path[depth], added, order if depth == 0 else ())
    if any(_is_flow(node) for node in way) or not old.value[1:]:
        return _replaced(text, way, depth, path)
    entries = old.value
    place = next(i for i, each in enumerate(entries) if added in (each if isinstance(each, tuple) else (each,)))
    column = entries[0 if place else 1][0].start_mark.column if isinstance(old, yaml.MappingNode) else None
    if column is None:
        column = old.start_mark.column
    lines = _entry(path[depth], added, column)
    if place == 0:
        start = text.rfind("\n", 0, old.start_mark.index) + 1
        return text[:start] + lines + text[start:]
    before = entries[place - 1]
    end = _end_of_line(text, _end(text, before[1] if isinstance(before, tuple) else before))
    return _joined(text[:end], lines) + text[end + 1 :]


def _way(root: yaml.Node, path: KeyPath) -> list[yaml.Node]:
    """The nodes along a path, as far as there are any."""
    way = [root]
    for part in path:
        here = way[-1]
        if isinstance(here, yaml.ScalarNode):
            if here.tag.endswith(":null"):
                break
            raise SpliceError(f"{part}: the value above it is neither a table nor a list")
        place = _place(here, part)
        if place is None:
            break
        entry = here.value[place]
        way.append(entry[1] if isinstance(entry, tuple) else entry)
    return way


def _place(node: yaml.Node, part: str | int) -> int | None:
    """The position of a key or an item in a collection."""
    if isinstance(node, yaml.MappingNode):
        return next((i for i, (key, _) in enumerate(node.value) if key.value == str(part)), None)
    if not isinstance(part, int):
        raise SpliceError(f"{part}: expected a position in a list")
    return part if part < len(node.value) else None


def _add(node: yaml.Node, part: str | int, new: yaml.Node, order: Sequence[str]) -> None:
    if isinstance(node, yaml.SequenceNode):
        node.value.append(new)
        return
    names = [key.value for key, _ in node.value]
    before = order[: order.index(str(part))] if part in order else names
    place = max((i + 1 for i, name in enumerate(names) if name in before or name not in order), default=0)
    node.value.insert(place, (_key(part), new))


def _exchange(way: Sequence[yaml.Node], path: KeyPath, new: yaml.Node) -> None:
    """Replace the last node of a way by a new one in the collection above it."""
    if len(way) > 1:
        holder, place = way[-2], _place(way[-2], path[len(way) - 2])
        entry = holder.value[place]
        holder.value[place] = (entry[0], new) if isinstance(entry, tuple) else new


def _replaced(text: str, way: Sequence[yaml.Node], depth: int, path: KeyPath, old: yaml.Node | None = None) -> str:
    """The text with the changed node of a way written anew, or the outermost collection in one line that contains it.

    `old` is what stands in the text instead of the node at `depth`, if it is new.
    """
    outer = next((i for i, node in enumerate(way[:depth]) if _is_flow(node)), depth)
    node = way[outer]
    stood = old if old is not None and outer == depth else node
    if outer == 0:
        return _lines(node, 0)
    start, end = stood.start_mark.index, _end(text, stood)
    holder = way[outer - 1]
    if isinstance(holder, yaml.MappingNode):
        key = holder.value[_place(holder, path[outer - 1])][0]
        start = text.index(":", key.end_mark.index) + 1
        return text[:start] + _behind(node, key.start_mark.column) + text[end:]
    return text[:start] + _lines(node, stood.start_mark.column).strip() + text[end:]


def _nested(path: KeyPath, new: yaml.Node) -> yaml.Node:
    """A value in a table for each key of a path."""
    for part in reversed(path):
        if isinstance(part, int):
            new = yaml.SequenceNode("tag:yaml.org,2002:seq", [new])
        else:
            new = yaml.MappingNode("tag:yaml.org,2002:map", [(_key(part), new)])
    return new


def _key(part: str | int) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", str(part))


def _entry(part: str | int, new: yaml.Node, column: int) -> str:
    """The lines of an entry of a table or a list that starts in a column."""
    if isinstance(part, int):
        return f"{' ' * column}- {_lines(new, column + 2).strip()}\n"
    return f"{' ' * column}{_inline(_key(part))}:{_behind(new, column)}\n"


def _behind(new: yaml.Node, column: int) -> str:
    """What stands behind the colon of a key in a column."""
    if isinstance(new, yaml.ScalarNode):
        return f" {_inline(new)}".rstrip()
    lines = _lines(new, column + 2)
    return f" {lines.strip()}" if _one_line(new, lines) else f"\n{lines.rstrip()}"


def _one_line(node: yaml.Node, lines: str) -> bool:
    return _is_flow(node) and "\n" not in lines.strip()


def _inline(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode) and "\n" in node.value:
        node.style = '"'
    return dumped(node).removesuffix("...\n").strip()


def _lines(node: yaml.Node, column: int) -> str:
    """A node from a column on: tables of single values and short lists in one line, others with a line an entry."""
    if not isinstance(node, yaml.CollectionNode):
        return " " * column + _inline(node)
    _style(node, column)
    node.flow_style = node.flow_style and column > 0
    return re.sub(r"^(?=.)", " " * column, dumped(node), flags=re.MULTILINE)


def _style(node: yaml.Node, column: int) -> None:
    if not isinstance(node, yaml.CollectionNode):
        return
    inner = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
    leaf = all(_is_row(part) for part in inner)
    node.flow_style = True
    node.flow_style = leaf and column + len(dumped(node)) <= _WIDTH
    for part in inner:
        _style(part, column + 2)


def _is_row(node: yaml.Node) -> bool:
    """Whether a node is a single value or a list of single values."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    single = all(isinstance(each, yaml.ScalarNode) for each in items)
    return isinstance(node, yaml.ScalarNode) or not node.value or (bool(items) and single)


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _end(text: str, node: yaml.Node) -> int:
    """Where a node ends: the marks of tables with a line for each entry lie behind the comments that follow."""
    if isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
        return int(node.end_mark.index)
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: node.end_mark.index].rstrip()) if not _is_flow(node) else int(node.end_mark.index)


def _end_of_line(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def _joined(text: str, lines: str) -> str:
    return f"{text}\n{lines}" if text and not text.endswith("\n") else text + lines
