"""Runs, table and expected orders of a scenario with arms."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from gpusim.cli.app import new_table, out, stoppable
from gpusim.cli.progress import Log, progress

if TYPE_CHECKING:
    from gpusim.scenario import Scenario
    from gpusim.study.trial import Trial


def carry_out(
    scenario: Scenario,
    folder: Path,
    backend: str,
    jobs: int | None,
    together: int | None,
    scheduler: str | None,
    log: Log,
    *,
    resume: bool = False,
    rerun: bool = False,
) -> None:
    """Run a trial and print its results."""
    from gpusim.study.trial import run_trial

    name, spec = scenario.document.name, scenario.document.trial
    assert spec is not None, "has arms"
    runs = len(spec.arms) * spec.replicates
    arms = f"{len(spec.arms)} arms ({', '.join(spec.arms)})"
    out.print(f"{name}: {arms}, {spec.replicates} seeds, {runs} runs")
    with (
        stoppable(f"to continue: gpusim run --resume {quote(str(folder))}"),
        progress(name, runs, "runs", log) as tell,
    ):
        trial = run_trial(
            scenario,
            folder,
            backend=backend,
            jobs=jobs,
            together=together,
            scheduler=scheduler,
            resume=resume,
            rerun=rerun,
            progress=lambda done, total: tell(done),
        )
    report(trial)
    out.print(f"results  {folder}")


def go_on(
    folder: Path,
    backend: str,
    jobs: int | None,
    together: int | None,
    scheduler: str | None,
    log: Log,
    *,
    rerun: bool = False,
) -> None:
    """Continue the trial in a folder."""
    from gpusim.scenario import Scenario
    from gpusim.study.folder import TRIAL

    carry_out(Scenario.load(folder / TRIAL), folder, backend, jobs, together, scheduler, log, resume=True, rerun=rerun)


def report(trial: Trial) -> None:
    """Medians and ranges by arm, then a line for each expected order."""
    from gpusim.study.verdict import alike, verdicts

    table = new_table("median (lowest to highest)", *trial.outcomes)
    for arm, spreads in trial.spreads():
        table.add_row(arm, *spreads)
    out.print(table)
    for verdict in verdicts(trial):
        out.print(str(verdict))
    for sentence in alike(trial):
        out.print(sentence, markup=False)
