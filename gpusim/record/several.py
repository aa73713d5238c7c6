"""Folders with several results: replicates, trials, studies that keep their stores."""

import re
from pathlib import Path

from gpusim.record import layout

_PLACES = ("*", "*/*")
"""Where results lie in such a folder: SEED, ARM/SEED, stores/KEY."""


def results_in(folder: Path) -> list[Path]:
    """Folders of results, in the order of arms and seeds: the folder itself if it is one; empty if there are none."""
    if (folder / layout.SNAPSHOTS).is_dir():
        return [folder]
    for place in _PLACES:
        found = {path.parent for path in folder.glob(f"{place}/{layout.SNAPSHOTS}")}
        shown = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
        if shown:
            return sorted(shown, key=_order)
    return []


def results_below(folder: Path) -> list[Path]:
    """The same, but empty for a folder that is itself a result."""
    found = results_in(folder)
    return [] if found == [folder] else found


def _order(path: Path) -> list[tuple[bool, int, str]]:
    """Numbers by their size, so that seed 10 comes after seed 9."""
    pieces = (piece for piece in re.split(r"(\d+)", str(path)))
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces]
