"""Names of a scenario for those of a PhysiCell model."""

import re
from collections.abc import Iterable

from gpusim.scenario import checks

_LONGEST = 26
"""Letters, so that the name of a state has room for what follows."""
_RESERVED = {*checks.RESERVED, *checks.COLUMNS, *checks.OUTPUT}


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Distinct names of letters, digits and underscores, none of them reserved, by the names of the model."""
    used = {each.lower() for each in taken} | _RESERVED
    found = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
        plain = plain if plain[:1].isalpha() else f"n{plain}"
        plain = plain[:_LONGEST].rstrip("_")
        candidate, count = plain, 1
        while candidate.lower() in used:
            count += 1
            candidate = f"{plain}_cell" if plain.lower() in _RESERVED and count == 2 else f"{plain}_{count}"
        used.add(candidate.lower())
        found[name] = candidate
    return found
