"""The loops over rows are compiled to vectors: the bits don't tell when a compiler gives that up, the time does."""

import platform
import re
import shutil
import subprocess

import pytest

from gpusim.backends import compiler
from gpusim.backends.source import host_units

LOOPS = (
    "explicit_rows",
    "smooth_whole_row",
    "add_residuals",
    "through_faces",
    "add_faces",
    "find_rates",
    "subtract_brought",
    "give",
    "times_response",
    "add_rates",
    "write_entries",
)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("objdump") is None or shutil.which("g++") is None,
    reason="needs g++ and objdump on x86",
)
def test_every_loop_over_a_row_is_vectors(monkeypatch):
    monkeypatch.setenv("CXX", "g++")
    library = compiler.load(host_units())
    code = subprocess.run(["objdump", "-d", "-C", library._name], capture_output=True, text=True, check=True).stdout
    functions = dict(re.findall(r"^\w+ <(?:void )?(.*)>:\n((?:.+\n)*)", code, re.MULTILINE))
    loops = {name: body for name, body in functions.items() if name.startswith(LOOPS) and "(" in name}
    assert {re.split("[<(]", name)[0] for name in loops} == set(LOOPS)
    plain = [name for name, body in loops.items() if not re.search(r"\bv?(add|sub|mul)ps\b", body)]
    assert not plain
