"""PhysiCell's own output, MultiCellDS: an XML file for each time, with matrices of substrates and cells beside it.

Source: output of PhysiCell 1.14, and what pcdl 4 and PhysiCell Studio read of it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

import gpusim
from gpusim.export.cells import cells_of
from gpusim.record import Result
from gpusim.scenario.schema import EMPTY, NONE

MESH = "initial_mesh0.mat"
_LIVE, _DEATH = (5, 14), (100, 100)
"""Cycle model and phase of living cells, and of dead ones, in PhysiCell's numbers."""
_TOUCHING = 1.75
"""Voxels between the centres of neighbours: over corners, it is 1.73."""
_BESIDE = 0.25
"""Voxels by which immune cells stand beside the middle: pcdl takes cells at one position for one."""
_VARIABLES = (
    ("ID", 1, "none"),
    ("position", 3, "microns"),
    ("total_volume", 1, "cubic microns"),
    ("cell_type", 1, "none"),
    ("cycle_model", 1, "none"),
    ("current_phase", 1, "none"),
    ("dead", 1, "none"),
    ("radius", 1, "microns"),
    ("chemotaxis_index", 1, "none"),
)
_GRAPHS = ("neighbor_graph", "attached_cells_graph", "spring_attached_cells_graph")


def write(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """A folder with `output00000000.xml` and so on, one for each snapshot.

    The middle of the grid is the origin, lengths are in um and times in min. A type is a state. An immune cell stands a
    quarter of a voxel beside the middle of its voxel. Cells are numbered anew in each snapshot, as a lattice has no
    cells of its own identity; a trait is 0 for cells without it.
    """
    from scipy.io import savemat

    target.mkdir()
    shape = result.array("tissue").shape
    axes = [(np.arange(n) + 0.5 - n / 2) * result.spacing for n in shape[::-1]]
    x, y, z = (each.transpose(2, 1, 0).ravel() for each in np.meshgrid(*axes, indexing="ij"))
    mesh = np.stack([x, y, z, np.full(x.size, result.spacing**3)])
    savemat(target / MESH, {"mesh": mesh}, format="4")
    for number, snapshot in enumerate(snapshots):
        name = f"output{number:08d}"
        fields = [result.array(each, snapshot).ravel().astype(float) for each in result.field_names]
        substrates = np.vstack([mesh, *fields])
        savemat(target / f"{name}_microenvironment0.mat", {"multiscale_microenvironment": substrates}, format="4")
        cells = cells_of(result, snapshot)
        savemat(target / f"{name}_cells.mat", {"cells": _matrix(result, cells, axes)}, format="4")
        pairs = _neighbours(result, cells)
        for graph in _GRAPHS:
            links = pairs if graph == "neighbor_graph" else {}
            lines = (f"{cell}: {','.join(map(str, links.get(cell, ())))}" for cell in range(len(cells)))
            (target / f"{name}_cell_{graph}.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
        tree = ElementTree.ElementTree(_document(result, name, float(result.times[snapshot]), axes))
        ElementTree.indent(tree)
        tree.write(target / f"{name}.xml", encoding="utf-8", xml_declaration=True)


def _types(result: Result) -> list[str]:
    return [name for name in result.state_names if name not in (EMPTY, NONE)]


def _matrix(result: Result, cells: pd.DataFrame, axes: list[np.ndarray]) -> np.ndarray:
    """Variables of the cells, float64 [variables, cells]."""
    names, states = _types(result), result.document.states
    types = cells["state"].astype(str)
    dead = types.isin([name for name in names if states[name].role == "dead"]).to_numpy()
    count = len(cells)
    volume = result.spacing**3
    centres = [cells[f"{axis}_um"] - len(at) * result.spacing / 2 for axis, at in zip("xyz", axes, strict=True)]
    centres[0] = centres[0] + (cells["layer"] == "immune") * result.spacing * _BESIDE
    rows = [
        np.arange(count),
        *centres,
        np.full(count, volume),
        types.map({name: i for i, name in enumerate(names)}).astype(float),
        np.where(dead, _DEATH[0], _LIVE[0]),
        np.where(dead, _DEATH[1], _LIVE[1]),
        dead,
        np.full(count, (3 * volume / (4 * np.pi)) ** (1 / 3)),
        np.zeros(count),
        *(cells[trait].fillna(0) for trait in result.trait_names),
    ]
    return np.stack([np.asarray(row, float) for row in rows])


def _neighbours(result: Result, cells: pd.DataFrame) -> dict[int, list[int]]:
    """Cells in the same voxel and in the 26 voxels around, by cell."""
    from scipy.spatial import cKDTree

    found: dict[int, list[int]] = {}
    if len(cells) > 1:
        tree = cKDTree(cells[["x_um", "y_um", "z_um"]].to_numpy())
        for one, other in tree.query_pairs(_TOUCHING * result.spacing, output_type="ndarray").tolist():
            found.setdefault(one, []).append(other)
            found.setdefault(other, []).append(one)
    return {cell: sorted(others) for cell, others in found.items()}


def _document(result: Result, name: str, time: float, axes: list[np.ndarray]) -> ElementTree.Element:
    root = ElementTree.Element("MultiCellDS", version="2", type="snapshot/simulation")
    metadata = ElementTree.SubElement(root, "metadata")
    software = ElementTree.SubElement(metadata, "software")
    _text(software, "name", "gpusim")
    _text(software, "version", gpusim.__version__)
    _text(metadata, "current_time", f"{time:.6f}", units="min")
    _text(metadata, "current_runtime", "0.000000", units="sec")
    for key in ("created", "last_modified"):
        _text(metadata, key, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    domain = ElementTree.SubElement(ElementTree.SubElement(root, "microenvironment"), "domain", name="microenvironment")
    mesh = ElementTree.SubElement(domain, "mesh", type="Cartesian", uniform="true", regular="true", units="micron")
    ends = [len(at) * result.spacing / 2 for at in axes]
    _text(
        mesh,
        "bounding_box",
        _numbers([*(-end for end in ends), *ends]),
        type="axis-aligned",
        units="micron",
        delimiter=" ",
    )
    for axis, at in zip("xyz", axes, strict=True):
        _text(mesh, f"{axis}_coordinates", _numbers(at), delimiter=" ")
    _text(ElementTree.SubElement(mesh, "voxels", type="matlab"), "filename", MESH)
    variables = ElementTree.SubElement(domain, "variables")
    for i, field in enumerate(result.field_names):
        spec = result.document.fields[field]
        variable = ElementTree.SubElement(variables, "variable", name=field, units=str(result.unit(field)), ID=str(i))
        constants = ElementTree.SubElement(variable, "physical_parameter_set")
        diffusion, decay = (
            _in(value, unit) for value, unit in ((spec.diffusion["default"], "um^2/min"), (spec.decay, "1/min"))
        )
        _text(constants, "diffusion_coefficient", f"{diffusion:.6f}", units="micron^2/min")
        _text(constants, "decay_rate", f"{decay:.6f}", units="1/min")
    _text(ElementTree.SubElement(domain, "data", type="matlab"), "filename", f"{name}_microenvironment0.mat")
    population = ElementTree.SubElement(
        ElementTree.SubElement(ElementTree.SubElement(root, "cellular_information"), "cell_populations"),
        "cell_population",
        type="individual",
    )
    custom = ElementTree.SubElement(population, "custom")
    data = ElementTree.SubElement(custom, "simplified_data", type="matlab", source="PhysiCell", data_version="2")
    types = ElementTree.SubElement(data, "cell_types")
    for i, state in enumerate(_types(result)):
        _text(types, "type", state, ID=str(i), type=str(i))
    labels = ElementTree.SubElement(data, "labels")
    index = 0
    for label, size, units in (*_VARIABLES, *((trait, 1, str(result.unit(trait))) for trait in result.trait_names)):
        _text(labels, "label", label, index=str(index), size=str(size), units=units)
        index += size
    _text(data, "filename", f"{name}_cells.mat")
    for graph in _GRAPHS:
        _text(ElementTree.SubElement(custom, graph, type="text"), "filename", f"{name}_cell_{graph}.txt")
    return root


def _text(parent: ElementTree.Element, tag: str, text: str, **attributes: Any) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = text


def _numbers(values: Any) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def _in(value: float | str, unit: str) -> float:
    from gpusim.units import number

    return number(value, unit)
