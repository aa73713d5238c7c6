"""The layer of each cell type: cells that act on each other share a voxel, so they belong to different layers."""

from collections.abc import Iterable

from gpusim.physicell.grammar import Rule
from gpusim.physicell.settings import CellType

INTERACTIONS = ("attack ", "phagocytose ", "phagocytosis of ", "fuse to ")
BECOMING = ("transform to ", "transition to ", "asymmetric division to ")


def target_of(behaviour: str, beginnings: Iterable[str]) -> str | None:
    """The cell type that a behaviour names after one of some beginnings."""
    return next((behaviour.removeprefix(each) for each in beginnings if behaviour.startswith(each)), None)


def acts_on(cell: CellType, rules: Iterable[Rule], types: Iterable[str]) -> set[str]:
    """Cell types whose living cells a type attacks, ingests or fuses with."""
    by_rate = {t for rates in (cell.attack, cell.phagocytosis, cell.fusion) for t, rate in rates.items() if rate > 0}
    by_rule = {target_of(rule.behaviour, INTERACTIONS) for rule in rules if rule.cell == cell.name and rule.extreme > 0}
    return (by_rate | {t for t in by_rule if t}) & set(types)


def eats_dead(cell: CellType, rules: Iterable[Rule]) -> bool:
    """Whether it takes up dead cells."""
    words = ("dead cell", "apoptotic cell", "necrotic cell", "dead cells", "apoptotic cells", "necrotic cells")
    by_rule = any(rule.cell == cell.name and rule.behaviour.endswith(words) for rule in rules)
    return by_rule or any(rate > 0 for rate in cell.dead_phagocytosis.values())


def layers(types: list[CellType], rules: list[Rule]) -> dict[str, str]:
    """'tissue' or 'immune' by cell type: types that become each other in one, those that act on each other in both."""
    names = [each.name for each in types]
    kin = {name: {name} for name in names}

    def join(one: str, other: str) -> None:
        merged = kin[one] | kin[other]
        for name in merged:
            kin[name] = merged

    for cell in types:
        becoming = {**cell.transformation, **(cell.asymmetric_to if cell.asymmetric else {})}
        for name, rate in becoming.items():
            if rate > 0 and name in kin:
                join(cell.name, name)
    for rule in rules:
        target = target_of(rule.behaviour, BECOMING)
        if target in kin and rule.cell in kin:
            join(rule.cell, target)
    acting = {cell.name: acts_on(cell, rules, names) for cell in types}
    edges = {name: {other for one in kin[name] for other in acting[one]} - kin[name] for name in names}
    hunted = {name: {one for one in names if edges[one] & kin[name]} for name in names}
    found: dict[str, str] = {}
    eaters = {cell.name for cell in types if eats_dead(cell, rules)}
    # Those that are acted on most, and act least, are the tissue.
    for name in sorted(names, key=lambda each: len(edges[each]) - len(hunted[each])):
        if name in found:
            continue
        beside = {found[other] for other in edges[name] | hunted[name] if other in found}
        free = [layer for layer in ("tissue", "immune") if layer not in beside]
        wants_immune = bool(edges[name]) or bool(kin[name] & eaters)
        layer = "immune" if (not free or "immune" in free) and wants_immune else (free or ["tissue"])[0]
        for each in kin[name]:
            found[each] = layer
    if len(set(found.values())) == 1 and "immune" in found.values() and not any(edges.values()):
        return dict.fromkeys(names, "tissue")
    return found
