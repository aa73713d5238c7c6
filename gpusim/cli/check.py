"""`gpusim check`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpusim.cli.app import (
    SetOption,
    app,
    err,
    load,
    new_table,
    out,
    placements,
    shapes_of,
    tell_notes,
)
from gpusim.errors import ResultError
from gpusim.memory import available, size
from gpusim.units import duration

if TYPE_CHECKING:
    from gpusim.model import Model
    from gpusim.scenario.schema import Modulator


@app.command()
def check(
    scenario: Annotated[
        str, typer.Argument(help="A shipped scenario (see 'gpusim presets'), a YAML file, or a result folder.")
    ],
    sets: SetOption = None,
    replicates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Print the memory for this number of replicates, stepped together.")
    ] = 1,
) -> None:
    """Check a scenario without running it (fields, reactions, rules, time steps, memory), or the files of a result.

    For the folder of a run, a trial or a study, every file is compared with its checksum. Each damaged file gives one
    line, and exit code 2. (Write ./NAME for a folder with the name of a shipped scenario.)
    """
    import numpy as np

    from gpusim.backends.staging import BYTES
    from gpusim.engine.memory import of_copies, on_backend
    from gpusim.engine.transport import MOST_PASSES, choices
    from gpusim.engine.transport.accuracy import expected, too_large
    from gpusim.model import build
    from gpusim.scenario import presets
    from gpusim.study.folder import require_names

    if Path(scenario).is_dir() and scenario not in presets():
        if sets or replicates > 1:
            raise typer.BadParameter(f"{scenario}: is a folder of results; --set and --replicates are for a scenario")
        _check_folder(Path(scenario))
        return
    loaded = load(scenario, sets)
    require_names(loaded)
    models = {name: build(loaded.site(name)) for name in loaded.sites}
    model = models[loaded.sites[0]]
    document = loaded.document
    out.print(f"{model.name}: {document.description}", markup=False)
    taken = replicates * sum(map(on_backend, models.values()))
    numbers = replicates * _numbers(models)
    share = f" ({taken / numbers:.1f} bytes per voxel and field)" if numbers else ""
    out.print(
        f"{shapes_of(models)}{f', {replicates} replicates' * (replicates > 1)}\n"
        f"memory: {size(taken)} on the backend{share}, {size(max(map(of_copies, models.values())))} on the host for "
        f"output ({size(available())} free), {size(BYTES)} for copies to a GPU"
    )
    out.print(
        f"time step {model.step:g} min, rule step {model.step * model.rules_every:g} min, "
        f"{model.until} time steps to {duration(model.until * model.step)}"
    )
    adhesion = model.cells.adhesion
    if adhesion is not None:
        out.print(f"adhesion: sweeps per rule step: {adhesion.sweeps}, each tries {adhesion.share:.3g} of all pairs")
    chosen = choices(model)
    errors = expected(loaded.site(loaded.sites[0]).document, model, chosen)
    fields = new_table("field", "unit", "diffusion, um^2/min", "decay", "solver", "reason", "expected error")
    for i, (name, spec) in enumerate(document.fields.items()):
        solver, why = chosen[i].solver, chosen[i].reason
        fields.add_row(name, spec.unit, _diffusivity(model, i), spec.decay, solver, why, str(errors[i]))
    out.print(fields)
    if document.reactions:
        reactions = new_table("name", "reaction", "rate", "modulators")
        for name, reaction in document.reactions.items():
            turns = f"{_sum(reaction.consumes)} -> {_sum(reaction.makes) or 'nothing'}"
            reactions.add_row(name, turns, str(reaction.rate), _looked_at(reaction.modulators))
        out.print(reactions)
    for site, each in models.items():
        at = f" at {site}" if len(models) > 1 else ""
        for name, unit, values in zip(each.fields.names, each.fields.units, each.fields.initial, strict=True):
            if values.ndim:
                low, high, mean = values.min(), values.max(), values.mean(dtype=float)
                out.print(f"{name} at time 0{at}: {low:g} to {high:g} {unit}, mean {mean:.4g}", markup=False)
    states = new_table("state", "layer", "cells at time 0")
    from_start = np.sum([each.initial.counts(len(each.states.names)) for each in models.values()], axis=0)
    for name, count in zip(model.states.names, from_start, strict=True):
        states.add_row(name, "tissue" if name in model.states.tissue else "immune", f"{count:,}")
    out.print(states)
    rules = new_table("rule", "transition", "rate", "after", "modulators", "releases")
    for name, rule in document.rules.items():
        rules.add_row(
            name,
            rule.transition,
            rule.rate,
            rule.after,
            _looked_at(rule.modulators),
            ", ".join(f"{field} {amount}" for field, amount in rule.releases.items()),
        )
    out.print(rules)
    for each in models.values():
        placements(each)
    many = [f"{n} ({c.passes})" for n, c in zip(model.fields.names, chosen, strict=True) if c.passes > MOST_PASSES]
    if many:
        err.print(
            f"gpusim: note: more than {MOST_PASSES} explicit passes per time step: {', '.join(many)}; "
            "this is slow; 'solver: auto' would use an implicit scheme",
            markup=False,
        )
    notes = [*loaded.notes, *(note for each in models.values() for note in each.notes)]
    tell_notes([*notes, *too_large(model, errors)])


def _looked_at(modulators: Iterable[Modulator]) -> str:
    return ", ".join(m.field or m.body or "/".join(m.neighbours or m.contact or ()) for m in modulators)


def _sum(side: Mapping[str, float | str]) -> str:
    """A side of a reaction, as in "virus + 0.1 antibody"."""
    return " + ".join(
        name if value == 1 else f"{value:g} {name}" if isinstance(value, float) else f"{value} of {name}"
        for name, value in side.items()
    )


def _check_folder(folder: Path) -> None:
    """Check the files of a result folder. Raises `ResultError` with a line for each damaged file."""
    from gpusim.record.checking import damages, is_result
    from gpusim.study.folder import damages as of_study
    from gpusim.study.folder import is_study, is_trial

    if is_trial(folder) or is_study(folder):
        found = list(of_study(folder))
    elif is_result(folder):
        found = list(damages(folder))
    else:
        raise ResultError(f"{folder}: not a result folder of a run, a trial or a study")
    if found:
        raise ResultError("\n".join(" ".join(line.split()) for line in found))
    out.print(f"{folder}: no damage found", markup=False)


def _numbers(models: Mapping[str, Model]) -> int:
    """Concentrations that all sites hold."""
    return sum(model.voxels * len(model.fields) for model in models.values())


def _diffusivity(model: Model, field: int) -> str:
    """One number, or the lowest and the highest by tissue state."""
    by_state = model.fields.diffusion[field]
    low, high = by_state.min(), by_state.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}, by state"
