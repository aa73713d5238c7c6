"""Cell definitions as states, and what cells do as rules, secretion, motility and traits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpusim.model.waiting import MOST_STEPS
from gpusim.physicell.environment import Lattice
from gpusim.physicell.grammar import Rule
from gpusim.physicell.layers import acts_on, layers
from gpusim.physicell.report import Fate, Report
from gpusim.physicell.responses import Modulated, Responses
from gpusim.physicell.settings import CellType, Settings

MODELS: dict[int, tuple[tuple[str, ...], int]] = {
    0: (("ki67_neg", "ki67_pre", "ki67_post"), 1),
    1: (("ki67_neg", "ki67_pos"), 1),
    2: (("g0g1", "s", "g2m"), 2),
    5: (("",), 0),
    6: (("g0g1", "s", "g2", "m"), 3),
    7: (("quiescent", "cycling"), 1),
}
"""Phases by the code of a cycle model, and the one at whose end the cell divides."""
FARTHEST = 249
"""Voxels that a division reaches: the most that there is."""
_LONGEST = 40
_MOST_STEPS = MOST_STEPS - 1
"""That a cell's time in its state is counted."""
_MECHANICS = (
    "cell-cell adhesion",
    "cell-cell adhesion elastic constant",
    "adhesive affinity to ",
    "relative maximum adhesion distance",
    "cell-cell repulsion",
    "cell-BM adhesion",
    "cell-membrane adhesion",
    "cell-BM repulsion",
    "cell-membrane repulsion",
    "cell attachment rate",
    "cell detachment rate",
    "maximum number of cell attachments",
    "is_movable",
    "movable",
    "is movable",
)
_EATING = {
    kind: tuple(f"{verb} {word}" for word in words for verb in ("phagocytose", "phagocytosis of"))
    for kind, words in {
        "apoptotic": ("apoptotic cell", "apoptotic cells", "dead cell", "dead cells"),
        "necrotic": ("necrotic cell", "necrotic cells", "dead cell", "dead cells"),
        "other_dead": ("other dead cell", "other dead cells"),
    }.items()
}
"""Behaviours by how what is taken up has died."""
_DEAD_UPTAKE = 0.1
"""Of the uptake that dead cells keep in PhysiCell."""


