"""Problems with known solutions: does a backend find them?

Each case runs a small scenario and holds numbers of it against theory, within what the order of the
scheme or the size of the sample allows.
"""

from collections.abc import Iterator
from functools import partial

from gpusim.verification import bits, fronts, motion, randomness, rules, transport, well_mixed
from gpusim.verification.case import Case, Finding, Machine

__all__ = ["CASES", "Case", "Finding", "Machine", "chosen", "verify"]

CASES = (
    Case("point source", transport.point_source),
    Case("cosine mode in time", transport.cosine_in_time),
    Case("cosine mode in space", transport.cosine_in_space),
    Case("implicit steps", transport.implicit_in_time),
    Case("plane source", transport.plane_source),
    Case("sphere source", transport.sphere_source, quick=False),
    Case("mass", transport.mass, quick=False),
    Case("Fisher-KPP front", fronts.fisher, quick=False),
    Case("jump in D", transport.jump),
    Case("oxygen in a slab", transport.slab, quick=False),
    Case("oxygen in a ball", transport.sphere_of_cells, quick=False),
    Case("survival", rules.survival),
    Case("competing hazards", rules.competition),
    Case("Eden growth", fronts.eden, quick=False),
    Case("random walk", motion.random_walk, quick=False),
    Case("chemotaxis", motion.chemotaxis, quick=False),
    Case("target cells", well_mixed.target_cells, quick=False),
    Case("extinction", well_mixed.extinction, quick=False),
    Case("known answers", randomness.known_answers),
    Case("independence", randomness.independence),
    Case("seeds", randomness.seeds),
    Case("bits of NumPy", partial(bits.against_numpy, first=0, end=8), of_kernels=True),
    Case("more bits of NumPy", partial(bits.against_numpy, first=8, end=40), quick=False, of_kernels=True),
)


def chosen(machine: Machine, *, quick: bool = False) -> list[Case]:
    """The cases for a machine, or the quick ones of them."""
    return [
        case for case in CASES if (case.quick or not quick) and not (case.of_kernels and machine.backend == "numpy")
    ]


def verify(machine: Machine, *, quick: bool = False) -> Iterator[tuple[Case, list[Finding]]]:
    """Run the cases; yields each with its findings as it ends. Raises `BackendError`."""
    for case in chosen(machine, quick=quick):
        yield case, list(case.run(machine))
