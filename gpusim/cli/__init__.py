"""The command line: one file for each group of commands."""

from gpusim.cli import bench, check, compare, export, machine, pictures, results, run, study, verify
from gpusim.cli.app import app, main

__all__ = [
    "app",
    "bench",
    "check",
    "compare",
    "export",
    "machine",
    "main",
    "pictures",
    "results",
    "run",
    "study",
    "verify",
]
