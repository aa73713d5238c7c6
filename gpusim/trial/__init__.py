"""A trial: the arms of a scenario, each run with several seeds, and whether what was expected held."""

from gpusim.trial.running import Trial, run_trial
from gpusim.trial.verdict import Finding, Verdict, verdicts

__all__ = ["Finding", "Trial", "Verdict", "run_trial", "verdicts"]
