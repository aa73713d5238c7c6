"""Tumours in mice, followed until they have some multiple of their cells, in arms of several seeds; runs are kept."""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

import gpusim
from gpusim.record.files import write_text

CELLS = ("tumour", "exposed", "infected", "necrotic")
"""States in the volume of a tumour, dead cells too."""
_FIRST = 48
"""Steps after which the digest tells whether a kept run is of the present program."""


def follow(
    mouse: gpusim.Scenario, seed: int, fold: float, first_day: float = 0, kept: Path | None = None, threads: int = 1
) -> pd.DataFrame:
    """Columns `day`, `cells` of the tumour, `infections`, every six hours until it has `fold` times its cells.

    A run is kept in a file, and read from it if program and scenario are those of the kept one.
    """
    rows = []

    def note(running: gpusim.Simulation) -> int:
        cells = sum(running.counts[state] for state in CELLS)
        day = first_day + running.minutes / 1440
        rows.append({"day": day, "cells": cells, "infections": running.fired["infection"]})
        return cells

    with gpusim.Simulation(mouse, "cpu", seed=seed, threads=threads) as running:
        start = note(running)
        running.step(_FIRST)
        key = hashlib.sha256(f"{mouse.to_yaml()} {fold} {seed} {running.digest()}".encode()).hexdigest()
        if kept and kept.exists():
            stored = json.loads(kept.read_text(encoding="utf-8"))
            if stored["key"] == key:
                return pd.DataFrame(stored["rows"])
        hours, cells = 0, start
        while 0 < cells < fold * start and running.steps < running.model.until:
            hours += 6
            running.run(until=f"{hours} h")
            cells = note(running)
    if kept:
        write_text(kept, json.dumps({"key": key, "rows": rows}))
    return pd.DataFrame(rows)


def days_to(frame: pd.DataFrame, fold: float) -> float:
    """Day on which a tumour has reached some multiple of its start for good; infinite where it has not."""
    cells = frame["cells"].to_numpy(float)
    below = np.flatnonzero(cells < fold * cells[0])
    last = below[-1]
    if last == len(cells) - 1:
        return np.inf
    share = np.log(fold * cells[0] / cells[last]) / np.log(cells[last + 1] / cells[last])
    return float(frame["day"][last] + share * (frame["day"][last + 1] - frame["day"][last]))


def campaign(
    run: Callable[[str, int], pd.DataFrame], arms: Iterable[str], seeds: Iterable[int], jobs: int
) -> dict[str, list[pd.DataFrame]]:
    """Runs by arm, one for each seed, on several processes."""
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {arm: [pool.submit(run, arm, seed) for seed in seeds] for arm in arms}
        return {arm: [each.result() for each in of_arm] for arm, of_arm in waiting.items()}
