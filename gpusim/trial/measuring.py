"""Replicates run together, for their outcomes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpusim.engine import Simulation
from gpusim.running import run
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
    with Simulation(scenario, backend, threads=threads, seed=seeds) as simulation:
        taken = [Outcomes(replicate, wanted) for replicate in simulation.replicates]

        def take(_: Simulation) -> None:
            for outcomes in taken:
                outcomes.take()

        def over(_: Simulation) -> bool:
            return not folders and simulation.steps >= taken[0].last

        run(simulation, folders or None, progress=take, stop=over, overwrite=bool(folders))
        return [outcomes.values for outcomes in taken]
