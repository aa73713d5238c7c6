"""The kernels' source as text, for whichever compiler takes it."""

import functools
from pathlib import Path

FILES = (
    "transport.cu",
    "multigrid.cu",
    "exchange.cu",
    "reactions.cu",
    "neighbours.cu",
    "rules.cu",
    "motion.cu",
    "division.cu",
    "measure.cu",
    "body.cu",
)
KERNELS = (
    "explicit_step",
    "walled_step",
    "combine",
    "smooth_finest",
    "smooth_coarse",
    "restrict_finest",
    "restrict_coarse",
    "restrict_mass",
    "restrict_coupling",
    "restrict_mean",
    "prolong",
    "exchange_rates",
    "count_exchange",
    "deposit",
    "react",
    "hold",
    "mark_members",
    "count_members",
    "apply_rules",
    "propose_moves",
    "move",
    "begin_room",
    "spread_room",
    "bid_for_room",
    "settle_bids",
    "divide",
    "sum_fields",
    "circulate",
)


def folder() -> Path:
    """Folder `kernels`: inside the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "kernels"
    return installed if installed.is_dir() else package.parent / "kernels"


@functools.cache
def kernel_source() -> str:
    """All kernels as one text, each local include put in once."""
    taken: set[str] = set()
    return "\n".join(_flattened(name, taken) for name in FILES)


@functools.cache
def host_units() -> tuple[str, ...]:
    """For a host compiler, each file as a text of its own behind host.hpp, so that they are compiled side by side."""

    def unit(name: str) -> str:
        taken: set[str] = set()
        return "\n".join(_flattened(each, taken) for each in ("host.hpp", name))

    return tuple(map(unit, FILES))


def _flattened(name: str, taken: set[str]) -> str:
    if name in taken:
        return ""
    taken.add(name)
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate((folder() / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith('#include "'):
            lines += [_flattened(line.split('"')[1], taken), f'#line {number + 1} "{name}"']
        elif line.strip() != "#pragma once":
            lines.append(line)
        else:
            lines.append("")
    return "\n".join(lines)
