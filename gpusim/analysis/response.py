"""The response of lesions to treatment by clinical criteria: diameters, RECIST 1.1, iRECIST.

Categories by the sum of the lesions' diameters as in Eisenhauer et al. 2009 (RECIST 1.1): complete response
with no lesion left, partial with 30% less than at the start, progression with 20% more than at the lowest
so far or with a new lesion's site, stable else. The rule that progression is also 5 mm or more in absolute
terms is left out, since simulated lesions are smaller. Progression that the next reading does not confirm is
noted as pseudo-progression, as in iRECIST (Seymour et al. 2017).
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gpusim.analysis.phenotype import Lesion
from gpusim.analysis.reading import read_lesions
from gpusim.record import Result

PARTIAL = 0.7
"""Of the sum at the start, from which on down a response is partial."""
PROGRESSION = 1.2
"""Of the lowest sum so far, from which on up it is progression."""


class Category(enum.StrEnum):
    """Category of RECIST 1.1."""

    COMPLETE = "CR"
    PARTIAL = "PR"
    STABLE = "SD"
    PROGRESSIVE = "PD"


@dataclass(frozen=True)
class Reading:
    """The lesions of all sites at one time.

    Attributes:
        minutes: simulated time. diameters: um, each site's sum. heats: mean heat of the core of each site's largest
            lesion, 0 without one. heat: that of the largest lesion of all.
    """

    minutes: float
    diameters: dict[str, float]
    heats: dict[str, float]
    heat: float

    @property
    def total(self) -> float:
        """Sum of all diameters, um."""
        return sum(self.diameters.values())


@dataclass(frozen=True)
class Response:
    """What came of the lesions.

    Attributes:
        categories: at each reading after the first.
        best: the best of them. progressed: minutes until the first progression that stayed, or None.
        pseudo_progression: whether a progression was not confirmed.
        lasting: whether a response (CR or PR) was there and held to the end.
    """

    categories: tuple[Category, ...]
    best: Category
    progressed: float | None
    pseudo_progression: bool
    lasting: bool


def readings(result: Result) -> list[Reading]:
    """Lesions of a result at each snapshot. Raises `ScenarioError` where the scenario has no `heat`."""
    found = []
    sites = [Result(result.folder, site) for site in result.sites]
    for i, minutes in enumerate(result.times):
        by_site = {site.site: read_lesions(site.document, partial(site.array, snapshot=i)) for site in sites}
        diameters = {site: sum(lesion.diameter for lesion in each) for site, each in by_site.items()}
        heats = {site: _heat(each) for site, each in by_site.items()}
        heat = _heat([lesion for each in by_site.values() for lesion in each])
        found.append(Reading(float(minutes), diameters, heats, heat))
    return found


def _heat(lesions: Sequence[Lesion]) -> float:
    return max(lesions, key=lambda lesion: lesion.cells).heat if lesions else 0.0


def response(given: Sequence[Reading]) -> Response:
    """Categories over time; at least two readings, the first at the start of treatment."""
    sums = np.array([reading.total for reading in given])
    categories: list[Category] = []
    for i in range(1, len(sums)):
        lowest = sums[:i].min()
        new = any(d > 0 and all(r.diameters[s] == 0 for r in given[:i]) for s, d in given[i].diameters.items())
        if sums[i] == 0:
            categories.append(Category.COMPLETE)
        elif new or sums[i] >= PROGRESSION * lowest:
            categories.append(Category.PROGRESSIVE)
        elif sums[i] <= PARTIAL * sums[0]:
            categories.append(Category.PARTIAL)
        else:
            categories.append(Category.STABLE)
    order = list(Category)
    confirmed = [
        i
        for i, category in enumerate(categories)
        if category is Category.PROGRESSIVE and categories[i + 1 : i + 2] in ([], [Category.PROGRESSIVE])
    ]
    progressions = categories.count(Category.PROGRESSIVE)
    responses = {Category.COMPLETE, Category.PARTIAL}
    return Response(
        categories=tuple(categories),
        best=min(categories, key=order.index),
        progressed=given[confirmed[0] + 1].minutes if confirmed else None,
        pseudo_progression=progressions > len(confirmed),
        lasting=categories[-1] in responses,
    )
