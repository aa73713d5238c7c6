"""The command line: thin, one file for each group of commands."""

from gpusim.cli import check, export, machine, pictures, results, run, study
from gpusim.cli.app import app, main

__all__ = ["app", "check", "export", "machine", "main", "pictures", "results", "run", "study"]
