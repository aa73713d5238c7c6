"""Phases of the cell cycle: growth and shares of the phases against the equations of an unlimited population."""

import numpy as np
import pytest
from scipy.optimize import brentq

import gpusim

ENTRY, LEAST, REPLICATION, DIVISION = 1 / 15, 8, 1, 0.25
"""Rates (1/h) and least duration (h) of the phases: into S, of S, out of S, of divisions."""
ROOMY = {
    "grid.shape": [40, 40, 40],
    "time": {"until": "72 h", "step": {"field": "3 min", "rules": "3 min"}},
    "record.every": "24 h",
    "rules.entry.rate": "1/(15 hour)",
    "rules.entry.modulators": [],
    "rules.starvation": None,
    "rules.turnover": None,
    "tissue.shapes": {"cells": {"kind": "everywhere", "state": "tumour", "fraction": 0.03}},
}


def through_cycle(growth, entry=ENTRY):
    """Daughters of a cell that enters G1, each weighted by exp(-growth * time of its birth)."""
    s = np.exp(-growth * LEAST) * REPLICATION / (REPLICATION + growth)
    return 2 * entry / (entry + growth) * s * DIVISION / (DIVISION + growth)


def expected(hours, step=0.01):
    """Cells in G1, S and G2 or M, of one that is in G1 at time 0: integrals of the rates of entry and exit."""
    n, delay = round(hours / step), round(LEAST / step)
    g1, waiting, late, g2m = 1.0, 0.0, 0.0, 0.0  # `waiting`: in the least duration of S
    entered = np.zeros(n + 1)
    for i in range(n):
        entered[i] = ENTRY * g1 * step
        ready = entered[i - delay] if i >= delay else 0.0
        leaves, divides = REPLICATION * late * step, DIVISION * g2m * step
        g1 += 2 * divides - entered[i]
        waiting += entered[i] - ready
        late += ready - leaves
        g2m += leaves - divides
    return np.array([g1, waiting + late, g2m])


def test_the_equations_grow_as_the_characteristic_equation_says():
    growth = brentq(lambda r: through_cycle(r) - 1, 1e-3, 1)
    early, late = expected(200), expected(220)
    assert np.log(late / early) / 20 == pytest.approx(np.full(3, growth), rel=0.01)
    # The entry rate of the part is derived so that the population grows as the division rate of the melanoma.
    entry = gpusim.Scenario.load("cell-cycle", {"grid.shape": [1, 1, 1], "time.until": "1 h"}).document.rules["entry"]
    rate = gpusim.units.number(entry.rate, "1/hour")
    division = gpusim.units.number("1.1e-4 /min", "1/hour")
    assert brentq(lambda r: through_cycle(r, rate) - 1, 1e-4, 1) == pytest.approx(division, rel=0.02)


@pytest.mark.slow
def test_growth_and_phases_are_those_of_the_equations():
    with gpusim.Simulation(gpusim.Scenario.load("cell-cycle", ROOMY), "cpu") as simulation:
        names = ("tumour", "s_phase", "g2m_phase")
        begun = simulation.counts["tumour"]
        for hours in (12, 24, 72):
            simulation.run(until=f"{hours} h")
            found = np.array([simulation.counts[name] for name in names])
            of_one = expected(hours)
            assert found.sum() == pytest.approx(begun * of_one.sum(), rel=0.04)
            assert found / found.sum() == pytest.approx(of_one / of_one.sum(), abs=0.02)
        assert simulation.barred["division"] < 0.01 * simulation.fired["division"]
