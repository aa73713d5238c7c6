"""Part of a report on a study, and the files of its figures."""

import html
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gpusim.errors import GpusimError, ResultError
from gpusim.record.files import aside
from gpusim.scenario.checks import nearest
from gpusim.study.answer import Answer, by_point, spread, variance, varied
from gpusim.study.sweep import FAILURE
from gpusim.viz import plots
from gpusim.viz.report.page import inline, table

_ROWS = 200
"""Points of a table on a page, at most."""
_FACTORS = 8
"""Parameters that are drawn side by side, at most."""

Draw = Callable[[], Figure]


def figures(answer: Answer, dose: str | None = None) -> Iterator[tuple[str, str, Draw]]:
    """The figures that answer a study: the name of a file, a title, and what draws it.

    Args:
        dose: parameter over which Hill curves are fitted. Raises `ResultError` if the study does not sweep it.
    """
    if dose is not None:
        swept = [] if answer.runs is None else varied(answer.runs, list(answer.document.parameters))
        if dose not in swept:
            listed = f" (it has: {', '.join(swept) or 'none'})"
            raise ResultError(f"dose: '{dose}' is no swept number of {answer.folder}{nearest(dose, swept) or listed}")
    if answer.runs is not None:
        yield from _of_runs(answer, dose)
    if (indices := answer.indices) is not None:
        for outcome in dict.fromkeys(indices["outcome"]):
            name = f"sensitivity-{_plain(outcome)}"
            yield name, f"Sensitivity of {outcome}", partial(plots.sensitivity, indices, outcome)
    if (against := answer.against) is not None:
        yield "fit", "Fit", partial(plots.fit, against)
    if (particles := answer.particles) is not None:
        yield "corner", "Posterior", partial(plots.corner, particles, list(answer.document.parameters))


def _of_runs(answer: Answer, dose: str | None) -> Iterator[tuple[str, str, Draw]]:
    runs = answer.runs
    assert runs is not None
    done = runs[runs[FAILURE] == ""]
    done.attrs = runs.attrs
    outcomes = [name for name in answer.outcomes if done[name].notna().any()]
    parameters = varied(done, list(answer.document.parameters))
    if not outcomes or not parameters:
        return
    if dose is not None:
        yield "dose", f"Dose-response of {dose}", lambda: plots.dose_response(done, dose, outcomes)
    if len(parameters) == 1:
        (only,) = parameters
        yield "outcomes", f"Outcomes by {only}", lambda: plots.by_parameter(done, only, outcomes)
        if (shares := variance(done, answer.document)) is not None:
            yield "variance", "What makes outcomes differ: parameter and seeds", partial(plots.variance, shares)
        return
    if len(parameters) == 2 and answer.document.design.kind == "grid":
        x, y = parameters
        yield "map", f"Outcomes by {x} and {y}: medians and ranges", lambda: plots.phase_maps(done, x, y, outcomes)
    if (shares := variance(done, answer.document)) is not None:
        yield "variance", "What makes outcomes differ: parameters and seeds", partial(plots.variance, shares)
    # More would not be readable; those with the strongest rank correlations are drawn.
    strongest = sorted(parameters, key=lambda p: -max(abs(_rank(done, p, outcome)) for outcome in outcomes))
    chosen = [p for p in parameters if p in strongest[:_FACTORS]]
    yield "effects", "Outcomes by each parameter", lambda: plots.effects(done, chosen, outcomes)


def _rank(table: pd.DataFrame, parameter: str, outcome: str) -> float:
    found = table[parameter].rank().corr(table[outcome].rank())
    return 0.0 if pd.isna(found) else float(found)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def save_figures(answer: Answer, folder: Path) -> list[Path]:
    """Draw the figures into a folder as PNG; what cannot be drawn is told as a warning."""
    saved = []
    for name, _, draw in figures(answer):
        try:
            figure = draw()
        except GpusimError as error:
            warnings.warn(f"{name}.png: {error}", stacklevel=2)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with aside(folder / f"{name}.png") as unready:
            figure.savefig(unready, dpi=160)
        plt.close(figure)
        saved.append(folder / f"{name}.png")
    return saved


def parts(answer: Answer, dose: str | None = None) -> Iterator[str]:
    """Title, figures, a row for each point, and estimates."""
    document = answer.document
    described = f"<p>{html.escape(document.description)}</p>" if document.description else ""
    yield f"<h2>Study {html.escape(document.name)}</h2>{described}{_design(answer)}"
    for _, title, draw in figures(answer, dose):
        try:
            drawn = inline(draw())
        except GpusimError as error:
            drawn = f"<p class=note>{html.escape(str(error))}</p>"
        yield f"<h3>{html.escape(title)}</h3>{drawn}"
    if answer.estimates is not None:
        rows = [[str(v) if isinstance(v, str) else f"{v:.4g}" for v in row] for row in answer.estimates.to_numpy()]
        yield "<h3>Estimates</h3>" + table(("parameter", "unit", "estimate", "95% from", "to"), rows)
    if answer.runs is not None:
        yield _points(answer, answer.runs)


def _design(answer: Answer) -> str:
    document = answer.document
    told = f"Scenario {document.scenario}; arms: {', '.join(document.arms)}; {document.replicates} replicates."
    if answer.runs is not None:
        failed = int((answer.runs[FAILURE] != "").sum())
        told += f" {answer.runs['point'].nunique():,} points, {len(answer.runs):,} runs, {failed:,} failed."
    return f"<p class=note>{html.escape(told)} Maps and lines are medians of the replicates, with ranges.</p>"


def _points(answer: Answer, runs: pd.DataFrame) -> str:
    found = by_point(runs, answer.document)
    units = runs.attrs.get("units", {})
    parameters = list(answer.document.parameters)
    head = ("point", "arm", *(f"{p}, {units[p]}" if units.get(p) else p for p in parameters), "runs", *answer.outcomes)
    rows = [
        (
            str(row["point"]),
            str(row["arm"]),
            *(value if isinstance(value, str) else f"{value:.4g}" for value in (row[p] for p in parameters)),
            str(row["runs"]),
            *(spread(row, name) for name in answer.outcomes),
        )
        for row in found.head(_ROWS).to_dict("records")
    ]
    rest = f"<p class=note>The first {_ROWS} of {len(found):,} rows.</p>" if len(found) > _ROWS else ""
    return f"<h3>Points: median (lowest to highest)</h3>{table(head, rows)}{rest}"
