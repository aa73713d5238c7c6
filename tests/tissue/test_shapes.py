import numpy as np
import pytest

import gpusim
from gpusim import Scenario, ScenarioError
from gpusim.model import build
from gpusim.scenario.schema import Vessels
from gpusim.tissue import shapes

BASE = """
grid: {shape: [40, 30, 20], spacing: 10 um}
states: {tumour: {}, healthy: {}, vessel: {}, ctl: {layer: immune}}
tissue: {background: healthy}
"""


def tissue(**given):
    return build(Scenario.parse(BASE).with_(tissue={"shapes": given})).initial


def test_a_sphere_has_its_volume():
    found = tissue(a={"kind": "sphere", "state": "tumour", "radius": "80 um"}).tissue == 1
    assert found.sum() == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)
    assert np.array(np.nonzero(found)).mean(axis=1) == pytest.approx([9.5, 14.5, 19.5])


def test_a_box_is_half_open():
    shape = {"kind": "box", "state": "tumour", "lower": ["10 um", "0 um", "0 um"], "upper": ["30 um", "10 um", "10 um"]}
    assert np.argwhere(tissue(a=shape).tissue == 1).tolist() == [[0, 0, 1], [0, 0, 2]]


def test_a_cylinder_has_its_volume():
    shape = {
        "kind": "cylinder",
        "state": "tumour",
        "start": ["-50 um".replace("-", ""), "150 um", "100 um"],
        "end": ["350 um", "150 um", "100 um"],
        "radius": "50 um",
    }
    # A capsule: a cylinder of 300 um with half a sphere at both ends.
    expected = np.pi * 5**2 * 30 + 4 / 3 * np.pi * 5**3
    assert (tissue(a=shape).tissue == 1).sum() == pytest.approx(expected, rel=0.03)


def test_a_fraction_is_spread_evenly():
    found = tissue(a={"kind": "everywhere", "state": "tumour", "fraction": 0.3}).tissue == 1
    # Standard deviation of the share of 24,000 voxels: 0.003.
    assert found.mean() == pytest.approx(0.3, abs=0.012)


def test_into_keeps_to_the_states_named_and_layers_are_apart():
    found = tissue(
        a={"kind": "sphere", "state": "tumour", "radius": "50 um"},
        b={"kind": "everywhere", "state": "ctl", "into": "tumour"},
    )
    assert np.array_equal(found.immune == 5, found.tissue == 1)


def test_vessels_cross_and_do_not_depend_on_anything_but_the_seed():
    spec = {"kind": "vessels", "state": "vessel", "distance": "100 um"}
    first, second = tissue(a=spec).tissue, tissue(a=spec).tissue
    assert np.array_equal(first, second)
    share = (first == 3).mean()
    assert 0.001 < share < 0.1


def test_a_shape_that_covers_nothing_is_refused():
    with pytest.raises(ScenarioError, match="tissue.shapes.a: covers no voxel"):
        tissue(a={"kind": "sphere", "state": "tumour", "radius": "1 um", "centre": ["9 m", "0 m", "0 m"]})


def test_the_uniform_stream_is_that_of_philox():
    # NumPy promises that a bit generator's raw stream never changes.
    from gpusim.tissue.shapes import Uniform

    raw = np.random.Philox(key=np.array([7, 1], np.uint64)).random_raw(3)
    assert np.array_equal(Uniform(7, 1).draw(3), (raw >> np.uint64(11)) / 2**53)
    assert gpusim.__version__


def walked(shape, spacing, radius, distance, uniform):
    """Vessels by their rule, a step and a random vector at a time."""

    def direction():
        while True:
            v = 2.0 * uniform.draw(3) - 1.0
            square = float(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
            if 0.01 < square <= 1.0:
                return v / np.sqrt(square)

    size = np.array(shape[::-1]) * spacing
    centres = [(np.arange(n) + 0.5) * spacing for n in shape]
    mask = np.zeros(shape, bool)
    for axis in range(3):
        u, v = np.delete(size, axis)
        for _ in range(max(1, round(u * v / distance**2 / 3))):
            position = uniform.draw(3) * size
            position[axis] = 0.0
            heading = direction() * 0.5
            heading[axis] = abs(heading[axis]) + 0.5
            for _ in range(int(6 * size.max() / spacing)):
                z, y, x = (each - p for each, p in zip(centres, position[::-1], strict=True))
                mask |= (z * z)[:, None, None] + (y * y)[:, None] + x * x <= radius * radius
                mask[tuple((position / spacing).astype(int)[::-1])] = True
                heading = heading + 0.15 * direction()
                heading = heading / np.sqrt(heading[0] ** 2 + heading[1] ** 2 + heading[2] ** 2)
                position = position + heading * (spacing / 2)
                if np.any(position < 0) or np.any(position >= size):
                    break
    return mask


@pytest.mark.parametrize("block", [1, 7, 1 << 14])
@pytest.mark.parametrize("radius", [0.1, 8.0, 45.0])
def test_vessels_are_those_of_their_rule_and_leave_the_stream_where_it_does(block, radius, monkeypatch):
    monkeypatch.setattr(shapes._Triples, "_BLOCK", block)
    shape, spacing = (9, 14, 11), 20.0
    spec = Vessels(kind="vessels", state="vessel", radius=f"{radius} um", distance="70 um", fraction=0.5)
    mask, picked = shapes.region(spec, np.zeros(shape, np.uint8), spacing, 7, 2)
    uniform = shapes.Uniform(7, 3)
    assert np.array_equal(mask, walked(shape, spacing, radius, 70.0, uniform))
    assert np.array_equal(picked, uniform.draw(mask.size).reshape(shape) < 0.5)
