"""What a sum over voxels is told as."""

import pytest

from gpusim.analysis import tumour_cells_label, tumour_states, volume_label, whole
from gpusim.scenario import Scenario


@pytest.mark.parametrize(
    ("unit", "factor", "told", "is_amount"),
    [
        ("PFU/voxel", 1.0, "PFU", True),
        ("ng/mL", 8e-9, "ng", True),  # a voxel of 20 um has 8000 um^3, and a mL 1e12
        ("PFU/mm^3", 8e-6, "PFU", True),
        ("mmHg", 1 / 1000, "mmHg, mean", False),
        ("nM", 1 / 1000, "nM, mean", False),
        ("ng/min", 1 / 1000, "ng/min, mean", False),
    ],
)
def test_a_sum_is_an_amount_only_of_what_adds_up(unit, factor, told, is_amount):
    found = whole(unit, [1000], [20.0])
    assert found.factor == pytest.approx(factor, rel=1e-12)
    assert (found.label, found.is_amount) == (told, is_amount)


def test_a_concentration_in_voxels_of_two_sizes_has_a_mean_alone():
    assert not whole("ng/mL", [1000, 1000], [20.0, 40.0]).is_amount
    assert whole("PFU/voxel", [1000, 1000], [20.0, 40.0]).is_amount
    assert volume_label([1000, 1000], [20.0, 40.0]) == "0.072 mm^3"


def test_a_tumour_is_its_infected_cells_too():
    states = "{sick: {role: infected}, other: {}, cancer: {role: tumour}, late: {role: infected}, dead: {role: dead}}"
    named = Scenario.parse(f"grid: {{shape: [4, 4, 4]}}\nstates: {states}")
    assert tumour_states(named.document) == ["cancer", "sick", "late"]
    bare = Scenario.parse("grid: {shape: [4, 4, 4]}\nstates: {infected: {}, other: {}, t: {layer: immune}}")
    assert tumour_states(bare.document) == ["infected", "other"]  # no roles: all that is resident
    assert [tumour_cells_label(each.document) for each in (named, bare)] == ["all tumour cells", "all tissue cells"]
    document = Scenario.load("cold-to-hot").document
    assert tumour_states(document) == list(document.heat.tumour)
