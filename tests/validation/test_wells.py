"""The shipped experiments in wells, against the measurements of wells.py."""

import numpy as np
import pytest
from validation import wells


@pytest.mark.slow
def test_titre_and_viability_of_measles_virus():
    """Within half the lowest and twice the highest well; within 15 points of the median viability."""
    titre, viability = wells.measles(1)
    for hour, (low, high) in wells.TITRE.items():
        assert low / 2 <= titre[hour] <= 2 * high
    for hour, percent in wells.VIABILITY.items():
        assert viability[hour] == pytest.approx(percent, abs=15)


@pytest.mark.slow
def test_the_index_of_glioblastoma_cells_under_herpes_simplex_virus():
    """One set of numbers for both multiplicities; within the widened range of the wells at 80% of the times."""
    to_index = wells.scale(wells.glioblastoma("control", 1))
    for arm in wells.INDEX:
        assert wells.within(arm, to_index(wells.glioblastoma(arm, 1))) >= 0.8


@pytest.mark.slow
def test_the_size_of_plaques_of_herpes_simplex_virus():
    mean, deviation = wells.PLAQUE
    assert wells.plaque(1) == pytest.approx(mean, abs=deviation)
    assert np.diff([wells.plaque(1, f"{d} um^2/min") for d in (10, 30, 100)]).min() > 0  # a looser gel, a larger plaque


@pytest.mark.slow
def test_infected_cells_by_depth_in_pieces_of_a_glioblastoma():
    """The profile within a factor of 3 of the median piece down to 300 um; the sum within the range of the pieces."""
    profiles = [wells.slices(seed) for seed in (1, 2, 3, 4)]
    for hour, nuclei in wells.NUCLEI.items():
        profile = np.median([each[hour] for each in profiles], axis=0)
        assert wells.off(profile, nuclei) <= 3
        low, high = wells.IN_ALL[hour]
        assert low <= profile.sum() <= high
