"""Names in a result folder, for writer and reader."""

from collections.abc import Iterable, Sequence

from gpusim.engine.dataset import CLONES as CLONES
from gpusim.engine.dataset import LAYERS as LAYERS
from gpusim.model.modulators import numbered
from gpusim.scenario import Document

SNAPSHOTS = "snapshots.zarr"
"""Zarr v3 group: one float32 array a field and a recorded trait, and one uint8 array a cell layer, [time, z, y, x];
`clones`, uint64 [time, z, y, x], labels of clones, and `body`, float64 [time, quantity], where there are any. Several
sites are a group each, with arrays of their own.

It has its full length from the start. The `time` of a snapshot is not a number until the snapshot is complete. Every
chunk ends with its CRC-32C. Other programs read a missing chunk as not a number (fields) or 255 (cells); gpusim raises
an error.
"""
COUNTS = "counts.csv"
"""One row each time the rules are applied: cells by state, firings by rule, totals by field, means by
trait, quantities of the body; with several sites, of all together, and then cells, totals and means of each."""
BIRTHS = "births.csv"
"""Clones in the order of their births, founders first: number, number of the parent (0 for none), label, time and place
of the birth, traits of the first cell. Each site has numbers of its own, from 1 on."""
CELLS_OF_CLONES = "clones.csv"
"""Cells of each clone that has any at the time of each snapshot."""
TRACKS = "tracks.csv"
"""Positions of the cells that are tracked: a row for each cell and time, in the order of time, then of tracks. Each
site has numbers of its own, from 1 on."""
SCENARIO = "scenario.yaml"
"""The scenario of the run, without `extends`."""
STUDY = "study.yaml"
"""A folder with it is that of a study, whose runs leave results only with `keep: stores`."""
SUMMARY = "summary.json"
"""Written last: scenario, backend, duration, digest and more. A run without it is unfinished."""
PICTURE = "picture.png"
CHECKPOINTS = "checkpoints"
"""Checkpoints by time step; deleted when the run has finished."""
LOCK = ".lock"
"""Lock of the run that writes to the folder."""
UNREADY = ".gpusim-"
"""Prefix of the names of temporary folders."""
SUMS = "SHA256SUMS"
"""Checksums of the files; see `sums.py`."""
DIGEST = "digest"
"""Array of the store: SHA-256 of the state at each snapshot, as in the summary, uint8 [time, byte]."""


CONTENTS = "contents"
"""Array of the store, only where some traits or the clones are not recorded: SHA-256 of what a snapshot contains."""


def recorded_traits(document: Document) -> list[str]:
    """Traits that snapshots contain, in the order of their numbers."""
    chosen = document.record.traits
    return [name for name in numbered(document) if chosen is None or name in chosen]


def lattices(document: Document) -> list[str]:
    """Arrays [z, y, x] of a snapshot, in the order of digests."""
    clones = [CLONES] if records_clones(document) else []
    return [*document.fields, *LAYERS, *recorded_traits(document), *clones]


def records_clones(document: Document) -> bool:
    """Whether snapshots contain the labels of clones."""
    return document.clones is not None and document.record.clones


def is_whole(document: Document) -> bool:
    """Whether snapshots contain all that the digest of the state covers."""
    return len(recorded_traits(document)) == len(document.traits) and records_clones(document) == bool(document.clones)


def tables(document: Document) -> list[str]:
    """The tables of a run."""
    of_clones = [BIRTHS, CELLS_OF_CLONES] if document.clones else []
    return [COUNTS, *of_clones, *([TRACKS] if document.record.tracks else [])]


def count_columns(
    states: Sequence[str],
    rules: Iterable[str],
    fields: Sequence[str],
    traits: Sequence[str],
    quantities: Iterable[str],
    sites: Iterable[str] = (),
) -> list[str]:
    """Columns of the table of counts; `sites` where there are several, each with columns of its own."""
    return [
        "step",
        "minutes",
        *(f"cells.{name}" for name in states),
        *(f"fired.{name}" for name in rules),
        *(f"total.{name}" for name in fields),
        *(f"mean.{name}" for name in traits),
        *(f"body.{name}" for name in quantities),
        *(f"{site}.{column}" for site in sites for column in site_columns(states, fields, traits)),
    ]


def site_columns(states: Iterable[str], fields: Iterable[str], traits: Iterable[str]) -> list[str]:
    """Columns of one site among several."""
    kinds = (("cells", states), ("total", fields), ("mean", traits))
    return [f"{kind}.{name}" for kind, names in kinds for name in names]
