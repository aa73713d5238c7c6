"""Roles and labels of states and fields, as given by the scenario."""

from gpusim.scenario import Document
from gpusim.scenario.checks import state_names
from gpusim.scenario.schema import EMPTY, StateRole

_OF_TUMOUR: tuple[StateRole, ...] = ("tumour", "exposed", "infected")
_WATCHED: tuple[StateRole, ...] = ("tumour", "infected", "effector")


def states_with(document: Document, *roles: StateRole) -> list[str]:
    """States with one of these roles, in the order of the roles and of the scenario."""
    return [name for role in roles for name, state in document.states.items() if state.role == role]


def tumour_states(document: Document) -> list[str]:
    """States of tumour cells, infected ones among them.

    Those of the scenario's `heat`; or those with the role `tumour`, `exposed` or `infected`; or, where no state has a
    role, all states of resident cells.
    """
    tissue, immune = state_names(document)
    if document.heat:
        return [name for name in document.heat.tumour if name in (*tissue, *immune)]
    if _tells_tumour(document):
        return states_with(document, *_OF_TUMOUR)
    return [name for name in tissue if name != EMPTY]


def tumour_name(document: Document) -> str:
    """What the cells in `tumour_states` make up: "tumour"; "tissue" where nothing tells tumour cells from others."""
    return "tumour" if _tells_tumour(document) else "tissue"


def tumour_cells_label(document: Document) -> str:
    """Label of the sum over `tumour_states`."""
    return f"all {tumour_name(document)} cells"


def _tells_tumour(document: Document) -> bool:
    return document.heat is not None or any(state.role for state in document.states.values())


def watched_states(document: Document) -> list[str]:
    """States for progress reports: the first of each of some roles, or the first of the tumour."""
    found = [states_with(document, role)[:1] for role in _WATCHED]
    return [name for names in found for name in names] or tumour_states(document)[:3]


def state_label(document: Document, name: str) -> str:
    """Label of a state."""
    state = document.states.get(name)
    return (state.label if state else None) or name.replace("_", " ")


def field_label(document: Document, name: str) -> str:
    """Label of a field."""
    return document.fields[name].label or name.replace("_", " ")


def trait_label(document: Document, name: str) -> str:
    """Label of a trait."""
    return document.traits[name].label or name.replace("_", " ")


def quantity_label(document: Document, name: str) -> str:
    """Label of a quantity of the body."""
    return document.body.quantities[name].label or name.replace("_", " ")


def main_field(document: Document) -> str | None:
    """The field that is shown first: the one with the role `virus`, or the first; None without fields."""
    fields = document.fields
    return next((name for name, field in fields.items() if field.role == "virus"), next(iter(fields), None))
