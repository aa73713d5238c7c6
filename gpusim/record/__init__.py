"""What a run leaves behind: a folder with snapshots, counts, the scenario as run, and a summary."""

from gpusim.record.reader import Result
from gpusim.record.recorder import Recorder

__all__ = ["Recorder", "Result"]
