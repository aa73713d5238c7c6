"""Which cells make up a tumour: one answer for curves, pictures and reports."""

from gpusim.scenario import Document
from gpusim.scenario.checks import state_names

ALL_TUMOUR_CELLS = "all tumour cells"
"""What the sum over `tumour_states` is called; a state named `tumour` is one of them."""
_SHIPPED = ("tumour", "tumour_pdl1", "exposed", "infected")


def tumour_states(document: Document) -> list[str]:
    """States of tumour cells, infected ones among them: those of the scenario's `heat`, or the shipped names."""
    known = document.heat.tumour if document.heat else _SHIPPED
    there = [name for layer in state_names(document) for name in layer]
    return [name for name in known if name in there]
