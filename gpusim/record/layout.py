"""Names in a result folder, for writer and reader."""

from collections.abc import Iterable, Sequence

from gpusim.engine.dataset import LAYERS as LAYERS

SNAPSHOTS = "snapshots.zarr"
"""Zarr v3 group: one float32 array a field and one uint8 array a cell layer, [time, z, y, x];
`body`, float64 [time, quantity], where there is one. Several sites are a group each, with arrays of their own.

It has its full length from the start. The `time` of a snapshot is not a number until the snapshot is complete. Every
chunk ends with its CRC-32C. Other programs read a missing chunk as not a number (fields) or 255 (cells); gpusim raises
an error.
"""
COUNTS = "counts.csv"
"""One row each time the rules are applied: cells by state, firings by rule, totals by field, quantities of
the body; with several sites, sums over them, and then cells and totals of each."""
SCENARIO = "scenario.yaml"
"""The scenario of the run, without `extends`."""
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


def count_columns(
    states: Sequence[str],
    rules: Iterable[str],
    fields: Sequence[str],
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
        *(f"body.{name}" for name in quantities),
        *(f"{site}.{column}" for site in sites for column in site_columns(states, fields)),
    ]


def site_columns(states: Iterable[str], fields: Iterable[str]) -> list[str]:
    """Columns of one site among several."""
    return [*(f"cells.{name}" for name in states), *(f"total.{name}" for name in fields)]
