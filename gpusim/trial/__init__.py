"""A trial: the arms of a scenario, each run with several seeds, and whether what was expected held."""

from gpusim.trial.running import Trial, run_trial
from gpusim.trial.verdict import Verdict, verdicts

__all__ = ["Trial", "Verdict", "run_trial", "verdicts"]
