"""One page that compares results or the arms of trials, with nothing to load from elsewhere."""

from __future__ import annotations

import base64
import html
import io
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gpusim.analysis import ALL_TUMOUR_CELLS, field_label, state_label, states_with, tumour_states, whole
from gpusim.analysis.response import Reading, Response, readings, response
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.study.folder import TABLE
from gpusim.study.trial import Trial
from gpusim.study.verdict import Verdict, verdicts
from gpusim.viz.moment import LOOKED_AT, Moment, moment_of_result, some_of
from gpusim.viz.overlay import field_label as written
from gpusim.viz.palette import THEMES
from gpusim.viz.render import save_picture
from gpusim.viz.scene import Look, span_of

DAY = 1440.0
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b3a8c", "#000000")
_PICTURE = (640, 480)

Groups = Mapping[str, Sequence[Result]]
"""What is compared, by its label: replicates of one arm, or a single result."""


def groups(folders: Iterable[Path]) -> tuple[dict[str, list[Result]], list[Verdict]]:
    """Results by label, and the verdicts of trials among them. Raises `ResultError`."""
    found: dict[str, list[Result]] = {}
    found_of_trials: list[Verdict] = []
    given = list(folders)
    for folder in given:
        if not (folder / TABLE).is_file():
            found[folder.name if folder.name not in found else str(folder)] = [Result(folder)]
            continue
        trial = Trial.open(folder)
        found_of_trials += verdicts(trial)
        for arm, rows in trial.table.groupby("arm", sort=False):
            label = str(arm) if len(given) == 1 else f"{folder.name}: {arm}"
            found[label] = [Result(folder / str(arm) / str(seed)) for seed in rows["seed"]]
    if not found:
        raise ResultError("compare: expected one result or more")
    return found, found_of_trials


def save_report(folders: Sequence[Path], target: Path, *, pictures: bool = True) -> None:
    """Write the page. Raises `ResultError`, `ScenarioError`."""
    compared, found = groups(folders)
    parts = [
        _verdicts(found),
        f"<h2>{ALL_TUMOUR_CELLS.capitalize()}</h2>"
        + _inline(_curves(compared, _tumour_cells, ALL_TUMOUR_CELLS))
        + _which_cells(compared),
        *_lesions(compared),
        "<h2>At the end</h2>" + _table(compared),
    ]
    if pictures:
        parts.append("<h2>Pictures</h2>" + _pictures(compared))
    title = ", ".join(folder.name for folder in folders)
    target.write_text(_PAGE.format(title=html.escape(title), body="\n".join(parts)), encoding="utf-8")


def _lesions(compared: Groups) -> list[str]:
    """Heat, diameters and response, of those whose scenario has `heat`: it says what a lesion is."""
    known = {label: results for label, results in compared.items() if all(r.document.heat for r in results)}
    read = {label: [readings(result) for result in results] for label, results in known.items()}
    parts = known and [
        "<h2>Tumour heat</h2>"
        + _inline(_over_readings(read, lambda r: r.heat, "mean heat of the largest lesion's core")),
        "<h2>Sum of diameters</h2>" + _inline(_over_readings(read, lambda r: r.total, "sum of diameters, um")),
        "<h2>Response</h2>" + _responses(read),
    ]
    without = ", ".join(html.escape(label) for label in compared if label not in known)
    missing = f"<p>Without lesions, heat and response, as the scenario has no 'heat': {without}.</p>" if without else ""
    return [*parts, missing]


def _tumour_cells(result: Result) -> tuple[np.ndarray, np.ndarray]:
    counts, states = result.counts, tumour_states(result.scenario.document)
    return counts["minutes"].to_numpy() / DAY, counts[[f"cells.{s}" for s in states]].sum(axis=1).to_numpy(float)


def _which_cells(compared: Groups) -> str:
    """The states that "all tumour cells" are, for each way in which the results' scenarios have them."""
    ways: dict[tuple[str, ...], list[str]] = {}
    for name, results in compared.items():
        ways.setdefault(tuple(tumour_states(results[0].scenario.document)), []).append(name)
    told = [
        f"{', '.join(states) or 'none in the scenario'}" + (f" ({', '.join(names)})" if len(ways) > 1 else "")
        for states, names in ways.items()
    ]
    return f"<p class=note>{ALL_TUMOUR_CELLS.capitalize()}: {html.escape('; '.join(told))}.</p>"


