"""Categories of response on made-up courses whose reading the criteria themselves give."""

import pytest

from gpusim.analysis.response import Category, Reading, response


def course(*sums, **sites):
    """Readings a week apart; sums of one lesion, or of several sites."""
    sites = sites or {"primary": sums}
    length = len(next(iter(sites.values())))
    return [Reading(i * 10080.0, {s: float(d[i]) for s, d in sites.items()}, {}, 0.0) for i in range(length)]


@pytest.mark.parametrize(
    ("sums", "categories"),
    [
        ((100, 90, 71), "SD SD"),
        ((100, 70), "PR"),
        ((100, 119), "SD"),
        ((100, 120), "PD"),
        ((100, 50, 59), "PR PR"),
        ((100, 50, 60), "PR PD"),  # 20% above the lowest, although far below the start
        ((100, 0, 0), "CR CR"),
        ((100, 0, 10), "CR PD"),
    ],
)
def test_categories(sums, categories):
    assert " ".join(response(course(*sums)).categories) == categories


def test_a_new_lesion_is_progression():
    found = response(course(primary=(100, 80, 60), lung=(0, 0, 9)))
    assert found.categories == (Category.STABLE, Category.PROGRESSIVE)


def test_a_swelling_that_goes_back_is_pseudo_progression():
    found = response(course(100, 130, 90, 60))
    assert found.categories == (Category.PROGRESSIVE, Category.STABLE, Category.PARTIAL)
    assert found.pseudo_progression
    assert found.progressed is None
    assert found.lasting
    assert found.best is Category.PARTIAL


def test_a_progression_that_stays_is_timed_from_its_first_reading():
    found = response(course(100, 60, 80, 100))
    assert found.progressed == 2 * 10080
    assert not found.pseudo_progression
    assert not found.lasting
    assert found.best is Category.PARTIAL


def test_a_progression_at_the_last_reading_counts():
    assert response(course(100, 100, 130)).progressed == 2 * 10080
