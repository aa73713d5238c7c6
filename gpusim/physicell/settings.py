"""PhysiCell_settings.xml (1.10 to 1.14) as data, with the inheritance of cell definitions resolved."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpusim.physicell import reading
from gpusim.physicell.reading import ProjectError, shown

MOST_TYPES, MOST_SUBSTRATES = 60, 60
STANDARD_VOLUME = 2494.0
"""Of a cell, um^3, where the settings give none."""
SIDES = ("xmin", "xmax", "ymin", "ymax", "zmin", "zmax")
_LIVE = 5


@dataclass
class Phase:
    """The way from a phase of the cell cycle to the next: `rate`, 1/min, or after a fixed time of 1 / rate."""

    start: int
    end: int
    rate: float
    fixed: bool


@dataclass
class Death:
    """A death model: its `rate`, 1/min, and the durations of its phases, min."""

    rate: float = 0.0
    durations: list[float] = field(default_factory=list)


@dataclass
class Secretion:
    """Of a substrate: rates in 1/min, the target in its unit, and the net export per min."""

    rate: float = 0.0
    target: float = 1.0
    uptake: float = 0.0
    export: float = 0.0


@dataclass
class CellType:
    """A cell definition."""

    name: str
    number: int
    parent: str | None = None
    cycle: int = _LIVE
    phases: list[Phase] = field(default_factory=list)
    asymmetric: bool = False
    asymmetric_to: dict[str, float] = field(default_factory=dict)
    apoptosis: Death = field(default_factory=Death)
    necrosis: Death = field(default_factory=Death)
    volume: float = STANDARD_VOLUME
    growth: float = 0.0045
    motile: bool = False
    speed: float = 1.0
    persistence: float = 1.0
    bias: float = 0.0
    chemotaxis: list[tuple[str, float]] = field(default_factory=list)
    of_slopes: bool = False
    """Whether the direction is the sum of the gradients themselves, not of their directions."""
    secretion: dict[str, Secretion] = field(default_factory=dict)
    phagocytosis: dict[str, float] = field(default_factory=dict)
    dead_phagocytosis: dict[str, float] = field(default_factory=dict)
    attack: dict[str, float] = field(default_factory=dict)
    immunogenicity: dict[str, float] = field(default_factory=dict)
    attack_damage_rate: float = 1.0
    attack_duration: float = 0.1
    fusion: dict[str, float] = field(default_factory=dict)
    transformation: dict[str, float] = field(default_factory=dict)
    damage_rate: float = 0.0
    damage_repair_rate: float = 0.0
    mechanics: dict[str, float] = field(default_factory=dict)
    custom: dict[str, float] = field(default_factory=dict)
    intracellular: str | None = None
    distributions: bool = False


@dataclass
class Substrate:
    """A field: um^2/min, 1/min; `sides` with a fixed value, by their PhysiCell names."""

    name: str
    unit: str
    diffusion: float
    decay: float
    initial: float
    sides: dict[str, float]


@dataclass
class Settings:
    """All that an import reads from the settings."""

    path: Path
    version: str
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    mesh: tuple[float, float, float]
    flat: bool
    until: float
    steps: dict[str, float]
    saved: float
    seed: int
    wall: bool
    substrates: list[Substrate]
    types: list[CellType]
    rules: list[Path]
    missing_rules: list[str]
    cells: Path | None
    missing_cells: str | None
    initial: Path | None
    missing_initial: str | None
    dirichlet_nodes: str | None
    parameters: dict[str, str]

    def type_of(self, name: str) -> CellType | None:
        """The cell definition of a name."""
        return next((each for each in self.types if each.name == name), None)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = reading.settings(path)

    def place(self, node: Any) -> str:
        return f"{self.path}:{node.sourceline}: <{node.tag}>"

    def error(self, node: Any, message: str) -> ProjectError:
        return ProjectError(f"{self.place(node)}: {message}")

    def value(self, node: Any, path: str, default: float) -> float:
        found = node.find(path) if node is not None else None
        return default if found is None else reading.number(found.text, self.place(found))

    def flag(self, node: Any, path: str, default: bool = False) -> bool:
        found = node.find(path) if node is not None else None
        return default if found is None else reading.truth(found.text, self.place(found))

    def enabled(self, node: Any) -> bool:
        return node is not None and reading.truth(node.get("enabled"), self.place(node))

    def text(self, node: Any, path: str) -> str:
        found = node.find(path) if node is not None else None
        return (found.text or "").strip() if found is not None else ""

    def named(self, node: Any, path: str) -> dict[str, float]:
        """Numbers of some elements by their attribute `name` (or `substrate`)."""
        found = {}
        for each in node.findall(path) if node is not None else ():
            name = each.get("name") or each.get("substrate")
            if not name:
                raise self.error(each, "expected an attribute 'name'")
            found[name.strip()] = reading.number(each.text, self.place(each))
        return found


def read(path: Path) -> Settings:
    """Read the settings. Raises `ProjectError` with file and line."""
    reader = _Reader(path)
    root = reader.root
    domain, overall = root.find("domain"), root.find("overall")
    if domain is None:
        raise ProjectError(f"{path}: expected the element <domain>, found none")
    lower, upper, mesh = (
        tuple(reader.value(domain, name.format(axis), default) for axis in "xyz")
        for name, default in (("{}_min", -500.0), ("{}_max", 500.0), ("d{}", 20.0))
    )
    flat = reader.flag(domain, "use_2D")
    for axis, low, high, edge in zip("xyz", lower, upper, mesh, strict=True):
        if not (low < high and edge > 0) and not (flat and axis == "z"):
            raise reader.error(domain, f"expected {axis}_min below {axis}_max and d{axis} above 0")
    substrates = list(_substrates(reader))
    types = _types(reader)
    save = root.find("save/full_data")
    rules, missing_rules = _rules(reader)
    seed = reader.text(root.find("options"), "random_seed") or reader.text(root.find("user_parameters"), "random_seed")
    cells, missing_cells = _file(reader, root.find("initial_conditions/cell_positions"))
    options = root.find("microenvironment_setup/options")
    initial, missing_initial = _file(reader, None if options is None else options.find("initial_condition"))
    nodes = None if options is None else options.find("dirichlet_nodes")
    return Settings(
        path=path,
        version=(root.get("version") or "").strip(),
        lower=lower,  # type: ignore[arg-type]
        upper=upper,  # type: ignore[arg-type]
        mesh=mesh,  # type: ignore[arg-type]
        flat=flat,
        until=_positive(reader, overall, "max_time", 1440.0),
        steps={
            name: _positive(reader, overall, f"dt_{name}", default)
            for name, default in (("diffusion", 0.01), ("mechanics", 0.1), ("phenotype", 6.0))
        },
        saved=reader.value(save, "interval", 60.0) if save is not None and reader.flag(save, "enable", True) else 0.0,
        seed=int(seed) if seed.isdigit() else 0,
        wall=reader.flag(root.find("options"), "virtual_wall_at_domain_edge"),
        substrates=substrates,
        types=types,
        rules=rules,
        missing_rules=missing_rules,
        cells=cells,
        missing_cells=missing_cells,
        initial=initial,
        missing_initial=missing_initial,
        dirichlet_nodes=reader.text(nodes, "filename") if reader.enabled(nodes) else None,
        parameters={
            each.tag: shown(each.text or "")
            for each in (root.find("user_parameters") if root.find("user_parameters") is not None else ())
        },
    )


def _positive(reader: _Reader, node: Any, name: str, default: float) -> float:
    found = reader.value(node, name, default)
    if found < 0 or (found == 0 and name != "max_time"):
        raise reader.error(node.find(name), f"expected a time of 0 or more (a step above 0), found {found:g}")
    return found


def _file(reader: _Reader, node: Any) -> tuple[Path | None, str | None]:
    """A file that is switched on: its path, or its name if it is not there."""
    if not reader.enabled(node):
        return None, None
    folder, name = reader.text(node, "folder"), reader.text(node, "filename")
    found = reading.within(reader.path, folder, name) if name else None
    return found, None if found else shown(f"{folder}/{name}" if folder else name)


def _rules(reader: _Reader) -> tuple[list[Path], list[str]]:
    found, missing = [], []
    for node in reader.root.findall("cell_rules/rulesets/ruleset"):
        path, name = _file(reader, node)
        if path is not None:
            found.append(path)
        elif name is not None:
            missing.append(name)
    return found, missing


def _substrates(reader: _Reader) -> Iterator[Substrate]:
    nodes = reader.root.findall("microenvironment_setup/variable")
    if len(nodes) > MOST_SUBSTRATES:
        raise reader.error(nodes[0], f"{len(nodes)} substrates; expected at most {MOST_SUBSTRATES}")
    seen: set[str] = set()
    for node in nodes:
        name = (node.get("name") or "").strip()
        if not name or name in seen:
            raise reader.error(node, f"expected a name of its own for each substrate, found '{shown(name)}'")
        seen.add(name)
        constants = node.find("physical_parameter_set")
        condition = node.find("Dirichlet_boundary_condition")
        sides: dict[str, float] = {}
        if reader.enabled(condition):
            value = reading.number(condition.text, reader.place(condition))
            sides = dict.fromkeys(SIDES, value)
        for each in node.findall("Dirichlet_options/boundary_value"):
            side = (each.get("ID") or "").strip()
            if side not in SIDES:
                raise reader.error(each, f"expected an ID among {', '.join(SIDES)}, found '{shown(side)}'")
            sides.pop(side, None)
            if reader.enabled(each):
                sides[side] = reading.number(each.text, reader.place(each))
        yield Substrate(
            name,
            (node.get("units") or "dimensionless").strip(),
            reader.value(constants, "diffusion_coefficient", 0.0),
            reader.value(constants, "decay_rate", 0.0),
            reader.value(node, "initial_condition", 0.0),
            sides,
        )


def _types(reader: _Reader) -> list[CellType]:
    nodes = reader.root.findall("cell_definitions/cell_definition")
    if len(nodes) > MOST_TYPES:
        raise reader.error(nodes[0], f"{len(nodes)} cell definitions; expected at most {MOST_TYPES}")
    found: dict[str, CellType] = {}
    for position, node in enumerate(nodes):
        name = (node.get("name") or "").strip()
        if not name or name in found:
            raise reader.error(node, f"expected a name of its own for each cell definition, found '{shown(name)}'")
        parent = (node.get("parent_type") or "").strip() or None
        if parent is not None and parent not in found:
            raise reader.error(node, f"unknown parent_type '{shown(parent)}'; expected a definition above it")
        if parent is not None:
            new = copy.deepcopy(found[parent])
        elif "default" in found:
            new = _of_default(found["default"])
        else:
            new = CellType(name, position)
        text = node.get("ID")
        new.name, new.parent = name, parent
        new.number = int(reading.number(text, reader.place(node))) if text else position
        _define(reader, node, new)
        found[name] = new
    return list(found.values())


def _of_default(default: CellType) -> CellType:
    """What a definition without a parent has from the one named 'default': cycle, death, volume, mechanics."""
    kept = ("cycle", "phases", "apoptosis", "necrosis", "volume", "growth", "mechanics", "custom")
    return CellType("", 0, **{name: copy.deepcopy(getattr(default, name)) for name in kept})


def _define(reader: _Reader, node: Any, new: CellType) -> None:
    phenotype = node.find("phenotype")
    if phenotype is not None:
        _cycle(reader, phenotype.find("cycle"), new)
        for model in phenotype.findall("death/model"):
            _death(reader, model, new)
        volume = phenotype.find("volume")
        new.volume = reader.value(volume, "total", new.volume)
        new.growth = reader.value(volume, "cytoplasmic_biomass_change_rate", new.growth)
        if new.volume <= 0:
            raise reader.error(volume, "expected a total volume above 0")
        mechanics = phenotype.find("mechanics")
        for each in mechanics if mechanics is not None else ():
            if len(each) == 0 and (each.text or "").strip():
                new.mechanics[each.tag] = reading.number(each.text, reader.place(each))
        _motility(reader, phenotype.find("motility"), new)
        for each in phenotype.findall("secretion/substrate"):
            substrate = (each.get("name") or "").strip()
            before = new.secretion.get(substrate, Secretion())
            new.secretion[substrate] = Secretion(
                reader.value(each, "secretion_rate", before.rate),
                reader.value(each, "secretion_target", before.target),
                reader.value(each, "uptake_rate", before.uptake),
                reader.value(each, "net_export_rate", before.export),
            )
        _interactions(reader, phenotype, new)
        if phenotype.find("intracellular") is not None:
            new.intracellular = shown(phenotype.find("intracellular").get("type") or "unknown")
    for each in node.find("custom_data") if node.find("custom_data") is not None else ():
        try:
            new.custom[each.tag] = reading.number(each.text, reader.place(each))
        except ProjectError:
            continue  # a vector or a text, which no rule reads
    new.distributions = reader.enabled(node.find("initial_parameter_distributions")) or new.distributions


def _cycle(reader: _Reader, node: Any, new: CellType) -> None:
    if node is None:
        return
    code = node.get("code")
    if code:
        new.cycle = int(reading.number(code, reader.place(node)))
    phases = []
    for each in node.findall("phase_transition_rates/rate") + node.findall("transition_rates/rate"):
        start, end = (int(reading.number(each.get(f"{key}_index"), reader.place(each))) for key in ("start", "end"))
        fixed = reading.truth(each.get("fixed_duration"), reader.place(each))
        phases.append(Phase(start, end, reading.number(each.text, reader.place(each)), fixed))
    durations = node.findall("phase_durations/duration")
    for each in durations:
        start = int(reading.number(each.get("index"), reader.place(each)))
        fixed = reading.truth(each.get("fixed_duration"), reader.place(each))
        time = reading.number(each.text, reader.place(each))
        end = (start + 1) % max(len(durations), 1)
        phases.append(Phase(start, end, 1 / time if time > 0 else 1e9, fixed))
    new.phases = phases or new.phases
    division = node.find("standard_asymmetric_division")
    if division is not None:
        new.asymmetric = reader.enabled(division)
        new.asymmetric_to = reader.named(division, "asymmetric_division_probability")


def _death(reader: _Reader, node: Any, new: CellType) -> None:
    name, code = (node.get("name") or "").strip().lower(), (node.get("code") or "").strip()
    old = new.necrosis if name == "necrosis" or code == "101" else new.apoptosis
    old.rate = reader.value(node, "death_rate", old.rate)
    durations = [reading.number(each.text, reader.place(each)) for each in node.findall("phase_durations/duration")]
    rates = [reading.number(each.text, reader.place(each)) for each in node.findall("phase_transition_rates/rate")]
    old.durations = durations or [1 / rate if rate > 0 else 0.0 for rate in rates] or old.durations


def _motility(reader: _Reader, node: Any, new: CellType) -> None:
    if node is None:
        return
    new.speed = reader.value(node, "speed", new.speed)
    new.persistence = reader.value(node, "persistence_time", new.persistence)
    new.bias = reader.value(node, "migration_bias", new.bias)
    options = node.find("options")
    new.motile = reader.flag(options, "enabled", new.motile)
    advanced = options.find("advanced_chemotaxis") if options is not None else None
    simple = options.find("chemotaxis") if options is not None else None
    if reader.flag(advanced, "enabled"):
        found = reader.named(advanced, "chemotactic_sensitivities/chemotactic_sensitivity")
        new.chemotaxis = list(found.items())
        new.of_slopes = not reader.flag(advanced, "normalize_each_gradient")
    elif reader.flag(simple, "enabled"):
        new.chemotaxis = [(reader.text(simple, "substrate"), reader.value(simple, "direction", 1.0))]
        new.of_slopes = False
    elif simple is not None or advanced is not None:
        new.chemotaxis = []


def _interactions(reader: _Reader, phenotype: Any, new: CellType) -> None:
    node = phenotype.find("cell_interactions")
    if node is not None:
        for kind in ("apoptotic", "necrotic", "other_dead"):
            rate = reader.value(node, "dead_phagocytosis_rate", new.dead_phagocytosis.get(kind, 0.0))
            new.dead_phagocytosis[kind] = reader.value(node, f"{kind}_phagocytosis_rate", rate)
        new.phagocytosis |= reader.named(node, "live_phagocytosis_rates/phagocytosis_rate")
        new.attack |= reader.named(node, "attack_rates/attack_rate")
        new.immunogenicity |= reader.named(node, "immunogenicities/immunogenicity")
        new.fusion |= reader.named(node, "fusion_rates/fusion_rate")
        damage = reader.value(node, "damage_rate", new.attack_damage_rate)
        new.attack_damage_rate = reader.value(node, "attack_damage_rate", damage)
        new.attack_duration = reader.value(node, "attack_duration", new.attack_duration)
    new.transformation |= reader.named(phenotype, "cell_transformations/transformation_rates/transformation_rate")
    integrity = phenotype.find("cell_integrity")
    new.damage_rate = reader.value(integrity, "damage_rate", new.damage_rate)
    new.damage_repair_rate = reader.value(integrity, "damage_repair_rate", new.damage_repair_rate)
