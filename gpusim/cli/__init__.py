"""The command line: one file for each group of commands."""

from gpusim.cli import (
    bench,
    check,
    compare,
    edit,
    export,
    importing,
    lineage,
    machine,
    pictures,
    results,
    run,
    spatial,
    study,
    verify,
)
from gpusim.cli.app import app, main

__all__ = [
    "app",
    "bench",
    "check",
    "compare",
    "edit",
    "export",
    "importing",
    "lineage",
    "machine",
    "main",
    "pictures",
    "results",
    "run",
    "spatial",
    "study",
    "verify",
]