@dataclass
class Cells:
    """Translates cell definitions; `document` collects states, groups, traits, rules, body and comments."""

    settings: Settings
    rules: list[Rule]
    names: dict[str, str]
    fields: dict[str, str]
    lattice: Lattice
    report: Report
    states: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    comments: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types = {each.name: each for each in self.settings.types}
        self.layer = layers(self.settings.types, self.rules)
        self.phases = {name: self._phases(each) for name, each in self.types.items()}
        self.dead = {name: self._deaths(each) for name, each in self.types.items()}
        self.responses = Responses(
            self.rules,
            self.types,
            self.fields,
            {name: [self.whole(name), *self.dead[name].values()] for name in self.types},
            self._trait_of,
            self.lattice.flat,
            {"live"} | {kind for deaths in self.dead.values() for kind in ("dead", *deaths) if deaths},
        )
        self.volume_read = {rule.cell for rule in self.rules if rule.signal == "volume"}
        self.attacking = {name for name in self.types if self._targets(name)}
        self.damaged = {target for name in self.types for target in self._targets(name)}
        self.damaged |= {rule.cell for rule in self.rules if rule.signal == "damage"}
        self.damaged |= {each.name for each in self.settings.types if each.damage_rate > 0}

    # Names

    def whole(self, name: str) -> str:
        """The state of a living cell of a type, or the group of its phases."""
        return self.names[name]

    def _phases(self, cell: CellType) -> list[str]:
        phases, _ = MODELS.get(cell.cycle, MODELS[5])
        name = self.names[cell.name]
        return [name] if len(phases) == 1 else [f"{name}_{phase}" for phase in phases]

    def _deaths(self, cell: CellType) -> dict[str, str]:
        ruled = {rule.behaviour for rule in self.rules if rule.cell == cell.name}
        models = (("apoptotic", cell.apoptosis, "apoptosis"), ("necrotic", cell.necrosis, "necrosis"))
        return {
            kind: f"{self.names[cell.name]}_{kind}" for kind, death, word in models if death.rate > 0 or word in ruled
        }

    def _targets(self, name: str) -> list[str]:
        """Types that a type attacks in fact: those of the other layer."""
        by_rule = {r.behaviour.removeprefix("attack ") for r in self.rules if r.cell == name and r.extreme > 0}
        attacked = {t for t, rate in self.types[name].attack.items() if rate > 0} | by_rule
        return [t for t in self.types if t in attacked and self.layer[t] != self.layer[name]]

    def _trait_of(self, kind: str, cell: str) -> str | None:
        having = {
            "damage": self.damaged,
            "volume": self.volume_read,
            "delivered": self.attacking,
            "attacking": self.attacking,
        }[kind]
        name = {"delivered": "damage_delivered", "attacking": "attack_time"}.get(kind, kind)
        return f"{name}{'_of_immune' if self.layer[cell] == 'immune' else ''}" if cell in having else None

    def _free(self, name: str) -> str:
        """The state of a voxel that such a cell leaves."""
        return "none" if self.layer[name] == "immune" else "empty"

    # Building

    def build(self) -> None:
        """Translate all cell definitions, and say what became of every rule."""
        for name, cell in self.types.items():
            self._account(cell)
            self._states(name, cell)
            self._cycle(name, cell)
            self._death(name, cell)
            self._transformations(name, cell)
            self._interactions(name, cell)
        self._traits()
        self._groups()
        for rule in self.rules:
            fate, note = self.responses.fates.get(rule, ("lost", self._unplaced(rule)))
            self.report.add("rule", str(rule), fate, note)

    def _unplaced(self, rule: Rule) -> str:
        if rule.cell not in self.types:
            return f"no cell definition '{rule.cell}'"
        if rule.behaviour.startswith(_MECHANICS):
            return "mechanics: the lattice has no forces"
        return f"behaviour '{rule.behaviour}' has no counterpart"

    def _rule(self, name: str, transition: str, rate: Modulated, comment: str = "", **more: Any) -> None:
        """Add a rule, unless its rate is 0."""
        if rate.value <= 0:
            return
        name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 4].rstrip('_')}_{len(self.made)}"
        spec: dict[str, Any] = {"transition": transition, "rate": _per_min(rate.value), **more}
        if rate.modulators:
            spec["modulators"] = list(rate.modulators)
        self.made[name] = spec
        if comment:
            self.comments[("rules", name)] = comment

    def _said(self, cell: str, *behaviours: str) -> str:
        return "\n".join(str(rule) for rule in self.responses.by_behaviour(cell, *behaviours))

    def _account(self, cell: CellType) -> None:
        add = self.report.add
        where = cell.name
        if cell.volume != self.lattice.volume:
            near = abs(cell.volume / self.lattice.volume - 1) < 0.01
            note = "one voxel" if near else f"{cell.volume:g} um^3 is one voxel; its exchange is scaled"
            add("cell definition", f"{where}: volume", "exact" if near else "approximate", note)
        if cell.mechanics:
            add("cell definition", f"{where}: mechanics", "lost", "no forces: one cell a voxel, and division pushes")
        if cell.custom:
            add("cell definition", f"{where}: custom_data", "lost", "only custom.cpp and rules read it")
        if cell.intracellular:
            add("cell definition", f"{where}: intracellular ({cell.intracellular})", "lost", "no models within cells")
        if cell.distributions:
            add("cell definition", f"{where}: initial_parameter_distributions", "lost", "traits can have distributions")

    def _states(self, name: str, cell: CellType) -> None:
        spec: dict[str, Any] = {"layer": "immune"} if self.layer[name] == "immune" else {}
        living = spec | self._exchange(name, cell) | self._motility(name, cell)
        for phase in self.phases[name]:
            title = _label(cell.name, phase, self.names[name])
            self.states[phase] = living | ({} if title == phase else {"label": title})
        for kind, state in self.dead[name].items():
            self.states[state] = (
                spec | self._exchange(name, cell, dead=kind) | {"label": f"{kind} {cell.name}", "role": "dead"}
            )
        if len(self.phases[name]) > 1:
            self.groups[self.names[name]] = self.phases[name]

    def _exchange(self, name: str, cell: CellType, dead: str | None = None) -> dict[str, Any]:
        """Secretion, uptake and net export of the cells of a type; of dead ones, what the rules say."""
        found: dict[str, Any] = {"exchange": {}, "uptake": {}, "secretion": {}}
        scale = cell.volume / self.lattice.shared
        scale = 1.0 if abs(scale - 1) < 0.01 else scale
        for substrate, key in self.fields.items():
            given = cell.secretion.get(substrate)
            rate, target, uptake, export = (
                (given.rate, given.target, given.uptake, given.export) if given else (0.0, 1.0, 0.0, 0.0)
            )
            alive = dead is None

            def of(what: Sequence[str], base: float) -> Modulated:
                names = [f"{substrate} {each}" for each in what]  # noqa: B023
                return self.responses.modulated(name, names, base, dead=dead)

            secreted = of(["secretion"], rate if alive else 0.0)
            if secreted.value > 0:
                wall: dict[str, Any] = {
                    "permeability": _per_min(float(f"{secreted.value * scale:.6g}")),
                    "blood": target,
                }
                found["exchange"][key] = wall | _listed(secreted)
            taken = of(["uptake"], uptake * (1.0 if alive else _DEAD_UPTAKE))
            if taken.value > 0:
                plain = _per_min(float(f"{taken.value * scale:.6g}"))
                found["uptake"][key] = {"rate": plain, **_listed(taken)} if taken.modulators else plain
            exported = of(["export"], export if alive else 0.0)
            if exported.value > 0:
                amount = float(f"{exported.value / self.lattice.shared:.10g}")
                found["secretion"][key] = {"rate": amount, **_listed(exported)} if exported.modulators else amount
            elif export < 0 and alive:
                note = "a net export below 0 removes an amount that does not depend on the concentration"
                self.report.add("cell definition", f"{name}: {substrate} net_export_rate", "lost", note)
            if alive:
                self._account_exchange(name, substrate, rate, uptake, export)
                targets = (f"{substrate} secretion target", f"{substrate} secretion saturation density")
                self.responses.lose(name, targets, "the target of a secretion is constant")
        return {key: value for key, value in found.items() if value}

    def _account_exchange(self, name: str, substrate: str, rate: float, uptake: float, export: float) -> None:
        share = f"by a cell of {self.types[name].volume:g} um^3 in {self.lattice.shared:.4g} um^3"
        for word, value, note in (
            ("secretion", rate, f"exchange towards the target, {share}"),
            ("uptake", uptake, share),
            ("net export", export, "an amount per time"),
        ):
            if value > 0:
                self.report.add("cell definition", f"{name}: {substrate} {word}", "exact", note)

    def _motility(self, name: str, cell: CellType) -> dict[str, Any]:
        note = "" if cell.motile else "no effect, as in PhysiCell: motility is not enabled"
        # A cell that stopped beside its target would never meet it.
        shared = {other: self.whole(other) for other in self._acted_on(name)}
        speed = self.responses.modulated(name, ["migration speed"], cell.speed, note=note, shared=shared)
        persistence = self.responses.modulated(name, ["migration persistence time"], cell.persistence, note=note)
        chemotaxis = self._chemotaxis(name, cell, note)
        if not cell.motile or speed.value <= 0:
            return {}
        time = f"{persistence.value:.10g} min"
        motility: dict[str, Any] = {
            "speed": f"{speed.value:.10g} um/min",
            "persistence": {"time": time} | _listed(persistence) if persistence.modulators else time,
        }
        enters = self._enters(name)
        note = "steps along the axes, into free voxels"
        if len(enters.get("enters", ())) > 1:
            note += " and those of cells that interact with it"
        self.report.add("cell definition", f"{name}: motility", "approximate", note)
        return {"motility": motility | chemotaxis | enters | _listed(speed)}

    def _acted_on(self, name: str) -> list[str]:
        """Types of the other layer whose living cells a type attacks, ingests or fuses with."""
        found = acts_on(self.types[name], self.rules, self.types)
        return [other for other in self.types if other in found and self.layer[other] != self.layer[name]]

    def _dead_beside(self, name: str, kind: str) -> list[str]:
        """States of the cells of the other layer that have died in some way."""
        others = (other for other in self.types if self.layer[other] != self.layer[name])
        return [self.dead[other][kind] for other in others if kind in self.dead[other]]

    def _enters(self, name: str) -> dict[str, list[str]]:
        """With which cells of the other layer a cell shares a voxel: those that it acts on, or that act on it.

        In PhysiCell, cells keep each other out by repulsion.
        """
        others = [other for other in self.types if self.layer[other] != self.layer[name]]
        if not others:
            return {}
        met = {*self._acted_on(name), *(other for other in others if name in self._acted_on(other))}
        states = [self.whole(other) for other in others if other in met]
        for kind, behaviours in _EATING.items():
            ruled = any(rule.extreme > 0 for rule in self.responses.by_behaviour(name, *behaviours))
            if ruled or self.types[name].dead_phagocytosis.get(kind, 0.0) > 0:
                states += self._dead_beside(name, kind)
        return {"enters": [self._free(others[0]), *states]}

    def _chemotaxis(self, name: str, cell: CellType, note: str) -> dict[str, Any]:
        """Direction and bias. Of rules on the bias, the values at its ends are those of PhysiCell, converted."""
        flat = self.lattice.flat
        bias = self.responses.modulated(
            name, ["migration bias"], cell.bias, note=note, convert=lambda b: drift(b, flat)
        )
        along: dict[str, Any] = {}
        for substrate, weight in cell.chemotaxis:
            words = [f"chemotactic {what} to {substrate}" for what in ("response", "sensitivity")]
            part = self.responses.modulated(name, words, weight, note=note) if weight >= 0 else Modulated(weight)
            if substrate not in self.fields or part.value == 0:
                continue
            rest = {"per": 1} if cell.of_slopes and len(cell.chemotaxis) > 1 else {}
            spec = {"weight": float(f"{part.value:.10g}"), **rest} | _listed(part)
            along[self.fields[substrate]] = spec if len(spec) > 1 else spec["weight"]
        others = [r.behaviour for r in self.rules if r.cell == name and r.behaviour.startswith("chemotactic ")]
        self.responses.lose_rest(name, others, "no chemotaxis along this field, or down it")
        if bias.value <= 0 or not along:
            return {}
        if cell.motile:
            said = (
                f"a bias of {cell.bias:g} makes a mean drift of {drift(cell.bias, flat):.3g} of the speed, at any slope"
            )
            self.report.add("cell definition", f"{name}: chemotaxis", "exact", said)
        value = float(f"{bias.value:.10g}")
        return {"chemotaxis": {"along": along, "bias": {"value": value} | _listed(bias) if bias.modulators else value}}

    # Rules

    def _cycle(self, name: str, cell: CellType) -> None:
        phases = self.phases[name]
        _, dividing = MODELS.get(cell.cycle, MODELS[5])
        fate: Fate = "exact" if cell.cycle in MODELS else "approximate"
        given = {phase.start: phase for phase in cell.phases}
        for i, phase in enumerate(phases):
            way = given.get(i)
            behaviours = [f"exit from cycle phase {i}", *(["cycle entry"] if i == 0 else [])]
            rate = self.responses.modulated(name, behaviours, way.rate if way else 0.0)
            after = {}
            if way is not None and way.fixed and not self.responses.by_behaviour(name, *behaviours):
                time, instant = 1 / way.rate if way.rate > 0 else 0.0, self._at_once()
                if way.rate > 0 and time / self.settings.steps["phenotype"] < _MOST_STEPS:
                    after, rate = {"after": self._steps(time)}, Modulated(instant)
            said = self._said(name, *behaviours)
            if i != dividing:
                self._rule(f"{phase}_leaves", f"{phase} -> {phases[(i + 1) % len(phases)]}", rate, said, **after)
                continue
            self._divisions(name, cell, phase, phases[(i + 1) % len(phases)], rate, after, said)
        if any(phase.rate > 0 for phase in cell.phases):
            note = "division pushes other cells" if self.layer[name] == "tissue" else "into a free voxel beside"
            self.report.add("cell definition", f"{name}: cycle {cell.cycle}", fate, note)

    def _divisions(
        self, name: str, cell: CellType, phase: str, begins: str, rate: Modulated, after: dict[str, str], said: str
    ) -> None:
        farthest = min(FARTHEST, max(self.lattice.shape)) * self.lattice.edge
        reach = {"reach": f"{farthest:.4g} um"} if self.layer[name] == "tissue" else {}
        rest = rate
        ruled = {r.behaviour.removeprefix("asymmetric division to ") for r in self.rules if r.cell == name}
        # The rules set probabilities whether or not the settings switch them on.
        shares = dict(cell.asymmetric_to) if cell.asymmetric else {}
        others = [t for t in self.types if t != name and (shares.get(t, 0) > 0 or t in ruled)]
        sum_of_shares = 0.0
        for target in others:
            behaviour = f"asymmetric division to {target}"
            if not cell.asymmetric:
                self.responses.lose(name, [behaviour], "asymmetric division is not enabled")
                continue
            share = self.responses.modulated(name, [behaviour], shares.get(target, 0.0))
            if share.value > 0 and rate.value > 0:
                transition = f"{phase} -> {begins} + {self.phases[target][0]}"
                both = Modulated(rate.value * min(share.value, 1.0), (*rate.modulators, *share.modulators))
                text = "\n".join(each for each in (said, self._said(name, behaviour)) if each)
                self._rule(f"{phase}_to_{self.names[target]}", transition, both, text, **after, **reach)
            if share.modulators:
                rest = Modulated(rest.value, (*rest.modulators, *map(_complement, share.modulators[:1])))
                note = "the rest of the divisions is reduced by what increases these"
                self.responses.modulated(name, [behaviour], shares.get(target, 0.0), fate="approximate", note=note)
            else:
                sum_of_shares += min(share.value, 1.0)
        if name in ruled:
            self.responses.lose(
                name, [f"asymmetric division to {name}"], "the share of symmetric divisions is the rest"
            )
        if others and cell.asymmetric:
            self.report.add(
                "cell definition", f"{name}: asymmetric division", "exact" if rest is rate else "approximate"
            )
        symmetric = Modulated(rest.value * max(0.0, 1 - sum_of_shares), rest.modulators)
        self._rule(f"{phase}_division", f"{phase} -> {begins} + {begins}", symmetric, said, **after, **reach)

    def _death(self, name: str, cell: CellType) -> None:
        for kind, death, word in (("apoptotic", cell.apoptosis, "apoptosis"), ("necrotic", cell.necrosis, "necrosis")):
            state = self.dead[name].get(kind)
            if state is None:
                continue
            rate = self.responses.modulated(name, [word], death.rate)
            self._rule(f"{self.names[name]}_{word}", f"{self.whole(name)} -> {state}", rate, self._said(name, word))
            time = sum(death.durations)
            leaves = f"{state} -> {self._free(name)}"
            fate: Fate = "exact" if kind == "apoptotic" else "approximate"
            note = f"{time:g} min, then the voxel is free" if time else "gone at once"
            if kind == "necrotic":
                note = f"{time:g} min after death; swelling, lysis and calcification are lost"
            if time / self.settings.steps["phenotype"] < _MOST_STEPS:
                after = {"after": self._steps(time)} if time >= self.settings.steps["phenotype"] / 2 else {}
                self._rule(f"{state}_ends", leaves, Modulated(self._at_once()), **after)
            else:
                fate, note = "approximate", f"gone at a rate of 1 / ({time:g} min)"
                self._rule(f"{state}_ends", leaves, Modulated(1 / time))
            self.report.add("cell definition", f"{name}: {word}", fate, note)

    def _at_once(self) -> float:
        """A rate, 1/min, with which a cell is gone within a step or two."""
        return float(f"{4 / self.settings.steps['phenotype']:.4g}")

    def _steps(self, time: float) -> str:
        step = self.settings.steps["phenotype"]
        return f"{max(1, round(time / step)) * step:.10g} min"

    def _transformations(self, name: str, cell: CellType) -> None:
        for target in self.types:
            behaviours = (f"transform to {target}", f"transition to {target}")
            if target == name:
                self.responses.lose(name, behaviours, "a cell can't become what it is")
                continue
            base = cell.transformation.get(target, 0.0)
            rate = self.responses.modulated(name, behaviours, base)
            transition = f"{self.whole(name)} -> {self.phases[target][0]}"
            self._rule(f"{self.names[name]}_to_{self.names[target]}", transition, rate, self._said(name, *behaviours))
            if base > 0:
                self.report.add("cell definition", f"{name}: transformation to {target}", "exact")

    def _interactions(self, name: str, cell: CellType) -> None:
        free = {other: self._free(other) for other in self.types}
        for kind, behaviours in _EATING.items():
            base = cell.dead_phagocytosis.get(kind, 0.0)
            eaten = self._dead_beside(name, kind)
            if not eaten:
                self.responses.lose(name, behaviours, "no such dead cells in the other layer")
                if base > 0 and kind != "other_dead":
                    note = "no such dead cells in the other layer"
                    self.report.add("cell definition", f"{name}: phagocytosis of {kind} cells", "lost", note)
                continue
            rate = self.responses.modulated(name, behaviours, base)
            other = next(o for o in self.types if self.layer[o] != self.layer[name])
            self._meet(name, f"{self.names[name]}_eats_{kind}", f"{'|'.join(eaten)} -> {free[other]}", rate, behaviours)
            if base > 0:
                note = "of cells in the same voxel"
                self.report.add("cell definition", f"{name}: phagocytosis of {kind} cells", "approximate", note)
        for target, into in free.items():
            here = self.layer[target] == self.layer[name]
            for verb, words, base in (
                ("eats", [f"phagocytose {target}", f"phagocytosis of {target}"], cell.phagocytosis.get(target, 0.0)),
                ("fuses_with", [f"fuse to {target}"], cell.fusion.get(target, 0.0)),
                ("attacks", [f"attack {target}"], cell.attack.get(target, 0.0)),
            ):
                where = f"{name}: {verb.replace('_', ' ')} {target}"
                if here:
                    self.responses.lose(name, words, f"'{target}' is in the same layer")
                    if base > 0:
                        self.report.add("cell definition", where, "lost", "both are in one layer")
                    continue
                immunogenicity = self.types[target].immunogenicity.get(name, 1.0) if verb == "attacks" else 1.0
                rate = self.responses.modulated(name, words, base)
                rate = Modulated(rate.value * immunogenicity, rate.modulators)
                title = f"{self.names[name]}_{verb}_{self.names[target]}"
                if verb == "attacks":
                    self._attack(name, cell, target, title, rate, words)
                else:
                    self._meet(name, title, f"{self.whole(target)} -> {into}", rate, words)
                if base > 0:
                    note = "of a cell in the same voxel" + ("; its damage is done at once" if verb == "attacks" else "")
                    self.report.add("cell definition", where, "approximate", note)
            self.responses.lose(name, [f"immunogenicity to {target}"], "the immunogenicity is constant")

    def _meet(self, name: str, title: str, partner: str, rate: Modulated, words: Iterable[str]) -> None:
        """A cell that takes up its partner, in each phase."""
        volume = self._trait_of("volume", name)
        more = {"add": {volume: f"{self.lattice.volume:.4g} um^3"}} if volume else {}
        for phase in self.phases[name]:
            suffix = phase.removeprefix(self.names[name])
            self._rule(title + suffix, f"{phase} -> {phase}", rate, self._said(name, *words), partner=partner, **more)

    def _attack(
        self, name: str, cell: CellType, target: str, title: str, rate: Modulated, words: Iterable[str]
    ) -> None:
        amount = float(f"{cell.attack_damage_rate * cell.attack_duration:.10g}")
        added: dict[str, Any] = {str(self._trait_of("damage", target)): amount} if amount > 0 else {}
        signals = {rule.signal for rule in self.rules if rule.cell == name}
        if signals & {"damage delivered", "total damage delivered"} and amount > 0:
            added[str(self._trait_of("delivered", name))] = amount
        if "total attack time" in signals:
            added[str(self._trait_of("attacking", name))] = f"{cell.attack_duration:g} min"
        if not added:
            self.responses.lose(name, words, "an attack without damage")
            return
        # The next attack begins after the time that this one takes.
        waits = cell.attack_duration >= self.settings.steps["phenotype"] / 2
        more: dict[str, Any] = {"after": self._steps(cell.attack_duration)} if waits else {}
        more |= {"partner": self.whole(target), "add": added}
        for phase in self.phases[name]:
            suffix = phase.removeprefix(self.names[name])
            self._rule(title + suffix, f"{phase} -> {phase}", rate, self._said(name, *words), **more)

    # Traits and groups

    def _traits(self) -> None:
        kinds = {
            "damage": self.damaged,
            "volume": self.volume_read,
            "delivered": self.attacking,
            "attacking": self.attacking,
        }
        read = {rule.signal for rule in self.rules}
        for kind, having in kinds.items():
            if kind == "delivered" and not read & {"damage delivered", "total damage delivered"}:
                continue
            if kind == "attacking" and "total attack time" not in read:
                continue
            for layer in ("tissue", "immune"):
                of = [name for name in self.types if name in having and self.layer[name] == layer]
                if of:
                    self._trait(kind, of)

    def _trait(self, kind: str, of: list[str]) -> None:
        name = str(self._trait_of(kind, of[0]))
        spec: dict[str, Any] = {"of": [self.whole(each) for each in of]}
        changes: dict[str, Any] = {}
        if kind == "attacking":
            spec["unit"] = "min"
        if kind == "volume":
            first = self.types[of[0]]
            spec |= {"unit": "um^3", "initial": f"{first.volume:g} um^3", "at_division": "share"}
            for each in of:
                cell = self.types[each]
                growth = {"of": self.whole(each), "towards": f"{cell.volume:g} um^3", "rate": _per_min(cell.growth)}
                changes[f"growth_of_{self.names[each]}"] = growth
            self.report.add("trait", name, "approximate", "one rate of growth in place of those of fluid and solids")
        if kind == "damage":
            for each in of:
                cell = self.types[each]
                gain = self.responses.modulated(each, ["damage rate"], cell.damage_rate)
                repair = self.responses.modulated(each, ["damage repair rate"], cell.damage_repair_rate)
                one = {"of": self.whole(each)}
                if gain.value > 0:
                    changes[f"harm_to_{self.names[each]}"] = one | {"gain": f"{gain.value:.10g} /min"} | _listed(gain)
                if repair.value > 0:
                    law: dict[str, Any] = {"towards": 0, "rate": _per_min(repair.value)}
                    changes[f"repair_of_{self.names[each]}"] = one | law | _listed(repair)
                if cell.damage_rate > 0 or cell.damage_repair_rate > 0:
                    self.report.add("cell definition", f"{each}: cell_integrity", "exact", f"trait {name}")
        if changes:
            spec["changes"] = changes
        self.traits[name] = spec

    def _groups(self) -> None:
        named = self.responses.groups
        found = {
            "live_cells": [self.whole(name) for name in self.types],
            "apoptotic_cells": [d["apoptotic"] for d in self.dead.values() if "apoptotic" in d],
            "necrotic_cells": [d["necrotic"] for d in self.dead.values() if "necrotic" in d],
        }
        found["dead_cells"] = found["apoptotic_cells"] + found["necrotic_cells"]
        for name in ("live_cells", "dead_cells", "apoptotic_cells", "necrotic_cells"):
            if name in named and found[name]:
                self.groups[name] = found[name]


