"""Tissue from an image of labels: a number stands for a state.

The middle of the image lies in the middle of the grid.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gpusim.errors import ScenarioError
from gpusim.scenario.schema import Depth, Tissue
from gpusim.tissue import sections
from gpusim.tissue.cells import Cells
from gpusim.tissue.images import Image

LONGEST = 4096
"""Voxels along an axis."""
FINEST = 1000
"""Pixels along the edge of a voxel."""


def fitting_shape(image: Image, spacing: float, depth: Depth) -> tuple[int, int, int]:
    """Voxels as (z, y, x) that cover the image."""
    nz, ny, nx = (_rounded_up(n * edge / spacing) for n, edge in zip(image.labels.shape, image.spacing, strict=True))
    nz = sections.depth(depth, nx, spacing) if image.flat else nz
    if max(nz, ny, nx) > LONGEST:
        raise ScenarioError(
            f"tissue.image: {image.label}: {nx} x {ny} x {nz} voxels of {spacing:g} um; expected at most {LONGEST} "
            "along an axis. See 'tissue.image.spacing'"
        )
    return nz, ny, nx


def of_instances(image: Image, table: Cells, spec: Tissue) -> tuple[Image, dict[int, str], tuple[str, ...]]:
    """An image in which numbers stand for the types of the cells, instead of the cells themselves.

    Returns it with the state of each number, and what to know of cells that one of both files alone has.
    Raises `ScenarioError` where a number stands in several rows, or no row's number is in the image.
    """
    assert table.keys is not None
    keys, first, counts = np.unique(table.keys, return_index=True, return_counts=True)
    if (counts > 1).any():
        twice = keys[counts > 1]
        raise ScenarioError(
            f"tissue.cells: {table.label}: {len(twice):,} numbers of cells are in several rows, such as {twice[0]:g}"
        )
    found, where = np.unique(image.labels, return_inverse=True)
    at = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
    known = keys[at] == found
    cells = found != 0
    if not (known & cells).any():
        raise ScenarioError(
            f"tissue.image: {image.label}: none of its {cells.sum():,} labels is in the table of cells; "
            "see 'tissue.image.instances'"
        )
    # 1 more, for 0 is no cell.
    numbers = np.where(known & cells, table.types[first][at] + 1, 0)
    notes = [
        f"tissue.image: {Path(image.label).name}: {count:,} {what}"
        for count, what in (
            (int((cells & ~known).sum()), "labels without a row in the table of cells are left out"),
            (
                int((~np.isin(keys, found)).sum()),
                "rows of the table of cells without a label in the image are left out",
            ),
            (int((cells & known & (numbers == 0)).sum()), "cells that fit no type are left out"),
        )
        if count
    ]
    labels = numbers.astype(np.int64)[where].reshape(image.labels.shape)
    states = {i: cell_type.state for i, cell_type in enumerate(spec.types, 1)}
    return dataclasses.replace(image, labels=labels), states, tuple(notes)


def place(
    image: Image,
    states_of: Mapping[int, str],
    spec: Tissue,
    tissue: np.ndarray,
    immune: np.ndarray,
    names: tuple[str, ...],
    none: int,
    spacing: float,
) -> None:
    """Put the labels into both layers, uint8 [z, y, x], in place. States from `none` on are immune.

    `states_of` gives the state that each label stands for.

    Of either layer a voxel takes the label that most of its pixels have, on a tie the one that stands
    earlier in `labels`. A pixel with no label counts against all; one with a tissue label, against
    immune cells; one with an immune label says nothing about the tissue under it.

    Raises `ScenarioError` where the image holds a label that the scenario does not know.
    """
    assert spec.image is not None
    known = list(states_of)
    states = np.array([names.index(state) for state in states_of.values()], np.int16)
    _all_known(image, known)
    shape = (1, *tissue.shape[1:]) if image.flat else tissue.shape
    if max(spacing / edge for edge in image.spacing) > FINEST:
        raise ScenarioError(
            f"tissue.image: {image.label}: pixels of {min(image.spacing):g} um; expected at most {FINEST} to a voxel "
            f"of {spacing:g} um. See 'tissue.image.spacing'"
        )
    in_z, in_y, in_x = (
        pixels_under(n, count, spacing, edge, nearest=spec.image.resampling == "nearest")
        for n, count, edge in zip(shape, image.labels.shape, image.spacing, strict=True)
    )
    if image.flat:
        in_z = np.zeros((1, 1), np.int64)
    resident = states < none
    planes = [np.full(shape, -1, np.int16) for _ in range(2)]
    for z in range(shape[0]):
        counts, unlabelled = _counts(image.labels, known, in_z[z], in_y, in_x)
        # Where immune labels fill a voxel, no tissue label has a point, and none may win with 0.
        planes[0][z] = _most(counts[resident], states[resident], np.maximum(unlabelled, 1))
        planes[1][z] = _most(counts[~resident], states[~resident], unlabelled + counts[resident].sum(axis=0))
    for plane, layer in zip(planes, (tissue, immune), strict=True):
        sections.lay(plane, layer, spec.depth)


def _all_known(image: Image, known: list[int]) -> None:
    found, pixels = np.unique(image.labels, return_counts=True)
    strange = [(int(f), int(n)) for f, n in zip(found, pixels, strict=True) if f and f not in known]
    if strange:
        listed = ", ".join(f"{label} ({count:,} pixels)" for label, count in strange[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise ScenarioError(
            f"tissue.image: {image.label}: no state is given for label {listed}{more}; "
            "'labels' must say what each is ('empty' for no cell)"
        )


def _rounded_up(value: float) -> int:
    """The next whole number; files keep lengths in single precision, whose error is no further voxel."""
    return math.ceil(value * (1 - 1e-6))


def pixels_under(voxels: int, pixels: int, spacing: float, edge: float, *, nearest: bool = False) -> np.ndarray:
    """Pixels under evenly spaced points of each voxel along an axis, int64 [voxels, points]; -1 is outside."""
    points = 1 if nearest else _rounded_up(spacing / edge)
    at = (np.arange(voxels * points) + 0.5) * (spacing / points) - (voxels * spacing - pixels * edge) / 2
    index = np.floor(at / edge).astype(np.int64)
    index[(index < 0) | (index >= pixels)] = -1
    return index.reshape(voxels, points)


def _counts(
    labels: np.ndarray, known: list[int], in_z: np.ndarray, in_y: np.ndarray, in_x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of each label in a layer of voxels, int64 [labels, y, x], and those of none, int64 [y, x]."""
    where = (in_z, in_y.ravel(), in_x.ravel())
    z, y, x = (axis >= 0 for axis in where)
    inside = z[:, None, None] & y[:, None] & x
    points = (in_z.size, *in_y.shape, *in_x.shape)
    taken = labels[np.ix_(*where)]
    counts = np.stack([((taken == label) & inside).reshape(points).sum(axis=(0, 2, 4)) for label in known])
    return counts, points[0] * points[2] * points[4] - counts.sum(axis=0)


def _most(counts: np.ndarray, states: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The state with the highest count, int16 [y, x]; -1 where `rest` is higher than each."""
    found: np.ndarray = np.append(states, np.int16(-1))[np.concatenate([counts, rest[None]]).argmax(axis=0)]
    return found
