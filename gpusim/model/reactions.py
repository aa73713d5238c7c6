"""Reactions between fields as tables: which are consumed and made, by which coefficients, and how quickly."""

from collections.abc import Iterator, Sequence

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.model import Fields, Reactions, States
from gpusim.model.modulators import Modulators, together
from gpusim.model.tables import REACTION, TERM
from gpusim.scenario import Document
from gpusim.scenario.checks import coefficient_unit, reaction_unit
from gpusim.scenario.schema import Reaction

MOST_TURNOVER = 0.5
"""Of a reactant in a step, q, up to which the implicit midpoint rule is accurate: the rate is off by q^2 / 12."""


def build_reactions(
    document: Document, states: States, volume: float, step: float, modulators: Modulators
) -> Reactions:
    """The reactions of a scenario; `step` in min, `volume` of a voxel in um^3. Raises `ScenarioError`."""
    rows: list[tuple[float | int, ...]] = []
    terms: list[tuple[int, float]] = []
    names = list(document.fields)
    for name, reaction in document.reactions.items():
        turnover = units.number(reaction.rate, reaction_unit(document, reaction), volume) * step
        first = len(terms)
        for side in ("consumes", "makes"):
            for field in getattr(reaction, side):
                coefficient = _coefficient(document, name, reaction, side, field, volume)
                terms.append((names.index(field), coefficient))
        ranges = _modulators(reaction, states, modulators)
        rows.append((turnover, *ranges, first, first + len(reaction.consumes), len(terms)))
    return Reactions(tuple(document.reactions), np.array(rows, REACTION), np.array(terms, TERM))


def _coefficient(document: Document, name: str, reaction: Reaction, side: str, field: str, volume: float) -> float:
    value = units.number(getattr(reaction, side)[field], coefficient_unit(document, reaction, field), volume)
    if not value > np.finfo(np.float32).tiny:
        raise ScenarioError(f"reactions.{name}.{side}.{field}: expected a coefficient above 1e-38, found {value:g}")
    return value


def _modulators(reaction: Reaction, states: States, modulators: Modulators) -> tuple[int, int, int]:
    """First row of all, first of those that look for a cell of the tissue, end.

    A modulator finds the cell of the other layer: of the immune layer, seen from the tissue, and the reverse.
    """
    of_tissue = [
        m for m in reaction.modulators if any(set(each.contact or ()) & set(states.tissue) for each in m.arguments)
    ]
    first, end = modulators.add(m for m in reaction.modulators if m not in of_tissue)
    return first, end, modulators.add(of_tissue)[1]


def shares(
    reactions: Reactions, fields: Fields, held: np.ndarray, highest: Sequence[float]
) -> Iterator[tuple[str, int, float]]:
    """Reaction, field and the share of it that a step uses up, as far as can be foreseen.

    Foreseen are initial concentrations, those at the sides and those that cells hold (`held`, as in `Exchange`);
    `highest`: of each reaction, the most that its modulators multiply by.
    """
    initial = np.array([values.max() for values in fields.initial])
    holds = ~np.isnan(held)
    there = np.maximum(initial, fields.boundary.far.max(axis=1, initial=0.0))
    there = np.maximum(there, np.where(holds, held, 0.0).max(axis=1, initial=0.0))
    for name, row, most in zip(reactions.names, reactions.rows, highest, strict=True):
        consumed = reactions.terms[row["first_consumed"] : row["first_made"]]
        for term, beside in zip(consumed, consumed[::-1], strict=True):
            other = float(there[beside["field"]]) if len(consumed) > 1 else 1.0
            yield name, int(term["field"]), float(row["turnover"]) * most * float(term["coefficient"]) * other


def hasty(reactions: Reactions, fields: Fields, held: np.ndarray, modulators: Modulators, step: float) -> Iterator[str]:
    """Sentences on reactions that use up more of a field in a step than is accurate; see `shares`.

    Modulators without a bound count as 1.
    """
    highest = []
    for row in reactions.rows:
        factors = modulators.highest[row["first_modulator"] : row["end_contact"]]
        bounded = [each for each in factors if np.isfinite(each).all()]
        highest.append(float(together(bounded, factors.shape[1]).max()))
    noted = set()
    for name, field, share in shares(reactions, fields, held, highest):
        if share > MOST_TURNOVER and name not in noted:
            noted.add(name)
            yield (
                f"the time step of {step:g} min is too large for reaction '{name}': it converts a share of "
                f"{share:.3g} of '{fields.names[field]}' per step; above {MOST_TURNOVER:g}, its rate has an error of "
                "2% or more; use a shorter 'time.step.field'"
            )
