"""Published models: what their authors, or theory with their numbers, say of them."""

import numpy as np
import pytest
from validation import published

from gpusim.backends import availability

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]


def test_a_tumour_front_moves_as_fisher_and_kolmogorov_say():
    """Morselli et al.: 2 sqrt(D p) = 3.75e-3 mm/h. A front nears it from below, at p t of 7 to 13 by some 5%."""
    fastest = 2 * np.sqrt(published.MORSELLI_DIFFUSION * published.MORSELLI_DIVISION)
    assert fastest * 60 / 1000 == pytest.approx(3.75e-3, rel=2e-3)
    found = np.mean([published.front_speed(seed) for seed in (1, 2)])
    assert 0.95 * fastest < found <= published.tumour_front().speed


def test_the_radius_of_a_plaque_grows_linearly():
    _, off = published.plaque(1)
    assert off < 0.01


def test_an_infection_is_quicker_by_diffusion_and_burst_and_slower_by_delay():
    """Below the mean field's speed, by no more than the N cells at its foot cost: pi^2 / (2 ln^2 N).

    Brunet and Derrida 1997; here 40 voxels across and 1 / steepness = 9 deep, so 14%.
    """
    changes = {"as it is": {}, "diffusion": {"diffusion": 400}, "burst": {"burst": 300}, "delay": {"delay": 16}}
    speeds = {}
    for name, change in changes.items():
        found, theory = np.mean([published.infection_front(seed, **change) for seed in (1, 2, 3)], axis=0)
        cells = 40 / (published.plaque_front(**{"diffusion": 100, "burst": 150, "delay": 8, **change}).steepness * 20)
        least = 1 - np.pi**2 / (2 * np.log(cells) ** 2)
        assert least * theory < found < theory, name
        speeds[name] = found
    assert speeds["delay"] < speeds["as it is"] < speeds["burst"] < speeds["diffusion"]
    # Nothing but the diffusion has a length: the speed goes by its root.
    assert speeds["diffusion"] / speeds["as it is"] == pytest.approx(2, rel=0.1)


def test_collagen_holds_the_virus_back_and_collagenase_lets_it_go():
    """Pooladvand et al.: D_max (1 - c^0.29); McKee et al.: collagenase restores the reach."""
    collagen = [0.1, 0.3, 0.6, 0.9]
    reach = [published.penetration(share) for share in collagen]
    # 40 min in 20 steps, on voxels of 20 um: the square of the distance is exact for any step.
    assert reach == pytest.approx([np.sqrt(6 * published.squeezed(share) * 40) for share in collagen], rel=0.005)
    for share, held in zip(collagen, reach, strict=True):
        assert held < published.penetration(share, published.ENZYME) < published.penetration(0.0) * 1.01


def test_dense_stroma_that_takes_virus_up_limits_its_reach():
    """Jenner et al. 2022."""
    for seed in (1, 2):
        sparse, dense = published.glioblastoma("sparse", seed), published.glioblastoma("dense", seed)
        assert dense[0].distance < sparse[0].distance
        for dense_until, sparse_until in zip(dense, sparse, strict=True):
            assert dense_until.infections < sparse_until.infections


def test_the_radius_of_a_monolayer_grows_linearly_by_a_rim_as_wide_as_the_reach():
    """As in culture (Bru et al. 2003). The rim of six cells consists of whole layers: it is right to half a cell."""
    for seed in (1, 2):
        found = published.monolayer(seed)
        assert found.gained == pytest.approx(found.expected, rel=0.5 / 6)
        assert found.dividing == pytest.approx(found.rim, rel=0.5 / 6)
        assert found.off < 0.03


def test_cells_walk_at_random_as_fuerth_says():
    """Within four standard errors of his formula and what the lattice adds, which is less than a quarter."""
    for minutes, (square, error) in zip(published.WALK, published.random_walk(range(1, 17)), strict=True):
        theory, lattice = published.fuerth(minutes)
        assert square == pytest.approx(theory + lattice, abs=4 * error)
        assert lattice < theory / 4


def test_a_spheroid_has_a_necrotic_core():
    radius, core = published.spheroid(1)
    least, largest = published.necrotic_radii(radius)
    assert least < core < largest


def test_uptake_of_zero_order_leaves_a_rim_as_seen():
    for rate in published.ZERO_ORDER:
        rim = published.zero_order_rim(rate)
        assert rim == pytest.approx(published.rim_in_theory(rate), rel=0.07)
        assert 100 < rim < 250
