"""`gpusim verify`: what it prints, and its exit code."""

import pytest
from typer.testing import CliRunner

import gpusim.verification
from gpusim.cli import app
from gpusim.verification import CASES, Case, Extent
from gpusim.verification.case import near


@pytest.fixture
def verified(monkeypatch):
    def run(*cases, arguments=("--backend", "numpy")):
        monkeypatch.setattr(gpusim.verification, "CASES", cases)
        return CliRunner().invoke(app, ["verify", *arguments])

    return run


seeds = next(case for case in CASES if case.name == "seeds")
wrong = Case("wrong", lambda machine: iter([near("a number", 2, 3, absolute=0.5)]), Extent.USUAL)


def test_a_case_that_holds_is_a_row_and_exit_code_0(verified):
    done = verified(seeds)
    assert done.exit_code == 0, done.output
    assert "trajectories of two seeds" in done.output
    assert "all 1 cases hold on numpy" in done.output


def test_a_case_that_fails_is_named_and_exit_code_1(verified):
    done = verified(seeds, wrong)
    assert done.exit_code == 1
    assert "FAILS" in done.output
    assert "1 of 2 cases fail on numpy: wrong" in done.output
    assert verified(seeds, wrong, arguments=("--backend", "numpy", "--quick")).exit_code == 0


@pytest.mark.parametrize(("found", "code"), [(0, 0), (1, 1)])
def test_the_last_line_says_whether_the_bits_are_those_of_the_reference(verified, found, code):
    bits = Case("bits", lambda machine: iter([near("models that differ", 0, found)]), of_kernels=True)
    done = verified(seeds, bits, arguments=("--backend", "cpu", "--threads", "1"))
    assert done.exit_code == code
    *_, last = done.stdout.splitlines()
    assert last.startswith("cpu, kernels through ")
    assert last.endswith(": does NOT give the bits of the reference" if found else ": gives the bits of the reference")


def test_an_extent_includes_the_lesser_ones_and_only_one_is_asked_for(verified):
    many = Case("many", wrong.run, Extent.FULL)
    assert verified(seeds, many).exit_code == 0
    assert verified(seeds, many, arguments=("--backend", "numpy", "--full")).exit_code == 1
    assert verified(seeds, arguments=("--backend", "numpy", "--full", "--quick")).exit_code == 2


def test_numpy_is_not_held_against_itself():
    names = [case.name for case in gpusim.verification.chosen(gpusim.verification.Machine("numpy"))]
    assert "seeds" in names
    assert not [name for name in names if "NumPy" in name]
