"""The kernels built in other ways: other compilers and flags for the same bits, sanitizers for faults.

    PYTHONPATH=tests python tests/backends/builds.py bits 300
    PYTHONPATH=tests python tests/backends/builds.py address 300
    PYTHONPATH=tests python tests/backends/builds.py thread 300

Each build is a compiler behind a script that adds flags. `bits` prints the digest of so many randomised
models by build and number of threads, which must be one; to hold another NumPy against it, run the same with
that NumPy installed. The sanitizers stop at their first finding.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import gpusim
from gpusim.backends import cpu
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.models import randomised

WIDTHS = {"native": "", "SSE2": "-march=x86-64", "AVX2": "-march=haswell"}
SANITIZERS = {
    "address": ("libasan.so", "-fsanitize=address,undefined -fno-sanitize-recover=all -g1 -O1"),
    "thread": ("libtsan.so", "-fsanitize=thread -g1 -O1"),
}
_MEANWHILE = {
    # Python and its extensions never give all memory back.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    # Python's locks are released by other threads than took them: the detector of deadlocks counts them as held, and
    # fails at the 64th. Races are found all the same.
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=66:report_signal_unsafe=0:detect_deadlocks=0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def wrapped(folder: Path, compiler: str, flags: str) -> str:
    """A script that is `compiler` with more `flags` behind all others."""
    name = "".join(c if c.isalnum() else "_" for c in f"{compiler}{flags}")
    script = folder / f"cxx{name}"
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] || set -- "$@" {flags}\nexec {shutil.which(compiler)} "$@"\n')
    script.chmod(0o755)
    return str(script)


def digest(models: int, machine: Machine) -> str:
    """Of what so many randomised models, and a shipped scenario's first hours, end in."""
    cpu._SMALLEST_SHARE = 64  # so that threads share even small lattices
    sums = hashlib.sha256()
    for number in range(models):
        sums.update(repr(outcome(machine, randomised(Random(number)))).encode())
    small = {"grid.shape": [16, 16, 16], "tissue.shapes.tumour.radius": "100 um"}
    scenario = gpusim.Scenario.load("cold-to-hot", small)
    with gpusim.Simulation(scenario, machine.backend, threads=machine.threads) as simulation:
        simulation.step(12)
        sums.update(simulation.digest().encode())
    return sums.hexdigest()[:16]


def elsewhere(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python code in a process of its own, beside this file."""
    setup = f"import os, sys; sys.path[:0] = [{str(Path(__file__).parents[1])!r}]; from backends.builds import *; "
    setup += "os.environ.pop('LD_PRELOAD', None); "  # this process has it; the compiler does without
    with tempfile.TemporaryDirectory() as cache:
        return subprocess.run(
            [sys.executable, "-c", setup + code],
            env=os.environ | {"GPUSIM_CACHE": cache} | environment,
            capture_output=True,
            text=True,
            check=False,
        )


def digests(
    models: int, compilers: list[str], levels: list[str], widths: list[str], threads: list[int]
) -> Iterator[tuple[str, str]]:
    """Builds and their digests; NumPy's first."""
    yield f"numpy {np_version()}", digest(models, Machine("numpy"))
    with tempfile.TemporaryDirectory() as folder:
        for compiler, level, width in product(compilers, levels, widths):
            script = wrapped(Path(folder), compiler, f"{level} {WIDTHS[width]}".strip())
            done = elsewhere(f"print(*(digest({models}, Machine('cpu', n)) for n in {threads}))", CXX=script)
            assert done.returncode == 0, done.stderr
            for n, text in zip(threads, done.stdout.split(), strict=True):
                yield f"{compiler} {level} {width}, {n} threads", text


def np_version() -> str:
    """Version of NumPy."""
    import numpy

    return numpy.__version__


def sanitized(kind: str, code: str) -> str:
    """What a sanitizer says of Python code that runs kernels; empty where it has nothing to say."""
    library, flags = SANITIZERS[kind]
    path = subprocess.run(["g++", f"-print-file-name={library}"], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        environment = _MEANWHILE | {"CXX": wrapped(Path(folder), "g++", flags)}
        # The sanitizer's runtime comes before all else, so that it sees NumPy's arrays.
        done = elsewhere(code, **environment, LD_PRELOAD=path.strip())
    if done.returncode == 0 and "runtime error" not in done.stderr:
        return ""
    return f"exit code {done.returncode}\n{done.stderr[-6000:]}"


def main() -> None:
    """Run a campaign."""
    kind, models = sys.argv[1], int(sys.argv[2])
    if kind == "bits":
        compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
        widths = list(WIDTHS) if platform.machine() == "x86_64" else ["native"]
        seen = set()
        for build, text in digests(models, compilers, ["-O0", "-O3"], widths, [1, 2, 3, 4]):
            print(f"{text}  {build}", flush=True)
            seen.add(text)
        sys.exit(len(seen) > 1)
    said = sanitized(kind, f"digest({models}, Machine('cpu', 4))")
    print(said or f"nothing found in {models} models")
    sys.exit(bool(said))


if __name__ == "__main__":
    main()
