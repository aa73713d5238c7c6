"""`gpusim check`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import (
    SetOption,
    app,
    load,
    new_table,
    out,
    placements,
    shapes_of,
    tell_notes,
)
from gpusim.errors import ResultError, ScenarioError
from gpusim.memory import available, size
from gpusim.units import duration

if TYPE_CHECKING:
    from rich.table import Table

    from gpusim.cli.outline import Section
    from gpusim.engine.transport import Choice
    from gpusim.model import Model
    from gpusim.scenario import Scenario


_NAMED = 10
"""Largest number of numbers without a source that are named."""


@app.command()
def check(
    scenario: Annotated[
        str, typer.Argument(help="A shipped scenario (see 'gpusim presets'), a YAML file, or a folder of results.")
    ],
    sets: SetOption = None,
    replicates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Print the memory for this number of replicates, stepped together.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    diagram: Annotated[
        bool, typer.Option("--diagram", help="Print only a diagram of states and rules, in the Mermaid language.")
    ] = False,
) -> None:
    """Check a scenario without running it, and print what it contains; or check the files of a result.

    The output lists the lattice, memory and time steps, fields with their solvers, the tissue at time 0, states with
    the cells of each site, rules with their modulators, the body, therapies, arms and expected orders.

    For the folder of a run, its replicates, a trial or a study, every file is compared with its checksum. Each damaged
    file gives one line; the exit code is then 2. (Write ./NAME for a folder with the name of a shipped scenario.)
    """
    from gpusim.scenario import presets

    if as_json and diagram:
        raise typer.BadParameter("--json and --diagram: expected one of them")
    if Path(scenario).is_dir() and scenario not in presets():
        if sets or replicates > 1 or as_json or diagram:
            raise typer.BadParameter(
                f"{scenario}: is a folder of results; --set, --replicates, --json and --diagram are for a scenario"
            )
        _check_folder(Path(scenario))
        return
    loaded = _loaded(scenario, sets)
    if diagram:
        sys.stdout.write(loaded.diagram())
        return
    _tell(loaded, replicates, _origins(scenario, loaded, sets or []), as_json=as_json)


def _loaded(name: str, sets: list[str] | None) -> Scenario:
    """The scenario. Raises `ScenarioError`, of a part of the library in a line of its own."""
    from gpusim.scenario import library

    try:
        return load(name, sets)
    except ScenarioError:
        kinds = [kind for kind, parts in library().items() if name in parts]
        if not kinds or sets:
            raise
        raise ScenarioError(
            f"{name}: is a part of the library ({kinds[0]}), no scenario; list it under 'extends' of one; "
            f"'gpusim presets {name}' prints its numbers"
        ) from None


def _origins(name: str, scenario: Scenario, sets: Sequence[str]) -> dict[str, list[str]]:
    """The files in which the keys of each therapy are written, by their names; "this file" for the file itself."""
    from gpusim.scenario import parse_set
    from gpusim.scenario.loading import extended, find

    own, places = find(name), extended(find(name)).places
    changed = {parse_set(text)[0].split(".")[1] for text in sets if text.startswith("therapies.")}
    found: dict[str, list[str]] = {}
    for therapy in scenario.written.therapies:
        files = [Path(place.rpartition(":")[0]) for path, place in places.items() if path[:2] == ("therapies", therapy)]
        names = ["this file" if file == own else file.stem for file in files]
        found[therapy] = list(dict.fromkeys([*names, *(["--set"] if therapy in changed else [])]))
    return found


@dataclass(frozen=True)
class Examined:
    """What is found in a valid scenario.

    Attributes:
        models: the model of each site.
        chosen, errors: solver and expected error of each field.
        notes: sentences on what has no effect, is slow or inaccurate.
    """

    models: Mapping[str, Model]
    chosen: Sequence[Choice]
    errors: Sequence[object]
    notes: Sequence[str]

    @property
    def model(self) -> Model:
        """That of the first site."""
        return next(iter(self.models.values()))


def examined(loaded: Scenario) -> Examined:
    """Build the models of a scenario, and look for what its schema cannot show. Raises `GpusimError`."""
    from gpusim.engine.transport import MOST_PASSES, choices
    from gpusim.engine.transport.accuracy import expected, too_large
    from gpusim.model import build
    from gpusim.study.folder import require_names
    from gpusim.study.trial import trial_notes

    require_names(loaded)
    models = {name: build(loaded.site(name)) for name in loaded.sites}
    model = models[loaded.sites[0]]
    chosen = choices(model)
    errors = expected(loaded.site(loaded.sites[0]).document, model, chosen)
    many = [f"{n} ({c.passes})" for n, c in zip(model.fields.names, chosen, strict=True) if c.passes > MOST_PASSES]
    slow = (
        f"more than {MOST_PASSES} explicit passes per time step: {', '.join(many)}; "
        "this is slow; 'solver: auto' would use an implicit scheme"
    )
    own = [note for each in models.values() for note in each.notes]
    notes = [*([slow] if many else []), *trial_notes(loaded), *own, *too_large(model, errors)]
    return Examined(models, chosen, errors, notes)


def _tell(loaded: Scenario, replicates: int, origins: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    from gpusim.backends.staging import BYTES
    from gpusim.cli.outline import sections
    from gpusim.engine.memory import of_copies, on_backend
    from gpusim.scenario.numbers import counts, in_words

    found = examined(loaded)
    models, model, notes = found.models, found.model, found.notes
    tables = sections(loaded, models, found.chosen, found.errors, origins)
    taken = replicates * sum(map(on_backend, models.values()))
    copies = max(map(of_copies, models.values()))
    stated = counts(loaded.numbers)
    if as_json:
        _write_json(loaded, models, tables, {"backend": taken, "host": copies, "gpu_copies": BYTES}, stated, notes)
        return
    out.print(f"{model.name}: {loaded.written.description}", markup=False)
    numbers = replicates * sum(each.voxels * len(each.fields) for each in models.values())
    share = f" ({taken / numbers:.1f} bytes per voxel and field)" if numbers else ""
    out.print(
        f"{shapes_of(models)}{f', {replicates} replicates' * (replicates > 1)}\n"
        f"memory: {size(taken)} on the backend{share}, {size(copies)} on the host for "
        f"output ({size(available())} free), {size(BYTES)} for copies to a GPU"
    )
    out.print(
        f"time step {model.step:g} min, rule step {model.step * model.rules_every:g} min, "
        f"{model.until} time steps to {duration(model.until * model.step)}"
    )
    adhesion = model.cells.adhesion
    if adhesion is not None:
        out.print(f"adhesion: sweeps per rule step: {adhesion.sweeps}, each tries {adhesion.share:.3g} of all pairs")
    if model.flow is not None and model.flow.speeds.any():
        _tell_flow(loaded, model)
    for section in tables:
        out.print()
        out.print(table(section))
    for site, each in models.items():
        at = f" at {site}" if len(models) > 1 else ""
        for name, unit, values in zip(each.fields.names, each.fields.units, each.fields.initial, strict=True):
            if values.ndim:
                low, high, mean = values.min(), values.max(), values.mean(dtype=float)
                out.print(f"{name} at time 0{at}: {low:g} to {high:g} {unit}, mean {mean:.4g}", markup=False)
    out.print()
    for each in models.values():
        placements(each)
    if trial := loaded.written.trial:
        out.print(f"{len(trial.arms)} arms, {trial.replicates} replicates of each")
    if total := sum(stated.values()):
        out.print(f"{total} numbers of the model: {in_words(stated)}")
    if unsourced := _unsourced(loaded):
        more = f" and {len(unsourced) - _NAMED} more (see --json)" if len(unsourced) > _NAMED else ""
        out.print(f"without a source: {', '.join(unsourced[:_NAMED])}{more}")
    tell_notes(notes)


def _unsourced(scenario: Scenario) -> list[str]:
    """Paths of the numbers without a source."""
    return [number.path for number in scenario.numbers if number.source is None]


def _tell_flow(scenario: Scenario, model: Model) -> None:
    """Passes of advection with the tissue of time 0. Raises `NumericalError` where there are too many."""
    from gpusim.engine import Simulation
    from gpusim.engine.transport.advection import MOST_PASSES

    assert model.flow is not None, "asked for a flow"
    with Simulation(scenario, "auto") as simulation:
        passes = max(site.passes_of_advection for site in simulation.replicates[0].sites.values())
    every = model.flow.every * model.step
    needles = ", or while a needle infuses" if any(dose.fluid for dose in model.doses) else ""
    out.print(
        f"flow: pressure solved every {every:g} min; advection: {passes} passes per time step at time 0{needles} "
        f"(at most {MOST_PASSES:,})"
    )


def table(section: Section) -> Table:
    """A section as a table for the terminal."""
    made = new_table(*section.columns)
    made.columns[0].no_wrap = True  # a name that is broken is found by no search
    for row in section.rows:
        made.add_row(
            *("\n".join(c) if isinstance(c, list) else f"{c:,}" if isinstance(c, int) else str(c) for c in row)
        )
    return made


def _write_json(
    scenario: Scenario,
    models: Mapping[str, Model],
    tables: Sequence[Section],
    memory: Mapping[str, int],
    numbers: Mapping[str, int],
    notes: Sequence[str],
) -> None:
    model = models[scenario.sites[0]]
    data: dict[str, Any] = {
        "name": model.name,
        "description": scenario.written.description,
        "sites": {name: {"shape_zyx": list(each.shape), "spacing_um": each.spacing} for name, each in models.items()},
        "memory_bytes": dict(memory),
        "time": {
            "step_min": model.step,
            "rule_step_min": model.step * model.rules_every,
            "steps": model.until,
            "until_min": model.until * model.step,
        },
        **{section.name: section.records for section in tables},
        "replicates": scenario.written.trial.replicates if scenario.written.trial else 1,
        "numbers": dict(numbers),
        "unsourced": _unsourced(scenario),
        "notes": list(dict.fromkeys(notes)),
    }
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _check_folder(folder: Path) -> None:
    """Check the files of a result folder. Raises `ResultError` with a line for each damaged file."""
    from gpusim.record import results_in
    from gpusim.record.checking import damages, is_result
    from gpusim.study.folder import damages as of_study
    from gpusim.study.folder import is_study, is_trial

    if is_trial(folder) or is_study(folder):
        found = list(of_study(folder))
    elif is_result(folder):
        found = list(damages(folder))
    elif several := results_in(folder):
        found = [line for each in several for line in damages(each)]
    else:
        raise ResultError(f"{folder}: not a result folder of a run, a trial or a study")
    if found:
        raise ResultError("\n".join(" ".join(line.split()) for line in found))
    out.print(f"{folder}: no damage found", markup=False)
