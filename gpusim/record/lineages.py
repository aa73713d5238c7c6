"""Tables of clones: their births, and their cells at the time of each snapshot."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from gpusim.engine import Replicate
from gpusim.engine.lineage import origins
from gpusim.engine.site import Site
from gpusim.model import Model
from gpusim.record import frames
from gpusim.record.tables import Table

CELL_COLUMNS = ("snapshot", "site", "minutes", "clone", "cells")
"""Columns of the table of the cells of clones."""
_TRAIT = "trait."
"""Prefix of the columns of traits."""


def birth_columns(model: Model) -> list[str]:
    """Columns of the table of births."""
    places = [f"{axis}_um" for axis in "xyz"]
    traits = (f"{_TRAIT}{name}" for name in _traits(model))
    return ["site", "clone", "parent", "label", "step", "minutes", *places, *traits]


def _traits(model: Model) -> dict[str, int]:
    """Rows by name of the traits of the layer that the clones are of."""
    own = range(*model.traits.of_layer(immune=model.clones.immune))
    return {name: number for name, number in model.traits.named.items() if number in own}


class Lineages:
    """Writes the tables of clones of a replicate.

    Clones have numbers from 1 on at each site, in the order of their births: founders first, parents before children.

    Args:
        births, cells: the tables, which may contain rows.
    """

    def __init__(self, replicate: Replicate, births: Table, cells: Table) -> None:
        self._replicate, self._births, self._cells = replicate, births, cells
        written = read(births.path)
        self._labels = {name: written["label"][written["site"] == name].to_numpy(np.uint64) for name in replicate.sites}

    def write(self, snapshot: int) -> None:
        """Write the births since the last time, and the cells of each clone."""
        sites = [site for _, site in sorted(self._replicate.sites.items())]
        births = [row for site in sites for row in self._born(site)]
        if births:
            self._births.add(*births)
        self._cells.add(*(row for site in sites for row in self._counted(site, snapshot)))

    def _born(self, site: Site) -> Iterator[Sequence[Any]]:
        """Rows of the births at a site that are not written yet."""
        known, model = self._labels[site.name], site.model
        labels, parents, newborn = _new(site, known)
        self._labels[site.name] = joined = np.concatenate([known, labels])
        of_parents = np.zeros(labels.size, np.int64)
        has = parents > 0
        of_parents[has] = numbers(joined, parents[has])
        steps, voxels = origins(labels, model)
        places = (np.stack(np.unravel_index(np.maximum(voxels, 0), model.shape)[::-1], axis=1) + 0.5) * model.spacing
        for i, label in enumerate(labels):
            yield (
                site.name,
                known.size + i + 1,
                of_parents[i],
                label,
                steps[i],
                f"{steps[i] * model.step:.10g}",
                *([f"{place:.10g}" for place in places[i]] if voxels[i] >= 0 else [""] * 3),
                *("" if np.isnan(newborn[i, t]) else newborn[i, t] for t in _traits(model).values()),
            )

    def _counted(self, site: Site, snapshot: int) -> Iterator[Sequence[Any]]:
        """Rows of the cells of each clone that has any."""
        clones = site.clones()
        labels, cells = np.unique(clones[clones > 0], return_counts=True)
        clone = numbers(self._labels[site.name], labels)
        order = np.argsort(clone)
        for number, count in zip(clone[order], cells[order], strict=True):
            yield snapshot, site.name, f"{self._replicate.minutes:.10g}", number, count


def _new(site: Site, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, parents and traits of the clones whose labels are not known, in the order of their births."""
    lineage = site.lineage
    labels, parents, newborn = lineage.births[:, 0], lineage.births[:, 1], lineage.newborn
    fresh = ~np.isin(labels, known)
    labels, parents, newborn = labels[fresh], parents[fresh], newborn[fresh]
    if not known.size:
        founders, begin = site.founders()
        labels, newborn = np.concatenate([founders, labels]), np.concatenate([begin, newborn])
        parents = np.concatenate([np.zeros_like(founders), parents])
    labels, first = np.unique(labels, return_index=True)
    order = np.lexsort((labels, origins(labels, site.model)[0]))
    return labels[order], parents[first][order], newborn[first][order]


def numbers(known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Numbers of clones, int64, by their labels, 0 for none; `known`: the labels in the order of the numbers."""
    order, has = np.argsort(known), labels > 0
    found = np.zeros(labels.shape, np.int64)
    found[has] = order[np.searchsorted(known, labels[has], sorter=order)] + 1
    return found


def read(source: Path | TextIO) -> pd.DataFrame:
    """A table of clones. (The name of a site may look like a number or a missing value.)"""
    return frames.read(source, ("site",), {"label": np.uint64})
