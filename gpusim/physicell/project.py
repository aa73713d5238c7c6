"""A whole PhysiCell project: the text of a scenario, the tables that it reads, and the account of both."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpusim.physicell import environment, grammar, reading, settings, writing
from gpusim.physicell.cells import Cells
from gpusim.physicell.environment import Lattice, Places, Table
from gpusim.physicell.names import identifiers
from gpusim.physicell.reading import ProjectError, shown
from gpusim.physicell.report import Report
from gpusim.physicell.responses import CLOCK
from gpusim.physicell.settings import Settings

MOST_CELLS = 5_000_000
_OF_CELLS = ("x", "y", "z", "type")


@dataclass
class Imported:
    """The scenario's text, tables by file name, and the report."""

    text: str
    tables: dict[str, str]
    report: Report = field(default_factory=Report)


def import_project(path: Path, stem: str) -> Imported:
    """Translate the project of a PhysiCell_settings.xml.

    Args:
        stem: the beginning of the names of the tables that the scenario reads.

    Raises `ProjectError` with file and line where something can't be read or contradicts itself.
    """
    found = settings.read(path)
    report = Report()
    rules = [rule for each in found.rules for rule in grammar.read(each)]
    _twice(rules)
    lattice = environment.lattice(found, report)
    fields = identifiers(each.name for each in found.substrates)
    names = identifiers((each.name for each in found.types), [*fields.values(), *_GROUPS])
    time, every = environment.time(found, report)
    cells = Cells(found, rules, names, fields, lattice, report)
    document: dict[str, Any] = {"name": _title(found), "seed": found.seed}
    document |= {"grid": environment.grid(found, lattice, report), "time": time}
    document["fields"] = environment.fields(found, fields, report)
    tables = []
    substrates = environment.initial(found, lattice, fields, f"{stem}-substrates.csv", report)
    if substrates is not None:
        tables.append(substrates)
        for column in substrates.rows[0].split(",")[3:]:
            document["fields"][column]["initial"] = {"table": substrates.name}
    cells.build()
    for missing in found.missing_rules:
        report.add("cell_rules", missing, "lost", "no such file")
    document |= {"states": cells.states, "groups": cells.groups, "traits": cells.traits, "rules": cells.made}
    if cells.responses.ticking:
        document["body"] = {
            "quantities": {CLOCK: {"unit": "min"}},
            "processes": {"ticking": {"transition": f"nothing -> {CLOCK}", "rate": "1 min/min"}},
        }
    placed = _tissue(found, lattice, cells, f"{stem}-cells.csv", tables, report)
    document |= placed | {"record": {"every": every}}
    _rest(found, report)
    text = writing.text({key: value for key, value in document.items() if value != {}}, cells.comments, _head(found))
    return Imported(text, {each.name: each.text for each in tables}, report)


_GROUPS = ("live_cells", "dead_cells", "apoptotic_cells", "necrotic_cells", CLOCK)


def _twice(rules: list[grammar.Rule]) -> None:
    seen: dict[tuple[str, str, str, bool], str] = {}
    for rule in rules:
        key = (rule.cell, rule.signal, rule.behaviour, rule.increases)
        if key in seen:
            raise ProjectError(f"{rule.place}: the same signal, behaviour and direction as in {seen[key]}")
        seen[key] = rule.place


def _title(found: Settings) -> str:
    home = found.path.resolve().parent
    name = home.parent.name if home.name == "config" else found.path.stem
    plain = "".join(each if (each.isalnum() and each.isascii()) or each in "_ .+-" else "_" for each in name)
    return plain.strip(" .+-")[:70] or "physicell"


def _head(found: Settings) -> str:
    names = [found.path.name, *(each.name for each in found.rules)]
    names += [each.name for each in (found.cells, found.initial) if each is not None]
    return (
        f"Translated by 'gpusim import physicell' from {shown(', '.join(names))}.\n"
        "All numbers are those of these files. A comment above a rule gives the rows of the grammar behind it."
    )


