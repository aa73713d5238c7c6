"""Problems with known solutions: does a backend find them?

Each case runs a small scenario and holds numbers of it against theory, within what the order of the
scheme or the size of the sample allows.
"""

from collections.abc import Iterator
from functools import partial

from gpusim.verification import bits, fronts, growth, motion, randomness, reactions, rules, transport, well_mixed
from gpusim.verification.case import Case, Extent, Finding, Machine

__all__ = ["CASES", "Case", "Extent", "Finding", "Machine", "chosen", "verify"]

CASES = (
    Case("point source", transport.point_source),
    Case("cosine mode in time", transport.cosine_in_time),
    Case("cosine mode in space", transport.cosine_in_space),
    Case("implicit steps", transport.implicit_in_time),
    Case("plane source", transport.plane_source),
    Case("sphere source", transport.sphere_source, extent=Extent.USUAL),
    Case("mass", transport.mass, extent=Extent.USUAL),
    Case("Fisher-KPP front", fronts.fisher, extent=Extent.USUAL),
    Case("jump in D", transport.jump),
    Case("oxygen in a slab", transport.slab, extent=Extent.USUAL),
    Case("oxygen in a ball", transport.sphere_of_cells, extent=Extent.USUAL),
    Case("mass action", reactions.mass_action),
    Case("equilibrium", reactions.equilibrium),
    Case("reaction beside diffusion", reactions.split_from_diffusion),
    Case("survival", rules.survival),
    Case("competing hazards", rules.competition),
    Case("Eden growth", fronts.eden, extent=Extent.USUAL),
    Case("growth of a colony", growth.exponential),
    Case("dividing rim", growth.rim, extent=Extent.USUAL),
    Case("round colony", growth.isotropy, extent=Extent.FULL),
    Case("random walk", motion.random_walk, extent=Extent.USUAL),
    Case("chemotaxis", motion.chemotaxis, extent=Extent.USUAL),
    Case("target cells", well_mixed.target_cells, extent=Extent.USUAL),
    Case("extinction", well_mixed.extinction, extent=Extent.USUAL),
    Case("known answers", randomness.known_answers),
    Case("independence", randomness.independence),
    Case("seeds", randomness.seeds),
    Case("bits of NumPy", partial(bits.against_numpy, first=0, end=8), of_kernels=True),
    Case("more bits of NumPy", partial(bits.against_numpy, first=8, end=24), extent=Extent.USUAL, of_kernels=True),
    Case("many bits of NumPy", partial(bits.against_numpy, first=24, end=40), extent=Extent.FULL, of_kernels=True),
)


def chosen(machine: Machine, extent: Extent = Extent.USUAL) -> list[Case]:
    """The cases for a machine; an extent includes the lesser ones."""
    return [case for case in CASES if case.extent <= extent and not (case.of_kernels and machine.backend == "numpy")]


def verify(machine: Machine, extent: Extent = Extent.USUAL) -> Iterator[tuple[Case, list[Finding]]]:
    """Run the cases; yields each with its findings as it ends. Raises `BackendError`."""
    for case in chosen(machine, extent):
        yield case, list(case.run(machine))
