"""Immune settings of the library are what they are called, untreated for five days; a virus turns a desert inflamed."""

import pytest

import gpusim
from gpusim.analysis.phenotype import Phenotype
from gpusim.analysis.reading import read_lesions
from gpusim.backends import availability


def lesion(simulation):
    """The only lesion, as it is now."""
    scenario = simulation.scenario
    (found,) = read_lesions(scenario.document, simulation.sites[scenario.sites[0]].array)
    return found


@pytest.mark.campaign
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
@pytest.mark.parametrize("name", list(Phenotype))
def test_a_setting_is_what_it_is_called_for_five_days(name, tmp_path):
    path = tmp_path / "setting.yaml"
    path.write_text(f"extends: [melanoma, {name.value}]\nname: setting\nseed: 1\ntime: {{until: 5 day}}\n")
    scenario = gpusim.Scenario.load(path)
    with gpusim.Simulation(scenario, backend="cpu") as simulation:
        for day in range(6):
            if day:
                simulation.run(until=f"{day} day")
            found = lesion(simulation)
            assert found.phenotype == name, f"day {day}: {found.core:.0f} and {found.margin:.0f} CD8 cells per mm^2"


@pytest.mark.campaign
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
def test_a_virus_turns_a_desert_inflamed():
    with gpusim.Simulation("cold-to-hot", backend="cpu") as simulation:
        assert lesion(simulation).phenotype == Phenotype.DESERT
        simulation.run(until="7 day")
        assert lesion(simulation).phenotype == Phenotype.INFLAMED
