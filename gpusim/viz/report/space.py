"""Part of a report on where cells are, in results and in tables of real tissue alike."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from gpusim.analysis import tumour_states
from gpusim.analysis.sections import SUMMARY, Pattern, sections, summary, table_section
from gpusim.record import Result
from gpusim.scenario import Document
from gpusim.units import duration
from gpusim.viz import plots
from gpusim.viz.report.page import inline, table
from gpusim.viz.report.runs import each_site

_NOTE = (
    "Results are seen in one plane of voxels through the middle of the initial tumour, of the first seed of each, at "
    "{times}, for each site the last time at which all have tumour cells. The edge separates tiles of 20 µm with a "
    "majority of tumour cells from the rest; the outline of the tissue is no edge. Densities are those of a section "
    "of 4 µm, which shows the cells of 12 µm. K, cross-K and the Clark-Evans index are corrected for the edges of the "
    "tissue; random cells have 1."
)


def part(
    compared: Mapping[str, Sequence[Result]], tables: Sequence[Path], types: Callable[[Path], Document] | None
) -> str:
    """CD8 cells by distance from the edge, and the numbers of each section; empty without CD8 cells in the model."""
    patterns: list[Pattern] = []
    if types is not None:
        patterns += [table_section(path, types(path)) for path in tables]
    for site, having in each_site(compared):
        there = {label: Result(results[0].folder, site) for label, results in having.items()}
        shown = snapshots(there)
        for label, result in there.items():
            patterns += [each for each in sections(result, [shown[label]], label=label) if each.cd8]
    if not patterns:
        return ""
    figure = plots.infiltration(patterns).figure
    assert isinstance(figure, Figure)
    numbers = [summary(pattern) for pattern in patterns]
    names = [f"{'CD8 cells' if name == 'cells' else name}, {unit}".removesuffix(", ") for name, unit in SUMMARY.items()]
    rows = [(label, *(_number(each[key]) for each in numbers)) for label, key in zip(names, SUMMARY, strict=True)]
    body = table(("", *(pattern.title for pattern in patterns)), rows)
    times = dict.fromkeys(duration(pattern.minutes) for pattern in patterns if pattern.minutes is not None)
    note = _NOTE.format(times=" or ".join(times) or "no time")
    return f"<h2>CD8 cells in space</h2>{inline(figure)}{body}<p class=note>{html.escape(note)}</p>"


def snapshots(results: Mapping[str, Result]) -> dict[str, int]:
    """The snapshot of each at the last time at which all have tumour cells; the last one where some never has any."""
    last = min(map(_last_with_tumour, results.values()))
    return {label: int(result.times.searchsorted(last + 1e-6)) - 1 for label, result in results.items()}


def _last_with_tumour(result: Result) -> float:
    """Time of the last snapshot with tumour cells at the site that is drawn, minutes; without any, of the last one."""
    counts = result.counts
    at = f"{result.site}." if len(result.sites) > 1 else ""
    columns = [f"{at}cells.{state}" for state in tumour_states(result.scenario.document)]
    rows = counts["minutes"].searchsorted(result.times - 1e-6).clip(0, len(counts) - 1)
    there = counts[columns].sum(axis=1).to_numpy()[rows] > 0
    return float(result.times[there].max() if there.any() else result.times[-1])


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
