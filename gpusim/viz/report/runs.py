"""Parts of a report on runs: curves, lesions, responses, times to events, outcomes, pictures, sources."""

from __future__ import annotations

import html
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gpusim.analysis import (
    field_label,
    state_label,
    states_with,
    trait_label,
    tumour_states,
    whole,
)
from gpusim.analysis.firings import LEAST_RUNS, fold_changes
from gpusim.analysis.response import Reading, Response, readings, response
from gpusim.analysis.survival import Event, effects, eradication, progression, seed_of
from gpusim.record import Result
from gpusim.scenario import numbers, references
from gpusim.study.robustness import HEAD, Robustness
from gpusim.study.trial import Trial
from gpusim.study.verdict import Verdict
from gpusim.viz import plots
from gpusim.viz.moment import LOOKED_AT, Moment, moment_of_result, some_of
from gpusim.viz.overlay import field_label as written
from gpusim.viz.palette import THEMES
from gpusim.viz.plots.style import DAY
from gpusim.viz.plots.trials import FALSE_DISCOVERY
from gpusim.viz.render import picture
from gpusim.viz.report.curves import PLAIN, draw
from gpusim.viz.report.page import capital, enlargeable, inline, table
from gpusim.viz.scene import Look, span_of

_PICTURE = (1280, 800)
_HEAT = "mean heat of the largest lesion's core"
_DIAMETERS = "sum of diameters, um"

Groups = Mapping[str, Sequence[Result]]
"""What is compared, by its label: replicates of one arm, or a single result."""


def each_site(compared: Groups) -> Iterator[tuple[str, Groups]]:
    """Each site, with what has it."""
    for site in dict.fromkeys(site for results in compared.values() for site in results[0].sites):
        yield site, {name: results for name, results in compared.items() if site in results[0].sites}


def lesions(compared: Groups) -> list[str]:
    """Heat, diameters and response, of those whose scenario has `heat`: it says what a lesion is."""
    known = {label: results for label, results in compared.items() if all(r.document.heat for r in results)}
    read = {label: [readings(result) for result in results] for label, results in known.items()}
    parts = known and [
        "<h2>Tumour heat</h2>"
        + inline(_over_readings(read, lambda r: r.heat, _HEAT))
        + _by_site(read, lambda r: r.heats, _HEAT),
        "<h2>Sum of diameters</h2>"
        + inline(_over_readings(read, lambda r: r.total, _DIAMETERS))
        + _by_site(read, lambda r: r.diameters, _DIAMETERS),
        "<h2>Response</h2>" + _responses(read) + _of_each_run(read),
        _time_to_event(known, read),
    ]
    without = ", ".join(html.escape(label) for label in compared if label not in known)
    missing = f"<p>Without lesions, heat and response, as the scenario has no 'heat': {without}.</p>" if without else ""
    return [*parts, missing]


def _by_site(read: Mapping[str, list[list[Reading]]], of: Callable[[Reading], Mapping[str, float]], label: str) -> str:
    """Curves of each site, of those that have it; empty with a single site."""
    sites = list(dict.fromkeys(site for runs in read.values() for run in runs for site in run[0].diameters))
    if len(sites) < 2:
        return ""
    parts = []
    for site in sites:
        having = {name: runs for name, runs in read.items() if site in runs[0][0].diameters}
        figure = _over_readings(having, lambda r, site=site: of(r)[site], label)
        parts.append(f"<h3>{html.escape(site)}</h3>{inline(figure)}")
    return "".join(parts)


def _of_each_run(read: Mapping[str, list[list[Reading]]]) -> str:
    """Waterfall and spider plots, of several runs of two readings or more."""
    if sum(len(run) > 1 for runs in read.values() for run in runs) < 2:
        return ""
    return inline(plots.waterfall(read)) + inline(plots.spider(read))