def _tissue(
    found: Settings, lattice: Lattice, cells: Cells, name: str, tables: list[Table], report: Report
) -> dict[str, Any]:
    """The keys `tissue` and `therapies`: the cells of the table, or the random ones of PhysiCell's templates."""
    if found.missing_cells:
        report.add("initial_conditions", "cell_positions", "lost", f"no file '{found.missing_cells}'")
    table = None if found.cells is None else _cell_table(found.cells, lattice, cells, name, report)
    if table is not None and len(table.rows) > 1:
        tables.append(table)
        states = list(dict.fromkeys(row.rpartition(",")[2] for row in table.rows[1:]))
        types = [{"state": state, "where": {"type": state}} for state in states]
        columns = {"x": "x", "y": "y"} | ({} if lattice.flat else {"z": "z"})
        origin = [f"{each:.10g} um" for each in lattice.corner]
        tissue = {"cells": name, "columns": columns, "origin": origin, "types": types}
        return {"tissue": tissue}
    count = found.parameters.get("number_of_cells", "0")
    number = int(count) if count.isdigit() else 0
    note = "placed at random; custom.cpp may place them elsewhere"
    if number == 0:
        number, note = 1, "custom.cpp places the cells; here, one of each type at the start"
    report.add("initial_conditions", "cells", "approximate" if number > 1 else "lost", note)
    extent = sum((count * lattice.edge) ** 2 for count in lattice.shape) ** 0.5
    doses = {
        f"initial_{cells.names[each.name]}"[:40]: {
            "inject": cells.phases[each.name][0],
            "amount": f"{number} cell",
            "radius": f"{extent:.4g} um",
        }
        for each in found.types
    }
    return {"therapies": doses}


def _cell_table(path: Path, lattice: Lattice, cells: Cells, name: str, report: Report) -> Table:
    """Cells within the grid, in PhysiCell's coordinates. Raises `ProjectError`."""
    by_number = {each.number: each.name for each in cells.settings.types}
    table = Table(name, [",".join(_OF_CELLS)])
    outside, more, header = 0, False, False
    places = {layer: Places(lattice) for layer in ("tissue", "immune")}
    for number, row in reading.lines(path):
        place = f"{path}:{number}"
        if not header and [each.lower() for each in row[:3]] == ["x", "y", "z"]:
            header = True
            more = len(row) > 4
            continue
        if len(row) < 4:
            raise ProjectError(f"{place}: expected columns x, y, z and type, found {len(row)}")
        if len(table.rows) > MOST_CELLS:
            raise ProjectError(f"{place}: more than {MOST_CELLS:,} cells")
        x, y, z = (reading.number(text, place) for text in row[:3])
        cell = row[3]
        if cell not in cells.types:
            numbered = cell.replace(".", "", 1).replace("e+", "").isdigit()
            cell = by_number.get(int(float(cell)), cell) if numbered else cell
        if cell not in cells.types:
            raise ProjectError(f"{place}: no cell definition '{shown(row[3])}'")
        more |= any(each and each.lower() != "skip" for each in row[4:])
        placed = places[cells.layer[cell]].give((x, y, z)) if lattice.inside((x, y, z)) else None
        if placed is None:
            outside += 1
        else:
            table.rows.append(",".join(f"{each:.8g}" for each in placed) + f",{cells.phases[cell][0]}")
    moved = sum(each.moved for each in places.values())
    note = f"one cell a voxel: {moved:,} of {len(table.rows) - 1:,} are moved to the nearest free voxel"
    note += f"; {outside:,} outside the domain, or without a free voxel, are lost" * (outside > 0)
    report.add("initial_conditions", f"{path.name}: positions", "approximate", note)
    if more and header:
        note = "each cell begins with the values of its type"
        report.add("initial_conditions", f"{path.name}: columns after type", "lost", note)
    return table


def _rest(found: Settings, report: Report) -> None:
    for name, value in found.parameters.items():
        if name not in ("random_seed", "number_of_cells"):
            report.add("user_parameters", f"{name} ({value})", "lost", "only custom.cpp reads it")
    report.add("options", "random_seed", "approximate", "other random numbers")
    for folder in (found.path.resolve().parent.parent, found.path.resolve().parent):
        custom = sorted((folder / "custom_modules").glob("*.cpp"))
        if custom:
            note = "C++ code is not read: compare what it does with the scenario"
            report.add("custom_modules", ", ".join(each.name for each in custom), "lost", note)
            break
