"""What a trial leaves on the disk, and finds there again.

trial.yaml      the scenario with its trial
provenance.json what the trial depends on, as it was
ARM/SEED/       the result folder of a run, and its outcomes.json, written last
outcomes.csv    one row a run: arm, seed, outcomes; in the order of arms and seeds
SHA256SUMS      of the files of the trial as a whole, once it has finished
"""

from collections.abc import Iterator
from pathlib import Path

from gpusim.errors import ScenarioError
from gpusim.record import layout, provenance, sums
from gpusim.record.provenance import PROVENANCE
from gpusim.scenario import Scenario
from gpusim.trial import kept

TABLE = "outcomes.csv"
OUTCOMES = "outcomes.json"
SCENARIO = "trial.yaml"
_OURS = (TABLE, SCENARIO, PROVENANCE, layout.SUMS)


def run_of(folder: Path, arm: str, seed: int) -> Path:
    """The result folder of a run."""
    return folder / arm / str(seed)


def outcomes_of(folder: Path, arm: str, seed: int) -> Path:
    """The file of the outcomes of a run that has finished."""
    return run_of(folder, arm, seed) / OUTCOMES


def key_of(trial: Scenario, arm: str, seed: int) -> str:
    """Hash of all that the outcomes of a run depend on."""
    assert trial.document.trial is not None, "has arms"
    outcomes = {name: outcome.model_dump(mode="json") for name, outcome in trial.document.trial.outcomes.items()}
    return provenance.key(trial.arm(arm).data, seed, outcomes)


def require_names(trial: Scenario) -> None:
    """Raise `ScenarioError` where an arm's folder would be that of another arm, or a file of the trial.

    Some file systems do not tell capitals from small letters.
    """
    if not trial.arms:
        return
    taken = {name.casefold(): f"a file of the trial ({name})" for name in _OURS}
    for arm in trial.arms:
        other = taken.setdefault(arm.casefold(), f"arm '{arm}'")
        if other != f"arm '{arm}'":
            raise ScenarioError(
                f"trial.arms.{arm}: its folder would be that of {other} where capitals and small letters are not told "
                "apart; expected another name"
            )


def is_trial(folder: Path) -> bool:
    """Whether a folder is that of a trial."""
    return (folder / SCENARIO).is_file()


def damages(folder: Path) -> Iterator[str]:
    """What is wrong with a trial, finished or not, a line each."""
    if (folder / TABLE).exists() or (folder / layout.SUMS).exists():
        yield from sums.problems(folder, (SCENARIO, PROVENANCE, TABLE))
    try:
        trial = Scenario.load(folder / SCENARIO)
    except ScenarioError as error:
        yield f"{folder / SCENARIO}: is damaged: {error}"
        return
    assert trial.document.trial is not None, "has arms"
    for arm in trial.arms:
        for seed in trial.seeds(trial.document.trial.replicates):
            if outcomes_of(folder, arm, seed).exists() or (folder / TABLE).exists():
                yield from kept.damages(outcomes_of(folder, arm, seed), run_of(folder, arm, seed))