def _curves(compared: Groups, of: object, label: str) -> Figure:
    def series(results: Sequence[Result]) -> tuple[np.ndarray, np.ndarray]:
        found = [of(result) for result in results]  # type: ignore[operator]
        length = min(len(values) for _, values in found)
        return found[0][0][:length], np.array([values[:length] for _, values in found])

    return _figure({name: series(results) for name, results in compared.items()}, label)


def _over_readings(read: Mapping[str, list[list[Reading]]], of: object, label: str) -> Figure:
    def series(runs: list[list[Reading]]) -> tuple[np.ndarray, np.ndarray]:
        length = min(map(len, runs))
        values = np.array([[of(reading) for reading in run[:length]] for run in runs])  # type: ignore[operator]
        return np.array([reading.minutes / DAY for reading in runs[0][:length]]), values

    return _figure({name: series(runs) for name, runs in read.items()}, label)


def _figure(series: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str) -> Figure:
    """Medians over days, with a band from the lowest to the highest replicate."""
    # A folder may be called $x$; it is no formula.
    plain = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    with mpl.rc_context(plain):
        figure = Figure(figsize=(7.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        lines = []
        for i, (days, values) in enumerate(series.values()):
            colour = _COLOURS[i % len(_COLOURS)]
            lines += axes.plot(days, np.median(values, axis=0), color=colour, linewidth=1.8)
            if len(values) > 1:
                axes.fill_between(days, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="time, days", ylabel=label)
        axes.set_ylim(bottom=0)
        # Given here, as Matplotlib leaves out a label that begins with "_".
        axes.legend(lines, list(series), frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _inline(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _responses(read: Mapping[str, list[list[Reading]]]) -> str:
    rows = []
    for name, runs in read.items():
        found: list[Response] = [response(run) for run in runs if len(run) > 1]
        if not found:
            continue
        best = ", ".join(f"{sum(r.best is c for r in found)} {c}" for c in dict.fromkeys(r.best for r in found))
        sites = list(runs[0][0].diameters)
        by_site = [f"{site} {_change([_diameters(run, site) for run in runs])}" for site in sites]
        progressed = [r.progressed / DAY for r in found if r.progressed is not None]
        when = f", median day {statistics.median(progressed):.3g}" if progressed else ""
        rows.append(
            (
                name,
                _change([(run[0].total, run[-1].total) for run in runs]),
                ", ".join(by_site) if len(sites) > 1 else "",
                best,
                f"{len(progressed)} of {len(found)}{when}",
                f"{sum(r.lasting for r in found)} of {len(found)}",
                f"{sum(r.pseudo_progression for r in found)} of {len(found)}",
            )
        )
    head = (
        "",
        "sum of diameters",
        "by site",
        "best response",
        "progressed",
        "response at the end",
        "pseudo-progression",
    )
    note = "Categories of RECIST 1.1 by sums of diameters, without its absolute 5 mm; pseudo-progression as in iRECIST."
    return _rows(head, rows) + f"<p class=note>{note}</p>"


def _diameters(run: Sequence[Reading], site: str) -> tuple[float, float]:
    """Of the lesions of a site, at the start and at the end."""
    return run[0].diameters[site], run[-1].diameters[site]


def _change(diameters: Sequence[tuple[float, float]]) -> str:
    """The median change; of lesions that were not there at the start, in how many runs they are new."""
    changes = [end / start - 1 for start, end in diameters if start > 0]
    if changes:
        return f"{statistics.median(changes):+.0%}"
    new = sum(end > 0 for _, end in diameters)
    return f"new in {new} of {len(diameters)}" if new else "none"


def _table(compared: Groups) -> str:
    """Cells and harm at the end, medians."""
    columns: dict[str, Callable[[pd.DataFrame], float]] = {}
    for results in compared.values():
        columns |= _reported(results[0])
    rows = []
    for name, results in compared.items():
        counts = [result.counts for result in results]
        row = [name]
        for value in columns.values():
            try:
                row.append(f"{statistics.median(float(value(c)) for c in counts):,.4g}")
            except KeyError:  # of another scenario
                row.append("")
        rows.append(row)
    return _rows(("", *columns), rows)


def _reported(result: Result) -> dict[str, Callable[[pd.DataFrame], float]]:
    """What the roles in a scenario ask for, by its heading, each from the table of counts."""
    document = result.scenario.document
    found: dict[str, Callable[[pd.DataFrame], float]] = {}
    for name in states_with(document, "healthy"):
        found[f"{state_label(document, name)} cells lost"] = partial(_lost, f"cells.{name}")
    for rule, spec in document.rules.items():
        if spec.role == "harm":
            found[spec.label or rule] = partial(_at_end, f"fired.{rule}")
    for quantity, part in document.body.quantities.items():
        if part.role == "reserve":
            found[f"lowest {part.label or quantity}"] = partial(_lowest, f"body.{quantity}")
    for name in states_with(document, "effector"):
        found[f"peak {state_label(document, name)}"] = partial(_highest, f"cells.{name}", 1.0)
    for quantity, part in document.body.quantities.items():
        if part.role == "memory":
            found[part.label or quantity] = partial(_at_end, f"body.{quantity}")
    sites = [Result(result.folder, site) for site in result.sites]
    sizes = [each.array("tissue", 0).size for each in sites], [each.spacing for each in sites]
    for name, field in document.fields.items():
        if field.role == "effector":
            told = whole(field.unit, *sizes)
            found[f"peak {field_label(document, name)}, {told.label}"] = partial(_highest, f"total.{name}", told.factor)
    return found


def _lost(column: str, counts: pd.DataFrame) -> float:
    return float(counts[column].iloc[0] - counts[column].iloc[-1])


def _at_end(column: str, counts: pd.DataFrame) -> float:
    return float(counts[column].iloc[-1])


def _lowest(column: str, counts: pd.DataFrame) -> float:
    return float(counts[column].min())


def _highest(column: str, factor: float, counts: pd.DataFrame) -> float:
    return float(counts[column].max() * factor)


def _spans(sites: Sequence[Result]) -> dict[tuple[str, str], tuple[float, float]]:
    """Of each field that is shown, by its name and what is written of it: the span of its colours, over all times."""
    fields: dict[tuple[str, str], list[Callable[[], Moment]]] = {}
    for result in sites:
        key = _shown_field(moment_of_result(result))
        for i in some_of(len(result.times), LOOKED_AT):
            fields.setdefault(key, []).append(partial(moment_of_result, result, i))
    return {key: span_of(moment().values(key[0]) for moment in moments) for key, moments in fields.items()}


def _shown_field(moment: Moment) -> tuple[str, str]:
    name = moment.field_names[0]
    return name, written(moment, name)


def _pictures(compared: Groups) -> str:
    shown = []
    spans = _spans([Result(results[0].folder, site) for results in compared.values() for site in results[0].sites])
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, results) in enumerate(compared.items()):
            for site in results[0].sites:
                path = Path(folder) / f"{i}-{site}.png"
                moment = moment_of_result(Result(results[0].folder, site))
                field = _shown_field(moment)
                look = Look(field[0], THEMES["light"], spans[field])
                save_picture(moment, path, look, _PICTURE)
                data = base64.b64encode(path.read_bytes()).decode()
                label = html.escape(name + (f", {site}" if len(results[0].sites) > 1 else ""))
                image = f'<img src="data:image/png;base64,{data}" alt="">'
                shown.append(f"<figure>{image}<figcaption>{label}</figcaption></figure>")
    scales = "; ".join(f"{label}, from {low:g} to {high:g}" for (_, label), (low, high) in spans.items())
    note = f"The end of the first seed of each. One scale of colours in all pictures, for all times: {scales}."
    return f"<p class=note>{html.escape(note)}</p><div class=pictures>{''.join(shown)}</div>"


def _verdicts(found: Sequence[Verdict]) -> str:
    if not found:
        return ""
    items = "".join(f"<li class={each.finding.name.lower()}>{html.escape(str(each))}</li>" for each in found)
    return f"<h2>What was expected</h2><ul>{items}</ul>"


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1, h2 {{ font-weight: 600 }} h2 {{ margin-top: 2.5rem }}
table {{ border-collapse: collapse; font-size: 14px }}
th, td {{ padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
li.held::marker {{ content: "\\2713  " }} li.not_held::marker {{ content: "\\2717  " }}
li.too_few::marker {{ content: "?  " }}
.note {{ color: #666; font-size: 13px }}
.pictures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem }}
figure {{ margin: 0 }} img, svg {{ width: 100%; height: auto }} figcaption {{ text-align: center; font-size: 14px }}
</style>
<h1>{title}</h1>
<p class=note>Simulated with gpusim, a research tool, not a medical device. Lines are medians of the replicates,
bands go from the lowest to the highest.</p>
{body}
</html>
"""