def drift(bias: float, flat: bool) -> float:
    """Mean velocity along the direction of chemotaxis of cells with a migration bias, as a share of their speed.

    PhysiCell's cells move along bias * direction + (1 - bias) * a unit vector at random, brought to a length of 1.
    """
    bias = min(max(bias, 0.0), 1.0)
    if bias in (0.0, 1.0):
        return bias
    angle = (np.arange(20_000) + 0.5) * np.pi / 20_000
    share = np.ones_like(angle) if flat else np.sin(angle)
    forward, across = bias + (1 - bias) * np.cos(angle), (1 - bias) * np.sin(angle)
    return float(f"{np.average(forward / np.hypot(forward, across), weights=share):.6g}")


def _complement(modulator: dict[str, Any]) -> dict[str, Any]:
    """What reduces other divisions where a modulator of a share rises."""
    if "increases" in modulator:
        return {"decreases": modulator["increases"], "at_zero": 1, "at_inhibition": 0}
    plain = {key: value for key, value in modulator.items() if key not in ("at_zero", "at_saturation", "effect")}
    falls = modulator.get("effect") == "inhibits" or modulator.get("at_zero", 0) > modulator.get("at_saturation", 1)
    return plain if falls else plain | {"effect": "inhibits"}


def _listed(rate: Modulated) -> dict[str, Any]:
    return {"modulators": list(rate.modulators)} if rate.modulators else {}


def _per_min(rate: float) -> str:
    return f"{rate:.10g} /min"


def _label(name: str, state: str, whole: str) -> str:
    phase = state.removeprefix(whole).strip("_")
    return f"{name}, {phase}" if phase else name
