"""The command line in this process: one of its own would spend seconds on imports."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import mock

import gpusim.cli


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `gpusim` with arguments in a folder; what would end a process with a traceback raises here.

    With another `environment` it is a process of its own, as much of that is read but once.
    """
    if environment:
        command = [sys.executable, "-m", "gpusim", *arguments]
        everything = os.environ | {"COLUMNS": "160"} | environment
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=everything, check=False)
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.chdir(folder),
        mock.patch.dict("os.environ", COLUMNS="160"),
        mock.patch.object(sys, "argv", ["gpusim", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        try:
            gpusim.cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return subprocess.CompletedProcess(["gpusim", *arguments], code, out.getvalue(), err.getvalue())
