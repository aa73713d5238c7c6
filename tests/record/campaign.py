"""Kills a small run again and again at chosen calls to the system, resumes it, and compares.

Run in a process of its own under faults.cpp: python campaign.py FOLDER MOMENTS SEED [ERRNO]. With an
error number, the calls fail with it from the chosen one on (a full disk, say), and the run must end
by itself with a message. Each run is a fork, so that this process stays without threads. Prints a
line of JSON.
"""

import ctypes
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import traceback
import warnings
from pathlib import Path

import zarr

import gpusim
from gpusim.errors import ResultError
from gpusim.record import Recorder, Result, checkpoint, layout

CADENCE = 2
MESSAGE = 2
TEXT = f"""
name: small
grid: {{shape: [6, 5, 4]}}
time: {{until: 11 min, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 3 min, checkpoints: {{every: {CADENCE} min, keep: 2}}}}
fields:
  virus: {{unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2, advection: true}}
  pressure: {{unit: mmHg, boundary: {{x: {{value: 0}}}}}}
flow:
  field: pressure
  conductivity: 2 um^2/mmHg/min
  vessels: {{tumour: {{conductivity: 3e-6 cm/mmHg/s, surface: 200 /cm, pressure: 20 mmHg}}}}
  every: 3 min
traits:
  load: {{of: tumour, most: 9, initial: 1, at_division: share, changes: {{rest: {{gain: 0.1 /min}}}}}}
clones: {{of: tumour, founders: each, mutation: 0.2}}
states:
  tumour: {{}}
  killer: {{layer: immune, motility: {{speed: 8 um/min, persistence: 3 min}}}}
body:
  quantities: {{cells: {{initial: 500}}}}
  processes: {{growth: {{transition: nothing -> cells, by: cells, rate: 0.01 /min}}}}
rules:
  growth: {{transition: empty -> tumour, rate: 0.1 /min, after: 2 min, releases: {{virus: 3 PFU}}}}
  division: {{transition: tumour -> tumour + tumour, rate: 0.02 /min, reach: 60 um}}
  arrival: {{transition: none -> killer, rate: 0.02 /min, modulators: [{{body: cells, half: 100}}], from_body: cells}}
"""
faults = ctypes.CDLL(None)
progress = mmap.mmap(-1, 8)


def forked(work, *arguments):
    """Exit status of `work` in a fork: negative where a signal ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(*arguments)
            status = 0
        except ResultError:
            status = MESSAGE
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(folder, resume, nth, error):
    """Run to the end; the `nth` call to the system under `folder` is the last one that works."""
    warnings.simplefilter("ignore")
    faults.faults_arm(str(folder).encode(), ctypes.c_long(nth), error)
    simulation = gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy")
    progress[:] = struct.pack("q", 0)
    with Recorder(simulation, folder, overwrite=True, resume=resume) as recorder:
        for steps in simulation.stretches():
            progress[:] = struct.pack("q", steps)
            recorder.record()
        recorder.finish()
    progress[:] = struct.pack("q", faults.faults_calls())


def contents(folder):
    """Hashes of what must be equal in the end."""
    group = zarr.open_group(str(folder / layout.SNAPSHOTS), mode="r")
    arrays = {name: hashlib.sha256(group[name][...].tobytes()).hexdigest() for name in sorted(group.array_keys())}
    tables = {name: (folder / name).read_text() for name in (layout.COUNTS, layout.BIRTHS, layout.CELLS_OF_CLONES)}
    return {"digest": Result(folder).summary["digest"], **tables, **arrays}


def check_opened(folder, reached):
    """After a kill: the store opens, and no more than one cadence is lost."""
    warnings.simplefilter("error")
    if (folder / layout.SNAPSHOTS).exists():
        zarr.open_group(str(folder / layout.SNAPSHOTS), mode="r")
        try:
            result = Result(folder)
        except ResultError as error:
            if "before the first one" not in str(error):
                raise
        else:
            data = result.dataset()
            assert data["time"].values.tolist() == [0, 3, 6, 9, 11][: len(result.times)]
            assert data["virus"].values.min() > 0
            assert len(result.counts) > 0
    saved = checkpoint.files(folder)
    latest = int(checkpoint.load(saved[0]).numbers["steps"]) if saved else 0
    finished = (folder / layout.SUMMARY).exists()
    assert finished or reached - latest <= CADENCE, (reached, latest)


def main():
    home, (moments, seed, *error) = Path(sys.argv[1]), map(int, sys.argv[2:])
    failure = error[0] if error else 0
    ended = MESSAGE if failure else -signal.SIGKILL
    chosen = random.Random(seed)
    assert forked(run, home / "whole", False, 0, 0) == 0
    (calls,) = struct.unpack("q", progress[:])
    (home / "expected.json").unlink(missing_ok=True)
    assert forked(lambda: (home / "expected.json").write_text(json.dumps(contents(home / "whole")))) == 0
    expected = json.loads((home / "expected.json").read_text())

    def same():
        assert contents(home / "killed") == expected

    kills = 0
    for nth in sorted(chosen.sample(range(1, calls + 1), min(moments, calls))):
        folder = home / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        resume = False
        # Killed at the moment chosen, then once more while it resumes, then left in peace.
        for moment in (nth, chosen.randint(1, calls), 0):
            status = forked(run, folder, resume, moment, failure)
            if status == 0:
                break
            assert status == ended, (nth, moment, status)
            kills += 1
            (reached,) = struct.unpack("q", progress[:])
            assert forked(check_opened, folder, reached) == 0, (nth, moment)
            resume = (folder / layout.SCENARIO).exists()
            if (folder / layout.SUMMARY).exists():
                break
        assert forked(same) == 0, nth
    print(json.dumps({"calls": calls, "kills": kills}))


if __name__ == "__main__":
    main()
