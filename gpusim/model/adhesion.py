"""Adhesion: the tables of contact energies and of probabilities, and how often pairs of voxels are tried."""

import math

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.model import Adhesion, States
from gpusim.model.steps import MOST_HAZARD, ROUNDING
from gpusim.scenario import Document
from gpusim.scenario.checks import contact_energy, is_rigid
from gpusim.scenario.schema import ENERGY_DIGITS

ENERGY_UNIT = 10.0**-ENERGY_DIGITS
"""Of the integers that energies are, kT."""
CERTAIN = 2.0**32
"""Probabilities are compared with 32 random bits."""
_MOST_SWEEPS = 1000


def adhesion(document: Document, states: States, rules_step: float) -> Adhesion | None:
    """What a scenario says of it; `rules_step` in min. Raises `ScenarioError` where the rate is too high."""
    count, spec = len(states.tissue), document.adhesion
    if spec is None:
        return None
    energies, swaps = np.zeros((count, count), np.int32), np.zeros(count, np.uint8)
    for one in spec.states:
        swaps[states.number(one)] = not is_rigid(document, one)
        for other in spec.states:
            energy = contact_energy(spec, one, other)
            assert energy is not None, "checked on loading"
            energies[states.number(one), states.number(other)] = round(energy / ENERGY_UNIT)
    attempts = units.number(spec.rate, "1/min") * rules_step
    sweeps = math.ceil(attempts / MOST_HAZARD - ROUNDING)
    if sweeps > _MOST_SWEEPS:
        raise ScenarioError(
            f"adhesion.rate: {spec.rate} is {attempts:.3g} attempts in a rule step of {rules_step:g} min; expected at "
            f"most {_MOST_SWEEPS * MOST_HAZARD:g}"
        )
    return Adhesion(energies, swaps, acceptance(), sweeps, share=attempts / sweeps if sweeps else 0.0)


def acceptance() -> np.ndarray:
    """Heat-bath probability 1 / (1 + exp(dE / kT)) of a rise dE of 0, 1, ... units, in 2^-32, down to 0: uint32.

    That of a fall is the complement, so that both ways of a swap are in balance to the last bit.
    """
    highest = math.ceil(math.log(2 * CERTAIN) / ENERGY_UNIT) + 1
    found = np.rint(CERTAIN / (1 + np.exp(ENERGY_UNIT * np.arange(highest))))
    return found[: np.flatnonzero(found)[-1] + 2].astype(np.uint32)
