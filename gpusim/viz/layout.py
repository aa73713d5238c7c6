"""How panels share a page."""

from collections import Counter
from collections.abc import Sequence


def of_sites(titles: Sequence[str]) -> tuple[int, int] | None:
    """Rows and columns of several times of several sites (their titles), a row for each site; None for others."""
    times = set(Counter(titles).values())
    sites = len(set(titles))
    return (sites, len(titles) // sites) if len(times) == 1 and 1 < sites < len(titles) else None


def arrangement(count: int, panel: float, page: float) -> tuple[int, int]:
    """Rows and columns in which so many panels are largest, by widths over heights of a panel and of the page."""

    def width(columns: int) -> float:
        rows = -(-count // columns)
        return min(page / columns, panel / rows)

    columns = max(range(1, count + 1), key=lambda n: (width(n), -n))
    return -(-count // columns), columns
