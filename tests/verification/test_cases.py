"""The cases of `gpusim verify`, on every backend."""

import pytest

from gpusim.backends import availability
from gpusim.verification import CASES, Extent, Machine
from gpusim.verification.case import Finding, near, refinement

HOURS_ON_NUMPY = ("round colony",)
"""Eight colonies of up to 100,000 cells."""


def described(finding):
    return f"{finding.what}: expected {finding.expected:g}, found {finding.found:g}, order {finding.order}"


def marks(case):
    if case.of_kernels and case.extent is not Extent.QUICK:
        return pytest.mark.campaign
    return () if case.extent is Extent.QUICK else pytest.mark.slow


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marks(case)) for case in CASES])
def test_what_theory_says_is_found(case, one_backend_each):
    if case.of_kernels and one_backend_each[0] == "numpy":
        pytest.skip("it is what others are held against")
    if case.name in HOURS_ON_NUMPY and one_backend_each[0] == "numpy" and availability("cpu").available:
        pytest.skip("takes an hour, and its bits are those of the cpu backend")
    findings = list(case.run(Machine(*one_backend_each)))
    assert findings
    assert [described(finding) for finding in findings if not finding.good] == []


def test_a_number_out_of_its_bounds_is_not_good():
    assert near("x", 2, 2.1, absolute=0.11).good
    assert not near("x", 2, 2.12, absolute=0.11).good
    assert not near("x", 2, float("nan"), absolute=1).good
    assert not Finding("x", 1, 1, 0, 2, order=float("nan"), theory=1).good


def test_a_refinement_tells_its_worst_order():
    finding = refinement("x", [0, 0, 0], [1, 0.25, 0.07], 2, 0.2)
    assert finding.good
    assert finding.order == pytest.approx(1.8365, abs=1e-4)
    assert not refinement("x", [0, 0, 0], [1, 0.25, 0.1], 2, 0.2).good
    assert not refinement("x", [0, 0], [0, 0], 2, 0.2).good
