"""A small run of a draft beside its forms: cells of each state over time."""

from __future__ import annotations

import threading
import time
from typing import Any

from gpusim.engine import Simulation
from gpusim.errors import GpusimError
from gpusim.scenario import Scenario
from gpusim.units import number

MOST_POINTS = 400
"""Of a curve; a longer run keeps each second, fourth, ... of its moments."""
_UNTIL, _EDGE = "12 hour", 32


def modest(scenario: Scenario) -> dict[str, str]:
    """Suggested end and lattice of a small run: those of the scenario, or less."""
    document = scenario.document
    until = document.time.until
    if number(until, "min") > number(_UNTIL, "min"):
        until = _UNTIL
    shape = document.grid.shape
    return {"time.until": until, "grid.shape": str([min(n, _EDGE) for n in shape]) if shape else ""}


class SmallRun:
    """A run on a thread of its own.

    Args:
        scenario: what to run. backend: on which.
    """

    def __init__(self, scenario: Scenario, backend: str) -> None:
        self._scenario, self._backend = scenario, backend
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._minutes: list[float] = []
        self._cells: dict[str, list[int]] = {}
        self._told = {"state": "running", "message": ""}
        self._until = number(scenario.document.time.until, "min")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the run, and wait for the end of its present step."""
        self._asked.set()
        self._thread.join()

    def view(self) -> dict[str, Any]:
        """Curves so far, as plain data: `minutes`, and `cells` of each state at the first site."""
        with self._lock:
            cells = {name: list(values) for name, values in self._cells.items() if any(values)}
            return {"minutes": list(self._minutes), "until": self._until, "cells": cells, **self._told}

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            with Simulation(self._scenario, self._backend) as simulation:
                site = next(iter(simulation.sites.values()))
                every, self._name = 1, simulation.backend.name
                self._note(simulation.minutes, site.counts)
                for done, _ in enumerate(simulation.stretches(), 1):
                    if self._asked.is_set():
                        break
                    if done % every == 0:
                        self._note(simulation.minutes, site.counts)
                    if len(self._minutes) > MOST_POINTS:
                        self._thin()
                        every *= 2
            state = "stopped" if self._asked.is_set() else "done"
            message = f"{self._name}, {time.monotonic() - begun:.1f} s"
        except GpusimError as error:
            state, message = "failed", str(error)
        with self._lock:
            self._told = {"state": state, "message": message}

    def _note(self, minutes: float, counts: dict[str, int]) -> None:
        with self._lock:
            self._minutes.append(minutes)
            for name, count in counts.items():
                self._cells.setdefault(name, []).append(int(count))

    def _thin(self) -> None:
        with self._lock:
            self._minutes = self._minutes[::2]
            self._cells = {name: values[::2] for name, values in self._cells.items()}
