"""The lesions of a site of a simulation or a snapshot."""

from collections.abc import Callable

import numpy as np

from gpusim.analysis.heat import heat_of
from gpusim.analysis.phenotype import Lesion, lesions
from gpusim.scenario import Document


def read_lesions(document: Document, array: Callable[[str], np.ndarray]) -> list[Lesion]:
    """Lesions of one site at one time, the largest first.

    Args:
        document: of that site. array: gives a field (float32 [z, y, x]) or a layer (uint8), by name.

    Raises `ScenarioError` where the scenario has no `heat`.
    """
    cytokines = {name: array(name) for name in (document.heat.cytokines if document.heat else ())}
    tissue, immune = array("tissue"), array("immune")
    return lesions(document, tissue, immune, heat_of(document, tissue, immune, cytokines))