def _time_to_event(known: Groups, read: Mapping[str, list[list[Reading]]]) -> str:
    """Kaplan-Meier curves of progression and of eradication, and the arms in pairs; of arms of several runs."""
    several = [name for name, runs in read.items() if len(runs) > 1 and all(len(run) > 1 for run in runs)]
    if not several:
        return ""
    arms = {
        Event.PROGRESSION: {name: progression(read[name], [seed_of(each) for each in known[name]]) for name in several},
        Event.ERADICATION: {name: eradication(known[name]) for name in several},
    }
    parts = []
    for event, times in arms.items():
        if not any(each.happened.any() for each in times.values()):
            parts.append(f"<p class=note>No {event} in any run.</p>")
            continue
        figure = inline(plots.survival(times, event))
        items = "".join(f"<li>{html.escape(str(effect))}</li>" for effect in effects(times))
        parts.append(f"<h3>{capital(event)}</h3>{figure}" + (f"<ul>{items}</ul>" if items else ""))
    note = (
        "Kaplan-Meier curves with 95% intervals; ticks are runs that end without the event. Progression: the first by "
        "RECIST 1.1 that the next reading confirms. Eradication: from then on, no tumour cell is left. Arms with the "
        "same seeds are compared seed by seed, with 95% intervals by bootstrap; log-rank tests need independent seeds."
    )
    return f"<h2>Time to event</h2>{''.join(parts)}<p class=note>{note}</p>"


def outcomes(name: str, trial: Trial) -> str:
    """Every outcome that a trial names: a dot for each seed of each arm."""
    figure = inline(plots.arms(trial, trial.outcomes))
    rows = [(arm, *spreads) for arm, spreads in trial.spreads()]
    numbers = table((f"{name}, median (range)", *trial.outcomes), rows)
    return f"<h2>Outcomes</h2>{figure}<details><summary>Numbers</summary>{numbers}</details>"


def tumour_cells_over_time(compared: Groups, cells: str) -> str:
    """Curves of the tumour's cells, and which states they are."""
    figure = inline(_curves(compared, _tumour_cells, cells))
    parts = []
    for site, having in each_site(compared):
        if all(len(results[0].sites) > 1 for results in having.values()):
            curves = _curves(having, partial(_tumour_cells, at=f"{site}."), cells)
            parts.append(f"<h3>{html.escape(site)}</h3>{inline(curves)}")
    return f"<h2>{capital(cells)}</h2>{figure}{''.join(parts)}{_which_cells(compared, cells)}"


def firings(compared: Groups) -> str:
    """Volcano plots of the rules, of each group of several runs against the first; empty without."""
    several = {name: results for name, results in compared.items() if len(results) >= LEAST_RUNS}
    if len(several) < 2:
        return ""
    (first, reference), *others = several.items()
    parts = []
    for name, results in others:
        paired = list(map(seed_of, reference)) == list(map(seed_of, results))
        table = fold_changes(_fired(reference), _fired(results), paired=paired)
        if table["q"].notna().any():
            figure = Figure(figsize=(6.8, 4.2), layout="constrained")
            plots.volcano(table, first, name, axes=figure.add_subplot())
            parts.append(inline(figure))
    if not parts:
        return ""
    note = (
        f"How often each rule fired until the end, compared with {first}: mean difference of the logarithms of firings "
        "+ 1/2, t-tests (of pairs where arms share their seeds), p values adjusted by Benjamini and Hochberg. Colours: "
        f"a false discovery rate below {FALSE_DISCOVERY:.0%}. Few runs give little evidence."
    )
    return f"<h2>Rules</h2>{''.join(parts)}<p class=note>{html.escape(note)}</p>"


def _fired(results: Sequence[Result]) -> dict[str, list[float]]:
    """Firings of each rule in each run."""
    ends = [result.counts.iloc[-1] for result in results]
    names = [column for column in ends[0].index if column.startswith("fired.")]
    return {name.removeprefix("fired."): [float(end[name]) for end in ends] for name in names}


def traits(compared: Groups) -> list[str]:
    """The mean of each trait over time, of those whose scenario has it."""
    parts = []
    labels: dict[str, list[str]] = {}
    for label, results in compared.items():
        for name in results[0].scenario.document.traits:
            labels.setdefault(name, []).append(label)
    for name, having in labels.items():
        document = compared[having[0]][0].scenario.document
        unit, of = document.traits[name].unit, document.traits[name].of
        label = f"mean {trait_label(document, name)}, {unit}".removesuffix(", dimensionless")
        figure = _curves({each: compared[each] for each in having}, partial(_mean, name), label)
        states = "; ".join(state_label(document, state) for state in of)  # a label may contain commas
        heading = html.escape(capital(trait_label(document, name)))
        parts.append(f"<h2>{heading}</h2>{inline(figure)}<p class=note>Mean over cells: {html.escape(states)}.</p>")
    return parts


