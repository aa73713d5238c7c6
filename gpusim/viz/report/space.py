"""Part of a report on where cells are, in results and in tables of real tissue alike."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from gpusim.analysis.sections import SUMMARY, Pattern, cd8_states, sections, summary, table_section
from gpusim.record import Result
from gpusim.scenario import Document
from gpusim.viz import plots
from gpusim.viz.report.page import inline, table

_NOTE = (
    "Results are seen in one plane of voxels through the middle of the initial tumour, of the first seed of each, at "
    "the snapshot with the most CD8 cells. The edge separates tiles of 20 µm with a majority of tumour cells from the "
    "rest; the outline of the tissue is no edge. Densities are those of a section of 4 µm, which shows the cells of "
    "12 µm. K, cross-K and the Clark-Evans index are corrected for the edges of the tissue; random cells have 1."
)


def part(
    compared: Mapping[str, Sequence[Result]], tables: Sequence[Path], types: Callable[[Path], Document] | None
) -> str:
    """CD8 cells by distance from the edge, and the numbers of each section; empty without CD8 cells in the model."""
    patterns: list[Pattern] = []
    if types is not None:
        patterns += [table_section(path, types(path)) for path in tables]
    for label, results in compared.items():
        patterns += [each for each in sections(results[0], [_most_cd8(results[0])], label=label) if each.cd8]
    if not patterns:
        return ""
    figure = plots.infiltration(patterns).figure
    assert isinstance(figure, Figure)
    numbers = [summary(pattern) for pattern in patterns]
    names = [f"{'CD8 cells' if name == 'cells' else name}, {unit}".removesuffix(", ") for name, unit in SUMMARY.items()]
    rows = [(label, *(_number(each[key]) for each in numbers)) for label, key in zip(names, SUMMARY, strict=True)]
    body = table(("", *(pattern.title for pattern in patterns)), rows)
    return f"<h2>CD8 cells in space</h2>{inline(figure)}{body}<p class=note>{html.escape(_NOTE)}</p>"


def _most_cd8(result: Result) -> int:
    """The snapshot with the most CD8 cells at all sites; the last one without any."""
    counts = result.counts
    columns = [f"cells.{state}" for state in cd8_states(result.scenario.document)]
    at = counts["minutes"].searchsorted(result.times - 1e-6).clip(0, len(counts) - 1)
    cells = counts[columns].sum(axis=1).to_numpy()[at]
    return int(cells.argmax()) if cells.any() else -1


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
