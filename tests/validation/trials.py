"""The shipped trials: their tables as last run in full, and digests that tell when a table is out of date.

    python tests/validation/trials.py                      # trials whose digest has moved
    python tests/validation/trials.py --update             # run these in full, show old beside new, keep the new
    python tests/validation/trials.py --update NAME ...    # run these trials, whether their digest has moved or not
    python tests/validation/trials.py --robustness OUT ... # keep the sets in these folders of `gpusim robustness`

A trajectory is a function of code and scenario, so a table stands as long as its digest does. A full run takes
minutes for each trial. It can be stopped and started again: finished runs are kept in `results/trials` (or
`--folder`), by trial and digest, and each table is stored as soon as its trial has ended.

The digest of a trial covers the outcomes that it asks for and, of every arm, all numbers of the model at every site
and a stirred run: every cell state and field occurs all over the lattice, the body's quantities are above 0, every
therapy is given at time 0, and the rules act some times. Thus all operations that a long run may come to take part.
"""

import argparse
import dataclasses
import difflib
import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import gpusim
from gpusim.analysis.outcomes import measure
from gpusim.backends import availability
from gpusim.engine.replicate import Replicate
from gpusim.model import Model, build
from gpusim.model.fingerprint import fingerprint
from gpusim.record import frames
from gpusim.record.files import write_text
from gpusim.scenario import presets
from gpusim.scenario.schema import columns
from gpusim.study.folder import TABLE
from gpusim.study.robustness import Robustness, Sets
from gpusim.study.sweep import FAILURE
from gpusim.study.trial import Trial, run_trial
from gpusim.study.verdict import verdicts
from gpusim.tissue.shapes import Uniform

HERE = Path(__file__).parent
ROBUSTNESS = HERE / "robustness"
SETS = HERE / "robustness.json"
"""For each kept table of sets: digest of its trial and of the sets, as they were when it was run."""
DIGESTS = HERE / "trials.json"
TABLES = HERE / "tables"
NAMES = tuple(name for name in presets() if gpusim.Scenario.load(name).arms)
CHOICE = "GPUSIM_TRIAL"
"""Environment variable that names the trial to run with all seeds, or `all`."""
APPLICATIONS = 48
"""Of the rules, in a stirred run."""
_VACANT = 0.5
"""Share of voxels without an immune cell in a stirred state."""


