"""The loop over time: output, callbacks, interventions, checkpoints."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpusim import units
from gpusim.backends.base import Backend
from gpusim.engine import Action, Simulation
from gpusim.errors import ResultError, ScenarioError
from gpusim.model import build
from gpusim.model.steps import whole
from gpusim.record import Recorder, Result, checkpoint
from gpusim.record.provenance import require_unchanged
from gpusim.record.recorder import require_unfinished
from gpusim.scenario import Scenario

Callback = Callable[[Simulation], Any]


def run(
    scenario: Scenario | Simulation | str | Path,
    folder: Path | str | Sequence[Path | str] | None = None,
    *,
    until: str | None = None,
    every: Mapping[str, Callback] | None = None,
    progress: Callback | None = None,
    stop: Callback | None = None,
    repeat: Iterable[Action] = (),
    backend: str | Backend = "auto",
    threads: int | None = None,
    seed: int | Sequence[int] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    rerun: bool = False,
) -> Simulation:
    """Run a scenario, or continue a simulation, to its end; returns the simulation.

        sim = gpusim.run("cold-to-hot", "OUT", until="2 day", every={"12 h": lambda sim: print(sim.counts)})

    After each time step, rows and snapshots that are due are written, functions of `every` that are due are called, a
    checkpoint is written if one is due, and `progress` and `stop` are called.

    Args:
        scenario: a scenario, its name or file, or a simulation.
        folder: the result folder. For several seeds, results are written to `folder/SEED`, or to a list of folders.
            Without it, nothing is written.
        until: another end than the scenario's. Doses of a scenario that are due later are omitted.
        every: functions by the interval between two calls ("6 h"), first called at time 0. They may change the
            simulation.
        progress: called before the first time step and after each.
        stop: ends the run with a checkpoint if it returns True. Ctrl-C also writes a checkpoint.
        repeat: actions of an earlier run (`Result.actions`), each to be repeated at its time step.
        backend, threads, seed: see `Simulation`.
        overwrite, resume, rerun: see `Recorder`.

    Raises `ScenarioError`, `ResultError`, `BackendError`; `NumericalError` if a concentration is not valid;
    `TypeError` for an argument that would have no effect.
    """
    if isinstance(scenario, Simulation) and (seed, backend, threads) != (None, "auto", None):
        raise TypeError("run: a Simulation has its own seed, backend and threads; expected none of these arguments")
    if folder is None and (overwrite or resume or rerun):
        raise TypeError("run: overwrite, resume and rerun need a folder")
    with contextlib.ExitStack() as opened:
        if isinstance(scenario, Simulation):
            simulation, end = scenario, until
        else:
            loaded = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
            loaded, end = loaded.ending(until) if until is not None else loaded, None
            simulation = Simulation(loaded, backend, threads=threads, seed=seed)
            opened.callback(simulation.close)
        hooks = [(_period(simulation, time), callback) for time, callback in (every or {}).items()]
        last = simulation.model.until if end is None else simulation.steps_until(end)
        folders = _folders(simulation, folder, seed)
        for each in folders if resume else ():
            require_unfinished(each)
        with contextlib.ExitStack() as recording:
            recorders = [
                recording.enter_context(Recorder(replicate, into, overwrite=overwrite, resume=resume, rerun=rerun))
                for replicate, into in zip(simulation.replicates, folders, strict=bool(folders))
            ]

            actions = _still_to_do(repeat, simulation, last)

            def act_again() -> None:
                for action in actions:
                    if action.step == simulation.steps:
                        simulation.repeat(action)

            def call_back() -> None:
                for steps, callback in hooks:
                    if simulation.steps % steps == 0:
                        callback(simulation)

            def after_step() -> bool:
                for recorder in recorders:
                    recorder.write()
                act_again()
                call_back()
                for recorder in recorders:
                    recorder.keep()
                if progress is not None:
                    progress(simulation)
                return stop is not None and bool(stop(simulation))

            act_again()
            if simulation.steps == 0:
                call_back()
            if progress is not None:
                progress(simulation)
            try:
                simulation.run(end, each=after_step if recorders or actions or hooks or progress or stop else None)
            except KeyboardInterrupt:
                for recorder in recorders:
                    recorder.checkpoint()
                raise
            for recorder in recorders:
                if simulation.steps < last:
                    recorder.checkpoint()
                else:
                    recorder.finish()
        opened.pop_all()
    return simulation


def branch(
    folder: Path | str,
    *,
    at: str | None = None,
    changes: Mapping[str, Any] | None = None,
    until: str | None = None,
    backend: str | Backend = "auto",
    threads: int | None = None,
    progress: Callback | None = None,
) -> Simulation:
    """Return a simulation at a time of a recorded run, to be continued with changed numbers or for a longer time.

        with gpusim.branch("OUT", at="5 day", changes={"therapies.anti_pd1": None}) as simulation:
            gpusim.run(simulation, "OTHER")

    The run is repeated from the last checkpoint before this time, or from time 0 if there is none. Each snapshot on the
    way is compared with its digest in the folder; a state of another program version, or after an intervention that is
    not recorded, is an error. The continued run is, bit for bit, a run in which `Simulation.change` is called at this
    time.

    Args:
        folder: the result folder of a run, finished or not.
        at: simulated time; by default, the end of the recorded run.
        changes: as for `Simulation.change`.
        until: another end than the scenario's.
        backend, threads: see `Simulation`.
        progress: called after each time step that is repeated.

    Raises `ResultError` if the state cannot be reached; `ScenarioError`, `BackendError`.
    """
    result = Result(folder)
    loaded = result.scenario
    require_unchanged(result.folder, loaded)
    simulation = Simulation(loaded.ending(until) if until is not None else loaded, backend, threads=threads)
    try:
        recorded = build(loaded.site(loaded.sites[0]))
        if (simulation.model.step, simulation.model.rules_every) != (recorded.step, recorded.rules_every):
            raise ScenarioError(
                f"until: {until}: another time step follows from it, {simulation.model.step:g} min instead of "
                f"{recorded.step:g} min; expected a multiple of {recorded.step * recorded.rules_every:g} min"
            )
        end = simulation.steps_until(at, "at") if at is not None else recorded.until
        if end > recorded.until:
            raise ScenarioError(f"at: {at}: is later than the end of the recorded run, {loaded.document.time.until}")
        if end >= simulation.model.until:
            raise ScenarioError(f"until: expected a time after {at or loaded.document.time.until}, at which it goes on")
        saved = _to_checkpoint(simulation, result, end)
        _repeat(simulation, result, end, progress)
        simulation.origin = {"folder": str(result.folder.absolute()), "step": end, "minutes": simulation.minutes}
        simulation.origin |= {"digest": simulation.digest(), "checkpoint_at_step": saved}
        if changes:
            simulation.change(changes)
    except BaseException:
        simulation.close()
        raise
    return simulation


def _to_checkpoint(simulation: Simulation, result: Result, end: int) -> int:
    """Restore the last checkpoint of a result until a step; returns its step, 0 without one."""
    for path in checkpoint.files(result.folder):
        if int(path.stem) <= end:
            with contextlib.suppress(checkpoint.DamagedError, ValueError):
                saved = checkpoint.load(path)
                simulation.replicates[0].restore(saved.numbers, saved.arrays, saved.actions)
                return simulation.steps
    return 0


def _done(result: Result) -> list[Action]:
    """Interventions during a run, of an unfinished one until its last undamaged checkpoint."""
    for path in checkpoint.files(result.folder) if result.summary is None else ():
        with contextlib.suppress(checkpoint.DamagedError):
            return checkpoint.load(path).actions
    return result.actions


def _repeat(simulation: Simulation, result: Result, end: int, progress: Callback | None) -> None:
    """Repeat a recorded run up to a step. Raises `ResultError` where it differs."""
    left = _still_to_do([each for each in _done(result) if each.step <= end], simulation, end)
    if result.times[0] > simulation.minutes:
        raise ResultError(
            f"{result.folder}: goes on from another run ('origin' in its summary), and has no checkpoint until step "
            f"{end}; expected a time after its last checkpoint (a finished branch has none, unless its scenario has "
            "'record.checkpoints.keep: all'), or the folder of that run"
        )
    known = {round(minutes / simulation.model.step): i for i, minutes in enumerate(result.times)}

    def compare() -> None:
        number = known.get(simulation.steps)
        if number is not None and (kept := result.digest_at(number)) not in (None, simulation.digest()):
            raise ResultError(
                f"{result.folder}: its state at {units.duration(simulation.minutes)} cannot be reproduced (digest "
                f"{simulation.digest()}; expected {kept}): it was changed during the run, or another program made it"
            )

    def act() -> None:
        for action in left:
            if action.step == simulation.steps:
                simulation.repeat(action)

    while simulation.steps < end:
        act()
        simulation.step()
        if simulation.steps in known and not any(action.step == simulation.steps for action in left):
            compare()
        if progress is not None:
            progress(simulation)
    act()


def _still_to_do(repeat: Iterable[Action], simulation: Simulation, last: int) -> list[Action]:
    """Actions that are still to be repeated. Raises `ScenarioError` for one outside the run."""
    found = list(repeat)
    for done in simulation.replicates[0].actions:
        if done in found:
            found.remove(done)
    for action in found:
        if not simulation.steps <= action.step <= last:
            raise ScenarioError(
                f"repeat: '{action.verb}' at step {action.step}; expected a step from {simulation.steps}, the present "
                f"one, to {last}, the end"
            )
    return found


def _period(simulation: Simulation, time: str) -> int:
    """Steps between two calls of a callback. Raises `ScenarioError`."""
    try:
        return whole(units.number(time, "min"), simulation.model.step, f"every '{time}'")
    except units.UnitError as error:
        raise ScenarioError(f"every '{time}': {error}") from None


def _folders(
    simulation: Simulation, folder: Path | str | Sequence[Path | str] | None, seed: int | Sequence[int] | None
) -> list[Path]:
    """One for each replicate, or none."""
    if folder is None:
        return []
    if isinstance(folder, Path | str):
        several = len(simulation.seeds) > 1 or isinstance(seed, Sequence)
        return [Path(folder) / str(each) if several else Path(folder) for each in simulation.seeds]
    if len(folder) != len(simulation.seeds):
        raise ScenarioError(f"folder: expected one for each of {len(simulation.seeds)} seeds, found {len(folder)}")
    return [Path(each) for each in folder]
