"""Colonies, smaller and fewer than in the campaign that they are made for; and how the campaign goes on."""

import json

import pytest
from validation import colonies

from gpusim.backends import availability

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]


@pytest.fixture(scope="module")
def grown():
    return [colonies.grow(4, seed, (5_000,), n=41) for seed in range(4)]


def test_colonies_are_round(grown):
    assert colonies.anisotropy(grown, 5_000) == pytest.approx((1, 1), abs=0.03)


def test_the_radius_grows_by_a_rim_as_wide_as_the_reach(grown):
    """A rim consists of whole layers of cells, and the front is rough: half a voxel of the rim's four."""
    for colony in grown:
        found, expected, off = colonies.speed(colony, 4, 1_500)
        assert found == pytest.approx(expected, rel=0.5 / 4)
        assert off < 0.03


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path, capsys):
    arguments = ["--folder", str(tmp_path), "--seeds", "1", "--sizes", "600", "900", "--voxels", "21"]
    colonies.main(arguments)
    table = capsys.readouterr().out
    assert len(table.splitlines()) == 3 * len(colonies.REACHES)
    file = tmp_path / "reach-4-seed-0.json"
    stored = json.loads(file.read_text())
    stored["cones"]["600"] = [3.0, 1.0, 1.0]
    file.write_text(json.dumps(stored))
    colonies.main(arguments)
    assert "axes / face diagonals 3.0000" in capsys.readouterr().out
    file.write_text(json.dumps(stored | {"digest": "of an older program"}))
    colonies.main(arguments)
    assert capsys.readouterr().out == table
