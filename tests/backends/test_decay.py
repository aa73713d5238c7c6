import numpy as np
import pytest
from machines import backend_parameters

import gpusim

TEXT = """
grid: {shape: [3, 4, 6]}
time: {until: 10 min, step: {field: 1 min}}
fields:
  a: {unit: ng/mL, initial: 2, decay_above: 0.3 /min}
  b: {unit: ng/mL, initial: 2}
"""


@pytest.mark.parametrize("machine", backend_parameters())
def test_a_decay_by_a_map_is_exponential_in_each_plane(machine):
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), machine[0], threads=machine[1], seed=[1, 2]) as simulation:
        simulation.step(5)
        for replicate in simulation.replicates:
            found = replicate.site.field("a").astype(float)
            expected = 2 * np.exp(-0.3 * 5 * np.linspace(0, 1, 6))
            np.testing.assert_allclose(found, expected[:, None, None] * np.ones((6, 4, 3)), rtol=1e-6)
            assert np.all(replicate.site.field("b") == 2)
