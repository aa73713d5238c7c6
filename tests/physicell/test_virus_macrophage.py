"""PhysiCell's project virus_macrophage as a scenario, whose C++ functions are traits and rules."""

from pathlib import Path

import pytest

import gpusim
from gpusim.physicell.cells import drift

PATH = Path(__file__).parents[2] / "examples" / "physicell" / "virus-macrophage.yaml"


def test_it_is_short():
    assert len(PATH.read_text().splitlines()) <= 60


def test_its_numbers_are_those_of_the_project():
    document = gpusim.Scenario.load(str(PATH)).document
    share = 2494 / (13.56**2 * 20)
    permeability = document.states["epithelial"].exchange["interferon"].permeability
    assert float(permeability.split()[0]) == pytest.approx(share, rel=1e-3)
    assert float(document.traits["load"].uptake["virus"].rate.split()[0]) == pytest.approx(10 * share, rel=1e-3)
    assert document.states["macrophage"].motility.chemotaxis.bias.value == pytest.approx(
        drift(0.4, flat=True), rel=1e-3
    )


@pytest.mark.slow
def test_particles_are_only_made_by_replication():
    scenario = gpusim.Scenario.load(str(PATH)).with_(grid={"shape": [20, 20, 1]}, rules={"eating": {"rate": "0 /min"}})
    few = {
        name: {"amount": f"{count} cell"} for name, count in (("sheet", 100), ("first_cells", 5), ("macrophages", 5))
    }
    with gpusim.Simulation(scenario.with_(therapies=few), backend="numpy", seed=1) as simulation:
        simulation.run(until="20 min")
        loads = simulation.site.values("load", ["epithelial"])
        assert simulation.fired["infection"] == 5
        # 0.15 /min in each, from its infection on, some minutes after the start.
        assert 5 < loads.sum() + simulation.totals()["virus"] < 5 * (1 + 0.15 * 20)
