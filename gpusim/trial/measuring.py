"""Replicates run together, for their outcomes."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpusim.engine import Simulation
from gpusim.record import Recorder
from gpusim.scenario import Scenario
from gpusim.scenario.schema import Outcome
from gpusim.trial.outcomes import Outcomes


def measured(
    scenario: Scenario,
    seeds: Sequence[int],
    wanted: Mapping[str, tuple[Outcome, str]],
    backend: str,
    *,
    threads: int | None = None,
    folders: Sequence[Path] = (),
) -> list[dict[str, float]]:
    """Run a scenario with some seeds, stepped together; the outcomes of each by column.

    Args:
        wanted: outcomes and their times, by column.
        folders: for the result of each, where there are any; without, a run ends when its last outcome is taken.

    Raises what a run raises, of the first replicate where something is wrong.
    """
    with contextlib.ExitStack() as stack:
        simulation = stack.enter_context(Simulation(scenario, backend, threads=threads, seed=seeds))
        replicates = simulation.replicates
        recorders = [
            stack.enter_context(Recorder(replicate, folder, overwrite=True))
            for replicate, folder in zip(replicates, folders, strict=bool(folders))
        ]
        taken = [Outcomes(replicate, wanted) for replicate in replicates]
        for outcomes in taken:
            outcomes.take()
        for steps in simulation.stretches(at_most=1 if taken[0].between_rules else None):
            for recorder in recorders:
                recorder.record()
            for replicate in replicates if not recorders else ():
                replicate.check()
            for outcomes in taken:
                outcomes.take()
            if steps >= taken[0].last and not recorders:
                break
        for recorder in recorders:
            recorder.finish()
        return [outcomes.values for outcomes in taken]