def _mean(trait: str, result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Means of a trait; not a number at times without cells that have it."""
    counts = result.counts
    return counts["minutes"].to_numpy() / DAY, counts[f"mean.{trait}"].to_numpy(float)


def _tumour_cells(result: Result, at: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Of all sites together, or `at` one, by the prefix of its columns."""
    counts, states = result.counts, tumour_states(result.scenario.document)
    return counts["minutes"].to_numpy() / DAY, counts[[f"{at}cells.{s}" for s in states]].sum(axis=1).to_numpy(float)


def _which_cells(compared: Groups, label: str) -> str:
    """The states of the cells that are labelled so, for each way in which the results' scenarios have them."""
    ways: dict[tuple[str, ...], list[str]] = {}
    for name, results in compared.items():
        ways.setdefault(tuple(tumour_states(results[0].scenario.document)), []).append(name)
    told = [
        f"{', '.join(states) or 'none in the scenario'}" + (f" ({', '.join(names)})" if len(ways) > 1 else "")
        for states, names in ways.items()
    ]
    return f"<p class=note>{capital(label)}: {html.escape('; '.join(told))}.</p>"


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
    with mpl.rc_context(PLAIN):
        figure = Figure(figsize=(7.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        lines = draw(axes, series)
        axes.set(xlabel="time, days", ylabel=label)
        # Given here, as Matplotlib leaves out a label that begins with "_".
        axes.legend(lines, list(series), frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


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
    return table(head, rows) + f"<p class=note>{note}</p>"


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


def at_the_end(compared: Groups) -> str:
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
    return table(("", *columns), rows)


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
    sizes = result.sizes
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
    return {key: span_of((moment() for moment in moments), key[0]) for key, moments in fields.items()}


def _shown_field(moment: Moment) -> tuple[str, str]:
    name = moment.field_names[0]
    return name, written(moment, name)


def pictures(compared: Groups) -> str:
    """The end of the first run of each, at all sites, in one scale of colours."""
    shown = []
    spans = _spans([Result(results[0].folder, site) for results in compared.values() for site in results[0].sites])
    for name, results in compared.items():
        for site in results[0].sites:
            moment = moment_of_result(Result(results[0].folder, site))
            field = _shown_field(moment)
            pixels, _ = picture([moment], Look(field[0], THEMES["light"], spans[field]), _PICTURE)
            label = html.escape(name + (f", {site}" if len(results[0].sites) > 1 else ""))
            shown.append(f"<figure>{enlargeable(pixels, label)}<figcaption>{label}</figcaption></figure>")
    scales = "; ".join(f"{label}, from {low:g} to {high:g}" for (_, label), (low, high) in spans.items())
    note = f"The end of the first seed of each. One scale of colours in all pictures, for all times: {scales}. "
    note += "A click enlarges a picture."
    return f"<p class=note>{html.escape(note)}</p><div class=pictures>{''.join(shown)}</div>"


def verdicts(found: Sequence[Verdict], remarks: Sequence[str] = ()) -> str:
    """Expected orders and what came of them, with remarks on the arms; empty without."""
    notes = "".join(f"<p class=note>{html.escape(each)}</p>" for each in remarks)
    if not found:
        return notes
    items = "".join(f"<li class={each.finding.name.lower()}>{html.escape(str(each))}</li>" for each in found)
    return f"<h2>What was expected</h2><ul>{items}</ul>{notes}"


def robustness(found: Robustness) -> str:
    """In which share of the sets each order holds."""
    remarks = "".join(f"<p class=note>{html.escape(remark)}</p>" for remark in found.remarks())
    title = f"Robustness of {found.scenario.document.name}"
    return f"<h2>{html.escape(title)}</h2>" + table(HEAD, found.rows()) + remarks


def sources(compared: Groups) -> str:
    """How many numbers of each scenario are measured, fitted, derived or assumed, and the references."""
    found = {name: results[0].scenario.numbers for name, results in compared.items()}
    kinds = {name: numbers.counts(each) for name, each in found.items()}
    head = next(iter(kinds.values()))
    of_kinds = table(("", *head), [(name, *map(str, each.values())) for name, each in kinds.items()])
    supported: dict[str, dict[str, None]] = {}
    for each in found.values():
        for key, its in numbers.by_reference(each).items():
            supported.setdefault(key, {}).update(dict.fromkeys(number.path for number in its))
    items = "".join(
        f"<li>{html.escape(references.cited(key))}<br><span class=note>{html.escape(', '.join(paths))}</span></li>"
        for key, paths in sorted(supported.items())
    )
    return of_kinds + (f"<details><summary>References</summary><ol>{items}</ol></details>" if items else "")
