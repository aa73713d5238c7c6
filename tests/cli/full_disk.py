"""Commands on a full disk: python full_disk.py FOLDER [COMMAND...], on a small file system of its own.

Each command runs once with room, which tells how much it writes, and then where a part of that is free. Prints a line
of JSON for each: exit code, messages, new files, files that are not as they were, and for a run whether it goes on to
the same end when there is room again.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from unittest import mock

from commands import run as gpusim

from gpusim.engine import Simulation

SCENARIO = """
name: small
grid: {shape: [12, 12, 12]}
time: {until: 36 min, step: {field: 6 min, rules: 6 min}}
record: {every: 6 min, checkpoints: {every: 12 min}}
fields: {virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2}}
states: {tumour: {}, dead: {}, ctl: {layer: immune}}
rules: {death: {transition: tumour -> dead, rate: 0.2 /hour, releases: {virus: 3 PFU}}}
tissue: {shapes: {ball: {kind: sphere, state: tumour, radius: 80 um}, t: {kind: everywhere, state: ctl, fraction: 0.1}}}
"""
TRIAL = """
extends: small.yaml
name: trial
trial:
  replicates: 2
  arms: {slow: , fast: {rules.death.rate: 1 /hour}}
  outcomes: {tumour: {count: tumour}}
"""
STUDY = """
scenario: small.yaml
parameters: {rules.death.rate: {from: 0.2 /hour, to: 1 /hour, levels: 2}}
outcomes: {tumour: {count: tumour}}
replicates: 2
"""
PLAIN = ("--backend", "numpy", "--no-picture")
RUN = ("run", "small.yaml", "-o", "out", *PLAIN)
RESUME = ("run", "--resume", "out", *PLAIN)
SWEEP = ("sweep", "study.yaml", "-o", "out", "--backend", "numpy", "--workers", "1")
EXPORTS = ("cells.csv", "cells.vtkhdf", "cells.pvd", "cells.parquet", "images.ome.zarr")
SIZE = ("--size", "200x200")
COMMANDS = {
    "run": RUN,
    "checkpoint": RESUME,
    "trial": ("run", "trial.yaml", *RUN[2:]),
    "sweep": SWEEP,
    **{f"export {target}": ("export", "done", "-o", target) for target in EXPORTS},
    "export --format": ("export", "done", "-o", "cells", "--format", "multicellds"),
    "report": ("compare", "done", "-o", "report.html"),
    "figures": ("spatial", "done", "-o", "figures"),
    "picture": ("render", "done", "-o", "picture.png", *SIZE),
    "movie": ("render", "done", "-o", "movie.mp4", *SIZE, "--seconds", "1"),
    "page": ("render", "done", "-o", "scene.html"),
}
AGAIN = {"run": RESUME, "checkpoint": RESUME, "trial": RESUME[:-1], "sweep": SWEEP}
"""Those that go on where they stopped."""
FREE = (0.0, 0.5, 0.9)
"""Parts of what a command writes for which there is room."""
BLOCK = 4096


def contents(folder):
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def free(folder):
    of = os.statvfs(folder)
    return of.f_bavail * of.f_frsize


def fill(folder, left):
    """Leave so many bytes of room, in whole blocks."""
    with (folder / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(BLOCK, free(folder) - left // BLOCK * BLOCK))


def clean(home, kept):
    for path in set(home.iterdir()) - kept:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def stopped(home):
    """A run that was stopped after its third step."""
    step = Simulation.step

    def stepped(self, count=1):
        step(self, count)
        if self.steps == 3:
            signal.raise_signal(signal.SIGINT)

    with mock.patch.object(Simulation, "step", stepped):
        assert gpusim(*RUN, folder=home).returncode == 130


def end(home):
    """What a run, a trial or a sweep has led to."""
    tables = [table for name in ("outcomes.csv", "table.csv") if (table := home / "out" / name).exists()]
    return tables[0].read_text() if tables else gpusim("digest", "out", folder=home).stdout


def tried(home, name, part, written, expected):
    """What a command does where there is room for a part of what it writes."""
    before = contents(home)
    fill(home, int(part * written))
    done = gpusim(*COMMANDS[name], folder=home)
    (home / "ballast").unlink()
    after = contents(home)
    found = {"command": name, "free": part, "written": written, "code": done.returncode, "said": done.stderr}
    kept = before if name != "checkpoint" else {key: before[key] for key in before if not key.startswith("out/")}
    found |= {"lost": [key for key in kept if after.get(key) != kept[key]], "new": sorted(set(after) - set(before))}
    if name in AGAIN:
        begun = name == "sweep" or any((home / "out" / kept).exists() for kept in ("scenario.yaml", "trial.yaml"))
        going_on = gpusim(*(AGAIN[name] if begun else COMMANDS[name]), folder=home)
        found["same end"] = going_on.returncode == 0 and end(home) == expected
    return found


def main(home, names):
    home.mkdir()
    for file, text in (("small", SCENARIO), ("trial", TRIAL), ("study", STUDY)):
        (home / f"{file}.yaml").write_text(text)
    assert gpusim("run", "small.yaml", "-o", "done", *PLAIN, folder=home).returncode == 0
    kept = set(home.iterdir())
    for name in names or COMMANDS:
        written, expected = 0, ""
        for part in (1, *FREE):
            if name == "checkpoint":
                stopped(home)
            if part == 1:
                room = free(home)
                done = gpusim(*COMMANDS[name], folder=home)
                assert done.returncode == 0, (name, done.stderr)
                if name in AGAIN:
                    expected = end(home)
                written = max(room - free(home), 4 * BLOCK)  # a run that has ended removes its checkpoints
            else:
                print(json.dumps(tried(home, name, part, written, expected)), flush=True)
            clean(home, kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
