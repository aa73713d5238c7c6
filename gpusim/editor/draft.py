"""A scenario file under construction: its text, what the text contains, and what is wrong with it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gpusim.editor.small import modest
from gpusim.editor.splice import SpliceError, put, remove
from gpusim.errors import GpusimError, ResultError, ScenarioError
from gpusim.record.files import aside, explained
from gpusim.scenario import Document, Scenario
from gpusim.scenario.diagram import arrows
from gpusim.scenario.loading import SET, extended
from gpusim.scenario.reading import KeyPath, Read, read_text
from gpusim.scenario.walking import value_at
from gpusim.viz.palette import state_colours

ORDER = ("extends", SET, *Document.model_fields)
"""Keys of a scenario in the order in which new ones are placed in a file."""
_MESSAGE = re.compile(r"(?:(?P<file>.+?):(?P<line>\d+): |\S+: )?(?P<path>[A-Za-z_][\w.\[\]]*): (?P<told>.*)")

Examine = Callable[[Scenario], Mapping[str, Any]]
"""What is found in a valid scenario beyond its schema, as plain data; raises `GpusimError` for problems."""


class Draft:
    """The text of a file, with changes that are not saved yet.

    Args:
        file: where it is saved; relative paths in it start from its folder.
        text: at the start.
        examine: what `gpusim check` finds in a valid scenario.
    """

    def __init__(self, file: Path, text: str, examine: Examine) -> None:
        self.file = file
        self.text = text
        self._saved = file.read_text(encoding="utf-8") if file.is_file() else None
        self._examine = examine
        self._before: list[str] = []

    def put(self, path: KeyPath, value: str) -> None:
        """Set the value at a path to that of a YAML text. Raises `ScenarioError`."""
        own, merged = self._own(), self._merged()
        depth = _inherited_list(own, merged, path)
        try:
            if depth is None:
                self.write(put(self.text, path, value, ORDER))
            else:
                # A list is replaced as a whole when files are merged, so its other items are written out.
                with_list = put(self.text, path[:depth], json.dumps(value_at(merged, path[:depth])), ORDER)
                self.write(put(with_list, path, value, ORDER))
        except (SpliceError, yaml.YAMLError, ValueError) as error:
            raise ScenarioError(f"{value!r}: {' '.join(str(error).split())}") from None

    def remove(self, path: KeyPath) -> None:
        """Remove what is at a path; what an extended file has there is removed by a blank. Raises `ScenarioError`."""
        own, merged = self._own(), self._merged()
        depth = _inherited_list(own, merged, path)
        text = self.text
        try:
            if depth is not None:
                text = put(text, path[:depth], json.dumps(value_at(merged, path[:depth])), ORDER)
            if depth is not None or _has(own, path):
                text = remove(text, path)
            if not isinstance(path[-1], int) and _has(extended(self.file, text or "{}").data, path):
                text = put(text, path, "", ORDER)
        except SpliceError as error:
            raise ScenarioError(str(error)) from None
        self.write(text)

    def write(self, text: str) -> None:
        """Replace the whole text."""
        if text != self.text:
            self._before.append(self.text)
            self.text = text

    def undo(self) -> None:
        """Take back the last change, if there is one."""
        if self._before:
            self.text = self._before.pop()

    def save(self) -> None:
        """Write the file. Raises `ResultError` if another program has changed it."""
        now = self.file.read_text(encoding="utf-8") if self.file.is_file() else None
        if now not in (self._saved, self.text):
            raise ResultError(f"{self.file}: has changed on the disk since it was read; nothing was written")
        with explained(self.file), aside(self.file) as unready:
            unready.write_text(self.text, encoding="utf-8")
        self._saved = self.text

    def scenario(self) -> Scenario:
        """The scenario that the text is. Raises `ScenarioError`."""
        return Scenario.draft(self.text, self.file)

    def view(self) -> dict[str, Any]:
        """All that the page shows, as plain data."""
        shown: dict[str, Any] = {
            "file": str(self.file),
            "text": self.text,
            "saved": self.text == self._saved,
            "undo": bool(self._before),
            "own": {},
            "data": {},
            "places": {},
            "problems": [],
            "notes": [],
            "graph": None,
            "small": {},
        }
        read = Read({})
        try:
            shown["own"] = read_text(self.text, str(self.file)).data
            read = extended(self.file, self.text)
            shown["data"] = copy.deepcopy(read.data)
            shown["places"] = {
                json.dumps(path, separators=(",", ":")): _short(place, self.file) for path, place in read.places.items()
            }
            scenario = self.scenario()
            shown["graph"] = _graph(scenario.document)
            shown["small"] = modest(scenario)
            shown |= self._examine(scenario)
        except GpusimError as error:
            shown["problems"] = [_problem(line, read, self.file) for line in str(error).splitlines()]
        return shown

    def _own(self) -> dict[str, Any]:
        return read_text(self.text, str(self.file)).data if self.text.strip() else {}

    def _merged(self) -> dict[str, Any]:
        return extended(self.file, self.text if self.text.strip() else "{}").data


def _inherited_list(own: Any, merged: Any, path: KeyPath) -> int | None:
    """The length of the part of a path to a list that only an extended file has; None if there is none."""
    for depth in range(1, len(path)):
        if isinstance(path[depth], int) and not _has(own, path[:depth]) and _has(merged, path[:depth]):
            return depth
    return None


def _has(data: Any, path: KeyPath) -> bool:
    try:
        return value_at(data, path) is not None
    except (KeyError, IndexError, TypeError):
        return False


def _problem(line: str, read: Read, file: Path) -> dict[str, Any]:
    """A line of an error with the path and the line of the text that it is about, where it names them."""
    found = _MESSAGE.fullmatch(line)
    if found is None:
        in_text = re.match(rf"{re.escape(str(file))}:(\d+): (.*)", line)
        return {"path": [], "line": int(in_text[1]) if in_text else None, "message": in_text[2] if in_text else line}
    own = found["file"] == str(file)
    parts = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", found["path"])]
    known = next((n for n in range(len(parts), 0, -1) if tuple(parts[:n]) in read.places), 0)
    elsewhere = f" ({_short(found['file'], file)}:{found['line']})" if found["file"] and not own else ""
    return {
        "path": parts if known else [],
        "line": int(found["line"]) if own else None,
        "message": (found["told"] if known else line) + elsewhere,
    }


def _short(place: str, file: Path) -> str:
    """The name of the file of a position; blank for the file itself."""
    name, _, line = place.rpartition(":") if place.rpartition(":")[2].isdigit() else (place, "", "")
    return "" if name == str(file) else Path(name).stem + (f":{line}" if line else "")


def _graph(document: Document) -> dict[str, Any]:
    """States, fields and quantities as nodes, and what leads from one to another, for the page to draw."""
    colours = state_colours(document)
    nodes = [
        {"id": f"state_{name}", "name": name, "row": state.layer, "path": ["states", name], "colour": colours[name]}
        for name, state in document.states.items()
    ]
    nodes += [
        {"id": f"body_{name}", "name": name, "row": "body", "path": ["body", "quantities", name], "colour": "#8a8a8a"}
        for name in document.body.quantities
    ]
    known = {node["id"] for node in nodes}
    edges = [
        {"rule": rule, "from": start, "to": end, "path": ["rules", rule] if rule in document.rules else []}
        for rule, start, _, end in arrows(document)
    ]
    outer = [str(end) for edge in edges for end in (edge["from"], edge["to"]) if end not in known]
    nodes += [_outer(end) for end in dict.fromkeys(outer)]
    return {"nodes": nodes, "edges": edges}


def _outer(end: str) -> dict[str, Any]:
    """A node for free voxels, or for what leaves the body."""
    row = "immune" if end == "state_none" else "tissue" if end.startswith("state_") else "body"
    return {"id": end, "name": end.removeprefix("state_"), "row": row, "path": [], "colour": "#d5d5d5"}