def digest(name: str) -> str:
    """Digest of a shipped trial."""
    scenario = gpusim.Scenario.load(name)
    trial = scenario.document.trial
    assert trial is not None, "has arms"
    outcomes = {key: outcome.model_dump(mode="json", exclude_unset=True) for key, outcome in trial.outcomes.items()}
    parts = [repr((outcomes, scenario.seeds(trial.replicates), scenario.arms))]
    for arm in map(scenario.arm, scenario.arms):
        at_once = arm.with_(therapies={key: {"start": "0 min"} for key in arm.document.therapies})
        with gpusim.Simulation(at_once, "cpu" if availability("cpu").available else "numpy") as simulation:
            parts.append(fingerprint({key: numbers(build(arm.site(key))) for key in arm.sites}))
            stir(simulation)
            with warnings.catch_warnings(action="ignore"):  # of grafts that find no room
                simulation.step(APPLICATIONS * simulation.model.rules_every)
            parts.append(simulation.digest())
            parts.append(repr(simulation.fired))
            parts += [repr(measure(outcome, simulation)) for outcome, _ in columns(trial.outcomes).values()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def numbers(model: Model) -> dict[str, object]:
    """What a trajectory depends on: neither what is only said to the user (notes, how a table was read), nor bounds
    that spare work (ceilings, which NumPy does without).
    """
    found = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    del found["notes"], found["name"]
    # What a model does not use is left out: it goes as it went before there was such a thing.
    if not len(model.reactions):
        del found["reactions"]
    for name in ("flow", "tracks"):
        if found[name] is None:
            del found[name]
    unused = [name for name, none in (("held", np.isnan), ("feeding", np.logical_not)) if _all(none, model, name)]
    unused += [name for name in ("by_fluid", "walls_of_fluid") if getattr(model.exchange, name) is None]
    walls = model.exchange.walls
    if (walls["returns"] == 1).all():
        walls = _without_columns(walls, ["returns"])
    found["exchange"] = _without(model.exchange, unused, walls=walls)
    if all(values.ndim == 0 for values in model.fields.initial):
        found["fields"] = _without(model.fields, [], initial=np.array(model.fields.initial, float))
    cells, of_divisions = dataclasses.replace(model.cells, ceilings=np.zeros(0)), ("daughter", "reach")
    unused = [name for name in ("closing", "adhesion") if getattr(cells, name) is None]
    if not len(cells.slopes) and not (cells.motilities["end_turning"] > cells.motilities["end_speed"]).any():
        unused.append("slopes")
        others = ("turning", "bias", "stray", "end_speed", "end_turning", "end_bias", "first_slope", "end_slope")
        cells = dataclasses.replace(cells, motilities=_without_columns(cells.motilities, others))
    for kind in ("traits", "clones"):
        if not len(found[kind]):
            del found[kind]
        elif kind == "traits":
            found[kind] = _without(model.traits, ["numbers"])  # follows from the names
    if not len(cells.adjustments) and not (cells.rules["partner"] >= 0).any():
        unused.append("adjustments")
        others = ("first_adjustment", "end_adjustment", "founds", "partner", "partner_to")
        cells = dataclasses.replace(cells, rules=_without_columns(cells.rules, others))
    if not cells.replaces:
        unused.append("trails")
        cells = dataclasses.replace(cells, motilities=_without_columns(cells.motilities, ["replaces"]))
    if not cells.looks_at_connections:
        cells = dataclasses.replace(cells, neighbourhoods=_without_columns(cells.neighbourhoods, ("ends", "sides")))
    found["doses"] = tuple(_without(each, [] if each.fluid else ["steps", "fluid"]) for each in model.doses)
    if not len(cells.egresses):
        unused.append("egresses")
        cells = dataclasses.replace(cells, rules=_without_columns(cells.rules, ("first_egress", "end_egress")))
        found["body"] = _without(model.body, ["carried"])
    if not (cells.releases["trait"] >= 0).any():
        cells = dataclasses.replace(cells, releases=_without_columns(cells.releases, ["trait"]))
    found["cells"] = _without(cells, unused)
    found["resections"] = tuple(_without(each, [] if each.leaves else ["leaves"]) for each in model.resections)
    if not any(model.claims) and not cells.boundary:
        rules = _without_columns(cells.rules, of_divisions)
        found["cells"] = _without(cells, (*unused, "ways", "boundary", "background"), rules=rules)
    return found | {"initial": (model.initial.tissue, model.initial.immune)}


def _all(none: Callable[[np.ndarray], np.ndarray], model: Model, name: str) -> bool:
    return bool(none(getattr(model.exchange, name)).all())


def _without_columns(table: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    kept = [column for column in table.dtype.names or () if column not in columns]
    return np.array([tuple(row[kept]) for row in table], [(column, table.dtype[column]) for column in kept])


def _without(part: object, names: Sequence[str], **other: object) -> object:
    """A part of a model without some of its attributes, and with other values."""
    kept = {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.name not in names}
    return dataclasses.make_dataclass(type(part).__name__, kept)(**kept | other)


def stir(replicate: Replicate) -> None:
    """Put the replicate into a state of time 0 in which everything occurs everywhere, in a random order."""
    arrays = dict(replicate.arrays())
    for stream, name in enumerate(sorted(replicate.sites)):
        site = replicate.sites[name]
        states, voxels = site.model.states, site.model.voxels
        uniform = Uniform(replicate.seed, 2**32 + stream)
        tissue = (uniform.draw(voxels) * len(states.tissue)).astype(np.uint8)
        drawn = (uniform.draw(voxels) - _VACANT) / (1 - _VACANT)
        immune = (states.none + np.maximum(drawn, 0.0) * len(states.immune)).astype(np.uint8)
        found = np.bincount(np.concatenate([tissue, immune]), minlength=len(states.names))
        cells = site.model.initial
        arrays[f"{name}.placed"] = found - cells.counts(len(states.names))
        for layer, now in (("tissue", tissue), ("immune", immune)):
            arrays[f"{name}.{layer}.cells"] = now.reshape(site.model.shape)
            clock = arrays[f"{name}.{layer}.clock"]
            clock[:] = (1000 * uniform.draw(voxels)).astype(np.uint16).reshape(clock.shape)
        fields = arrays[f"{name}.fields"]
        amounts = 100.0 * uniform.draw(fields.size)
        for _ in range(3):
            amounts *= uniform.draw(fields.size)  # over decades, as each field has a unit of its own
        fields[:] = amounts.astype(np.float32).reshape(fields.shape)
    quantities = arrays["circulation"]
    quantities += 100.0 * Uniform(replicate.seed, 2**33).draw(quantities.size)
    replicate.restore({"steps": 0, "seconds": 0.0}, arrays)


def stored(path: Path = DIGESTS) -> dict[str, str]:
    """Digests that belong to the kept tables."""
    digests: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return digests


def store(digests: dict[str, str], path: Path = DIGESTS) -> None:
    """Write the digests that belong to the kept tables."""
    write_text(path, json.dumps(dict(sorted(digests.items())), indent=1) + "\n")


def kept(name: str) -> Trial:
    """A trial with its kept table. Raises `FileNotFoundError`."""
    if not (TABLES / f"{name}.csv").is_file():
        raise FileNotFoundError(f"{name} has no table yet; run: python tests/validation/trials.py --update {name}")
    return Trial(TABLES, gpusim.Scenario.load(name), frames.read(TABLES / f"{name}.csv", ("arm",)))


def robust(name: str) -> Robustness | None:
    """The kept sets of a trial; None if there are none."""
    path = ROBUSTNESS / f"{name}.csv"
    return Robustness(gpusim.Scenario.load(name), frames.read(path, ("arm", FAILURE))) if path.is_file() else None


def up_to_date(name: str) -> bool:
    """Whether the kept sets of a trial are those of the present scenario and code."""
    found = robust(name)
    return found is not None and digest_of_sets(found) == stored(SETS)[name]


def digest_of_sets(found: Robustness) -> str:
    """Digest of a trial, as kept for its table, and of the sets that are drawn for it now."""
    count = int(found.table["set"].nunique())
    drawn = Sets.of(found.scenario.with_(trial={"vary": {"sets": count}})).points
    return hashlib.sha256((stored()[found.scenario.document.name] + json.dumps(drawn)).encode()).hexdigest()


def keep_sets(folder: Path) -> None:
    """Keep the finished sets in a folder, numbers with six digits."""
    found = Robustness.open(folder)
    name = found.scenario.document.name
    table = found.table
    table[found.drawn.columns] = table[found.drawn.columns].map(lambda value: float(f"{value:.6g}"))
    ROBUSTNESS.mkdir(exist_ok=True)
    write_text(ROBUSTNESS / f"{name}.csv", table.to_csv(index=False))
    store({**stored(SETS), name: digest_of_sets(found)}, SETS)
    for row in found.rows():
        print("  ".join(row))


def chosen() -> tuple[str, ...]:
    """Trials to run: one by the commit, or what the environment variable `GPUSIM_TRIAL` says."""
    wanted = os.environ.get(CHOICE)
    if wanted:
        return NAMES if wanted == "all" else (wanted,)
    command = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        commit = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        commit = hashlib.sha256(DIGESTS.read_bytes()).hexdigest()
    return (NAMES[int(commit, 16) % len(NAMES)],)


def summary(trial: Trial) -> list[str]:
    """Median and range of each outcome by arm, and the verdicts, a line each."""
    spreads = [
        f"{arm}: " + "; ".join(f"{outcome} {spread}" for outcome, spread in zip(trial.outcomes, row, strict=True))
        for arm, row in trial.spreads()
    ]
    return spreads + [str(verdict) for verdict in verdicts(trial)]


def show(before: Trial | None, now: Trial) -> None:
    """Print what has changed of a trial, old beside new; the new alone if its arms or outcomes are others."""
    alike = before and list(before.table) == list(now.table) and set(before.table["arm"]) == set(now.table["arm"])
    old = summary(before) if before and alike else []
    for line in difflib.ndiff(old, summary(now)):
        if not line.startswith("?"):
            print(f"  {line}")


def renew(name: str, now: str, folder: Path, jobs: int | None) -> bool:
    """Run a trial in full, or what is left of it in the folder, and keep its table; returns whether its orders held."""
    place = folder / f"{name}-{now[:12]}"

    def progress(done: int, total: int) -> None:
        print(f"\r  {done} of {total} runs", end="\n" if done == total else "", flush=True)

    scenario = gpusim.Scenario.load(name)
    trial = run_trial(scenario, place, backend="auto", jobs=jobs, resume=place.is_dir(), progress=progress)
    show(kept(name) if (TABLES / f"{name}.csv").exists() else None, trial)
    digests = stored()
    digests.pop(name, None)
    store(digests)  # a digest never stands beside a table that is not its own
    TABLES.mkdir(exist_ok=True)
    write_text(TABLES / f"{name}.csv", (trial.folder / TABLE).read_text(encoding="utf-8"))
    store({**digests, name: now})
    return all(verdict.as_required for verdict in verdicts(trial))


def main() -> None:
    """Say which digests have moved, and run these trials where asked to; exit code 1 where something is not well."""
    parser = argparse.ArgumentParser(description="Tables of the shipped trials.", epilog=f"Trials: {', '.join(NAMES)}.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="trials; all by default")
    parser.add_argument("--update", action="store_true", help="run anew and keep: NAMEs, or those that have moved")
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "results" / "trials", help="of the runs")
    parser.add_argument("--jobs", type=int, help="processes at a time; one a core by default")
    parser.add_argument("--robustness", nargs="+", type=Path, metavar="OUT", help="keep the sets in these folders")
    options = parser.parse_args()
    if options.robustness:
        for folder in options.robustness:
            keep_sets(folder)
        return
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no trial {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    well = True
    for name in sorted(stored().keys() - set(NAMES)):
        print(f"{name}: is shipped no more")
        if options.update:
            store({key: value for key, value in stored().items() if key != name})
            (TABLES / f"{name}.csv").unlink(missing_ok=True)
        else:
            well = False
    for name in options.names or NAMES:
        before, now = stored().get(name, "no table"), digest(name)
        if before == now and not (options.update and options.names):
            continue
        print(f"{name}: {before[:12]} -> {now[:12]}", flush=True)
        if not options.update:
            well = False
        elif not renew(name, now, options.folder, options.jobs):
            print(f"{name}: an expected order does not hold; the table is kept, and its test fails")
            well = False
    if not well:
        sys.exit(1)
    print("all tables are up to date" if not options.names else "done")


if __name__ == "__main__":
    main()
