"""What a run leaves behind: a folder with snapshots, counts, the scenario as run, and a summary."""

from gpusim.record.reader import Result
from gpusim.record.recorder import Recorder
from gpusim.record.several import results_below, results_in
from gpusim.record.stopping import StopSignals
from gpusim.record.versions import versions

__all__ = ["Recorder", "Result", "StopSignals", "results_below", "results_in", "versions"]
