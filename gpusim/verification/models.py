"""Randomised scenarios that take every path through the kernels."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

_FIELDS = ("alpha", "beta", "gamma")
_TISSUE = ("one", "two", "three")
_IMMUNE = ("killer", "helper")
_SIZES = (1, 2, 3, 5, 8, 13, 17)
_SMOOTH = "gamma"
"""The field that nothing is released or injected into, as implicit2 and steady ask."""
_SUDDEN = ("alpha", "beta")
_SOLVERS = ("auto", "explicit", "implicit")
_SOLVERS_OF_SMOOTH = (*_SOLVERS, "implicit2", "implicit2", "steady", "steady")


def randomised(random: Random) -> dict[str, Any]:
    """A scenario as data, small, with everything that a scenario can hold; now and then its shapes cover no voxel."""
    states: dict[str, Any] = {name: _effects(random) for name in _TISSUE}
    states |= {name: {"layer": "immune"} | _effects(random) for name in _IMMUNE}
    shapes = {
        f"s{i}": {"kind": "everywhere", "state": name, "fraction": random.uniform(0.2, 0.9)}
        for i, name in enumerate((*_TISSUE, *_IMMUNE))
    }
    data: dict[str, Any] = {
        "grid": {"shape": [random.choice(_SIZES) for _ in range(3)]},
        "seed": random.randint(0, 2**64 - 1),
        "time": {"until": "6 min", "step": {"field": "1 min", "rules": f"{random.randint(1, 3)} min"}},
        "record": {"every": "6 min"},
        "fields": {name: _field(random, name) for name in _FIELDS},
        "states": states,
        "rules": {f"r{i}": _rule(random) for i in range(random.randint(0, 6))},
        "tissue": {"shapes": shapes},
        "therapies": {
            "dose": {"inject": "alpha", "amount": "9 fg", "radius": "50 um", "start": "2 min"},
            "infusion": {"infuse": "drug", "amount": 3, "start": "3 min"},
        },
        "body": {
            "quantities": {
                "blood": {"initial": 40},
                "drug": {"unit": "mg", "initial": 1},
                "depot": {"unit": "ng", "initial": 1e-7},
            },
            "processes": {"decay": {"transition": "drug -> nothing", "rate": "0.1 /min"}},
        },
    }
    solver = data["fields"][_SMOOTH]["solver"]
    if solver == "implicit2":
        _slow(data, _SMOOTH)
    reacting = _FIELDS if solver in _SOLVERS else _SUDDEN
    data["reactions"] = {f"x{i}": _reaction(random, reacting) for i in range(random.randint(0, 3))}
    _by_place(random, data)
    _flowing(random, data)
    _dividing(random, data)
    _closing(random, data)
    _adhering(random, data)
    _with_traits(random, data)
    _responding(random, data)
    _crushing(random, data)
    return data


def _crushing(random: Random, data: dict[str, Any]) -> None:
    """Let cells crush others that are in their way, and leave a trail."""
    with_traits = {state for trait in data.get("traits", {}).values() for state in trait["of"]}
    of_clones = data.get("clones", {}).get("of", [])
    for states in (_TISSUE, _IMMUNE):
        still = [name for name in states if "motility" not in data["states"][name]]
        trails = [name for name in states if name not in with_traits and name not in of_clones]
        for name in states:
            motility = data["states"][name].get("motility")
            if motility is not None and still and random.random() < 0.4:
                motility["crushes"] = random.sample(still, random.randint(1, len(still)))
            if motility is not None and trails and random.random() < 0.3:
                motility["trail"] = random.choice(trails)


def _responding(random: Random, data: dict[str, Any]) -> None:
    """Let some modulators have other powers, and some be joint responses."""
    for own, modulators in _modulators_of(data):
        for each in modulators:
            if "half" in each and each.get("field", own) != own and random.random() < 0.3:
                each["power"] = random.choice([0.5, 1.224, 5, 16.75, 100])
        if random.random() < 0.2:
            modulators.append(_joint(random, [name for name in _FIELDS if name != own]))
        if random.random() < 0.05:
            modulators.append(_connection(random))


def _connection(random: Random) -> dict[str, Any]:
    """A modulator that asks whether a voxel is joined to some state or side."""
    through = random.sample(("empty", *_TISSUE), random.randint(1, 2))
    to = random.choice([["x_low"], ["z_low", "z_high"], [random.choice(_TISSUE)], [_TISSUE[0], "y_high"]])
    reverse = {"at_zero": 1, "at_saturation": 0} if random.random() < 0.5 else {}
    return {"connected": through, "to": to, **reverse}


def _modulators_of(data: dict[str, Any]) -> Iterator[tuple[str | None, list[dict[str, Any]]]]:
    """Lists of modulators, each with the field whose rate they act on, if it is one of a field."""
    for name, field in data["fields"].items():
        yield from (
            (name, loss["modulators"]) for loss in field.get("clearance", {}).values() if isinstance(loss, dict)
        )
    for state in data["states"].values():
        for key in ("secretion", "uptake", "exchange"):
            for name, each in state.get(key, {}).items():
                if isinstance(each, dict):
                    yield name, each["modulators"]
        if "motility" in state:
            yield None, state["motility"]["modulators"]
    laws = [law for trait in data.get("traits", {}).values() for law in trait["changes"].values()]
    for part in (*data["rules"].values(), *data["reactions"].values(), *laws):
        yield None, part.setdefault("modulators", [])


def _joint(random: Random, fields: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"at_zero": random.uniform(0, 2)}
    keys = random.choice([("increases",), ("decreases",), ("increases", "decreases")])
    for key in keys:
        found[key] = [_signal(random, fields) for _ in range(random.randint(1, 3))]
    if "increases" in keys:
        found["at_saturation"] = random.uniform(0, 2)
    if "decreases" in keys:
        found["at_inhibition"] = random.uniform(0, 2)
    return found


def _signal(random: Random, fields: Sequence[str]) -> dict[str, Any]:
    argument: dict[str, Any] = random.choice(
        [
            {"field": random.choice(fields)},
            {"neighbours": random.sample([*_TISSUE, *_IMMUNE], 2), "neighbourhood": random.choice([6, 18, 26])},
            {"body": "drug"},
        ]
    )
    return argument | {"half": random.uniform(0.1, 5), "power": random.choice([0.5, 1, 2, 3.21, 8, 64])}


def _slow(data: dict[str, Any], name: str) -> None:
    """Let little of a field be lost, as implicit2 asks where it exchanges with the body."""
    walls = [state["exchange"][name] for state in data["states"].values() if name in state.get("exchange", {})]
    if not walls:
        return
    data["fields"][name] |= {"decay": "0.01 /min", "clearance": {}}
    for state in data["states"].values():
        state.get("uptake", {}).pop(name, None)
    for wall in walls:
        wall["permeability"] = "0.1 /min"
        wall["modulators"] = []


def _flowing(random: Random, data: dict[str, Any]) -> None:
    """Let fluid flow and carry some fields, with vessels that give and lymphatics that take it."""
    carried = [name for name in _FIELDS if data["fields"][name]["solver"] in _SOLVERS and random.random() < 0.7]
    if random.random() < 0.5 or not carried:
        return

    def around(name: str) -> list[str]:
        return [axis for axis in "xyz" if data["fields"][name]["boundary"].get(axis) == "periodic"]

    def value() -> str:
        return f"{random.choice([0, 2, 30])} mmHg"

    wrapped = around(carried[0])
    for name in carried:
        if around(name) == wrapped:
            data["fields"][name]["advection"] = random.choice([True, {"volume": 0.3}, {"retardation": 0.8}])
    sides: dict[str, Any] = dict.fromkeys(wrapped, "periodic")
    for axis in (axis for axis in "xyz" if axis not in wrapped):
        sides[f"{axis}_low"] = {"value": value()}
        sides[f"{axis}_high"] = random.choice(["no-flux", {"permeability": "5 um/min", "far": value()}])
    sides = {key: sides[key] for key in sorted(sides)}
    leak = {"conductivity": "2e-6 cm/mmHg/s", "surface": "300 /cm", "pressure": "20 mmHg", "oncotic": "5 mmHg"}
    lymph = {"conductance": "0.1 /mmHg/min", "pressure": value()}
    slow = {name: f"{random.choice([2, 60])} um^2/mmHg/min" for name in random.sample(_TISSUE, random.randint(0, 2))}
    data["fields"]["pressure"] = {"unit": "mmHg", "boundary": sides}
    data["flow"] = {
        "field": "pressure",
        "conductivity": {"default": "700 um^2/mmHg/min"} | slow,
        "vessels": {name: leak.copy() for name in random.sample(_TISSUE, random.randint(0, 2))},
        "lymphatics": {name: lymph.copy() for name in random.sample(("empty", *_TISSUE), random.randint(1, 2))},
        "every": random.choice(["1 min", "2 min", "3 min"]),
    }
    for name in data["flow"]["vessels"]:
        if "exchange" not in data["states"][name] and name not in data["fields"]["beta"].get("holds", ()):
            blood: dict[str, Any] = random.choice([{"blood": 2}, {"body": "depot", "volume": "1e-7 mL"}])
            drag = {"reflection": 0.3} if "advection" in data["fields"]["beta"] else {}
            taken = {"permeability": _rate(random), "modulators": _of_wall(_modulators(random, 1), "beta")}
            data["states"][name]["exchange"] = {"beta": taken | blood | drag}


def _with_traits(random: Random, data: dict[str, Any]) -> None:
    """Let cells carry numbers, which rates depend on and rules change, some together with a partner."""
    if random.random() < 0.3:
        return
    traits = {name: _trait(random, _TISSUE) for name in ("load", "damage")[: random.randint(1, 2)]}
    traits |= {name: _trait(random, _IMMUNE) for name in ("kills", "fuel")[: random.randint(0, 2)]}
    data["traits"] = traits
    for rule in data["rules"].values():
        leaves, _, enters = rule["transition"].partition(" -> ")
        if random.random() < 0.4:
            seen = _of_trait(random, traits, leaves.split("|"))
            rule["modulators"] = [*rule.get("modulators", []), *seen]
    for name, state in data["states"].items():
        if "motility" in state and random.random() < 0.4:
            motility = state["motility"]
            motility["modulators"] = [*motility["modulators"], *_of_trait(random, traits, [name])]
        for loss in state.get("uptake", {}).values():
            if isinstance(loss, dict):
                loss["modulators"] = [*loss["modulators"], *_of_trait(random, traits, [name])]
    for trait in traits.values():
        for law in trait["changes"].values():
            seen = _of_trait(random, traits, law["of"]) if random.random() < 0.5 else []
            law["modulators"] = [*_modulators(random, 1), *seen]
    for rule in list(data["rules"].values()):
        leaves, _, enters = rule["transition"].partition(" -> ")
        if "+" not in enters and enters != "outside":
            _adjusting(random, rule, traits, enters)
            _carrying(random, rule, traits, set(leaves.split("|")))
        elif "+" in enters and random.random() < 0.5:
            mothers = set(leaves.split("|"))
            rule["add"] = {name: 0.25 for name, trait in traits.items() if mothers <= set(trait["of"])}
    if random.random() < 0.6:
        of = random.sample(_TISSUE, random.randint(1, 3)) if random.random() < 0.7 else ["killer"]
        data["clones"] = {"of": of, "founders": random.choice(["one", "each"])}
        daughters = [rule["transition"].partition("+")[2].strip() for rule in data["rules"].values()]
        if set(daughters) & set(of):
            data["clones"]["mutation"] = random.choice([0.05, 0.5])
        for rule in data["rules"].values():
            made = rule["transition"].partition("->")[2].split("+")[-1].strip()
            if made in of and random.random() < 0.4:
                rule["clone"] = "new"
        for trait in traits.values():
            if "mutation" in trait and set(trait["of"]) & set(of):
                trait["mutation"]["clone"] = "new"
    if random.random() < 0.7:
        partners, after = random.sample(_TISSUE, 2), random.choice([[], *([each] for each in _TISSUE)])
        hit: dict[str, Any] = {"transition": "killer -> killer", "rate": "0.2 /min"}
        hit |= {"partner": " -> ".join(["|".join(partners), *after])}
        of_partner = set(after or partners)
        hit["add"] = {
            name: 0.5 for name, trait in traits.items() if "killer" in trait["of"] or of_partner <= set(trait["of"])
        }
        data["rules"]["hit"] = hit


def _carrying(random: Random, rule: dict[str, Any], traits: dict[str, Any], leaves: set[str]) -> None:
    """Let a transition give of traits to fields and to the body."""
    there = _there(traits, leaves)
    if not there:
        return
    for release in rule["releases"] if random.random() < 0.3 else ():
        rule["releases"][release] = {"trait": random.choice(there), "each": random.uniform(0, 1)}
    if random.random() < 0.4:
        given = {"trait": random.choice(there), "each": random.uniform(0, 1)}
        rule["to_body"] = {"blood": random.randint(1, 2), random.choice(["depot", "drug"]): given}


def _adjusting(random: Random, rule: dict[str, Any], traits: dict[str, Any], enters: str) -> None:
    """Let a transition change traits of the state that it ends in."""
    for name, trait in traits.items():
        if enters in trait["of"] and random.random() < 0.5:
            key, amount = random.choice([("add", -0.5), ("add", 0.7), ("set", 1.5)])
            rule.setdefault(key, {})[name] = amount


def _trait(random: Random, states: tuple[str, ...]) -> dict[str, Any]:
    initial: list[Any] = [
        1.5,
        {"normal": {"mean": 1, "sd": 0.7}},
        {"lognormal": {"median": 1, "fold": 2}},
        {"uniform": {"low": 0.5, "high": 2}},
    ]
    found: dict[str, Any] = {
        "unit": "fg",
        "of": random.sample(states, random.randint(1, len(states))),
        "most": 4,
        "initial": random.choice(initial),
        "at_division": random.choice(["copy", "share", "reset"]),
        "changes": {},
    }
    if random.random() < 0.5:
        change = random.choice([{"spread": 0.3}, {"fold": 1.5}, {"becomes": 0.2}])
        found["mutation"] = {"probability": random.choice([0.1, 1.0]), **change}
    laws: list[dict[str, Any]] = [{"gain": 0.05}, {"growth": _rate(random)}, {"towards": 1, "rate": _rate(random)}]
    for key in ("uptake", "secretion"):
        if random.random() < 0.4:
            transfer = {"rate": _rate(random), "ratio": random.choice([0.5, 20])}
            found[key] = {random.choice(_SUDDEN): transfer | {"modulators": _modulators(random, 1)}}
    for number in range(random.randint(0, 2)):
        found["changes"][f"c{number}"] = random.choice(laws) | {"of": random.sample(found["of"], 1)}
    return found


def _there(traits: dict[str, Any], own: Iterable[str]) -> list[str]:
    """Traits that a cell in some states, or one beside it, can have."""
    beside = _IMMUNE if set(own) <= {"empty", *_TISSUE} else _TISSUE
    return [name for name, trait in traits.items() if set(trait["of"]) & {*own, *beside}]


def _of_trait(random: Random, traits: dict[str, Any], own: list[str]) -> list[dict[str, Any]]:
    """A modulator that looks at a trait there, if there is one."""
    there = _there(traits, own)
    shape = random.choice(["half", "per", "above", "below"])
    return [{"trait": random.choice(there), shape: random.uniform(0.1, 3)}] if there else []


def _adhering(random: Random, data: dict[str, Any]) -> None:
    """Let some cells adhere to each other."""
    states = random.sample(("empty", *_TISSUE), random.randint(2, 4))
    mobile = [state for state in states if data["states"].get(state, {}).get("yields") != "rigid"]
    if random.random() < 0.3 or len(mobile) < 2:
        return
    energies = {one: {other: round(random.uniform(-1, 1), 3) for other in states[i:]} for i, one in enumerate(states)}
    energies[mobile[0]][mobile[0]] = 2  # unlike all others: equal energies would have no effect
    data["adhesion"] = {"rate": f"{random.choice([0.01, 0.2])} /min", "energies": energies}


def _dividing(random: Random, data: dict[str, Any]) -> None:
    """Let some cells divide and others give way, now and then on a lattice with periodic or open sides."""
    kinds = ["closed", "open", "periodic"]
    data["grid"]["sides"] = {axis: random.choice(kinds) for axis in "xyz"} if random.random() < 0.5 else {}
    if random.random() < 0.3:
        return
    rate = f"{random.choice([0.01, 0.3])} /min"
    mother, daughter, other = random.sample(_TISSUE, 3)
    division: dict[str, Any] = {"transition": f"{mother} -> {mother} + {daughter}", "rate": rate}
    if random.random() < 0.7:
        division["reach"] = random.choice(["40 um", "70 um", "200 um"])
    division["modulators"] = _modulators(random, 1)
    data["rules"]["division"] = division
    if random.random() < 0.3:
        data["states"][mother]["yields"] = {"how": "crushed", "resistance": "26 um" if "reach" in division else "10 um"}
    for state in (daughter, other):
        yields: list[Any] = ["displaced", "crushed", "rigid", {"how": "crushed", "resistance": "13 um"}]
        data["states"][state]["yields"] = random.choice(yields)
    if random.random() < 0.5:
        born = " + ".join(random.choices(_IMMUNE, k=2))
        data["rules"]["renewal"] = {"transition": f"{'|'.join(_IMMUNE)} -> {born}", "rate": rate}
    for rule in data["rules"].values():
        if random.random() < 0.3:
            rule["modulators"] = [
                *rule.get("modulators", []),
                {"room": True, random.choice(["half", "above", "per"]): "30 um"},
            ]


def _closing(random: Random, data: dict[str, Any]) -> None:
    """Let some voxels be closed up, where something is outside."""
    marked = random.choice(_TISSUE) if random.random() < 0.5 else None
    if random.random() < 0.6 or (marked is None and "open" not in data["grid"]["sides"].values()):
        return
    if marked is not None:
        data["states"][marked]["outside"] = True
    states = [name for name in _TISSUE if name != marked and data["states"][name].get("yields") != "rigid"]
    for state in random.sample(["empty", *states], min(2, 1 + len(states))):
        rate, reach = random.choice(["0.01 /min", "0.2 /min"]), random.choice(["40 um", "300 um"])
        closing = {"transition": f"{state} -> outside", "rate": rate, "reach": reach}
        data["rules"][f"closing_of_{state}"] = closing | {"modulators": _modulators(random, 1)}


def _by_place(random: Random, data: dict[str, Any]) -> None:
    """Let some fields begin with a distribution, and states hold a concentration where nothing else acts on it."""
    dosed = {therapy.get("inject") for therapy in data["therapies"].values()}
    for name, field in data["fields"].items():
        if field["solver"] != "steady" and random.random() < 0.3:
            field["initial"] = {"expression": "2 ng/mL * exp(-r / (50 um)) + 0.01 ng/mL/um * z"}
        exchanged = any(name in state.get("exchange", {}) for state in data["states"].values())
        for state in _TISSUE if field["solver"] != "implicit2" or not exchanged else ():  # a held voxel loses all
            acts = any(name in data["states"][state].get(key, ()) for key in ("secretion", "uptake", "exchange"))
            comes = any(
                rule["transition"].endswith(f"-> {state}") and name in rule["releases"]
                for rule in data["rules"].values()
            )
            if random.random() < 0.25 and not acts and not comes and name not in dosed:
                field.setdefault("holds", {})[state] = random.choice([0, random.uniform(0, 2)])


def _modulator(random: Random) -> dict[str, Any]:
    kind = random.choice(["hill", "linear", "step", "neighbours", "contact", "body"])
    field = random.choice(_FIELDS)
    if kind == "hill":
        effect = random.choice(["activates", "inhibits"])
        hill = {"field": field, "half": random.uniform(0.01, 5), "power": random.randint(1, 4), "effect": effect}
        return hill | ({"at_zero": random.uniform(0, 2)} if random.random() < 0.5 else {})
    if kind == "linear":
        return {"field": field, "per": random.uniform(0.01, 5)}
    if kind == "step":
        return {"field": field, random.choice(["above", "below"]): random.uniform(0, 2)}
    if kind == "body":
        return {"body": "drug", random.choice(["half", "per", "above"]): random.uniform(0.1, 5)}
    states = random.sample([*_TISSUE, *_IMMUNE, "empty", "none"], random.randint(1, 4))
    if kind == "contact":  # which looks at the other layer, whichever that is
        states = list(dict.fromkeys([random.choice(_TISSUE), random.choice(_IMMUNE), *states]))
    if kind == "neighbours":
        neighbourhood = random.choice([6, 18, 26])
        return {"neighbours": states, "neighbourhood": neighbourhood, "per": random.uniform(0.5, 9)}
    contact: dict[str, Any] = {"contact": states}
    contact |= {"at_zero": random.uniform(0, 2)} if random.random() < 0.5 else {}
    return contact | ({"half": 1} if random.random() < 0.5 else {})


def _modulators(random: Random, most: int) -> list[dict[str, Any]]:
    return [_modulator(random) for _ in range(random.randint(0, most))]


def _rule(random: Random) -> dict[str, Any]:
    layer = random.choice([("empty", *_TISSUE), ("none", *_IMMUNE)])
    leaves = random.randint(1, 2)
    states = random.sample(layer, leaves + 1)
    rule = {
        "transition": f"{'|'.join(states[:leaves])} -> {states[leaves]}",
        "rate": f"{random.choice([0.001, 0.05, 0.3, 50.0])} /min",
        "after": f"{random.randint(0, 4)} min",
        "modulators": _modulators(random, 3),
        "releases": {field: random.uniform(0, 2) for field in random.sample(_SUDDEN, random.randint(0, 2))},
    }
    return rule | {way: "blood" for way in ("to_body", "from_body") if random.random() < 0.3}


def _reaction(random: Random, fields: tuple[str, ...]) -> dict[str, Any]:
    mixed = random.sample(fields, len(fields))
    consumed = random.randint(1, 2)
    coefficients = {name: random.choice([0.1, 1, 3]) for name in mixed}
    modulators = _modulators(random, 2)
    for modulator in modulators:
        if "contact" in modulator:  # of one layer
            modulator["contact"] = random.choice([["one", "empty"], ["killer", "none"]])
    return {
        "consumes": {name: coefficients[name] for name in mixed[:consumed]},
        "makes": {name: coefficients[name] for name in mixed[consumed:]},
        "rate": random.choice([1e-3, 0.1, 2, 1e5]),
        "modulators": modulators,
    }


def _rate(random: Random) -> str:
    return f"{random.uniform(0, 2):.6f} /min"


def _loss(random: Random) -> Any:
    plain = random.random() < 0.5
    return _rate(random) if plain else {"rate": _rate(random), "modulators": _modulators(random, 2)}


def _secretion(random: Random) -> Any:
    rate = random.uniform(0, 2)
    return rate if random.random() < 0.5 else {"rate": rate, "modulators": _modulators(random, 2)}


def _effects(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, what in (("secretion", _secretion), ("uptake", _loss)):
        if random.random() < 0.5:
            found[key] = {field: what(random) for field in random.sample(_FIELDS, random.randint(0, 2))}
    if random.random() < 0.5:
        wall = {"permeability": _rate(random), "body": "depot", "volume": "1e-7 mL"}
        field = random.choice(_FIELDS)
        found["exchange"] = {field: wall | {"modulators": _of_wall(_modulators(random, 2), field)}}
    if random.random() < 0.5:
        found["motility"] = _motility(random)
    return found


def _of_wall(modulators: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Modulators with which a field can open its own exchange with the body: one, without a threshold, of power 1."""
    own = [m | {"power": 1} for m in modulators if m.get("field") == field and not {"above", "below"} & m.keys()]
    return [m for m in modulators if m.get("field") != field] + own[:1]


def _motility(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "speed": random.choice(["1 um/min", "12 um/min", "90 um/min"]),
        "persistence": random.choice(["0 min", "3 min", "30 min"]),
        "modulators": _modulators(random, 2),
    }
    if random.random() < 0.5:
        field = random.choice(_FIELDS)
        found["chemotaxis"] = {"field": field, "half": random.uniform(0.01, 5), "sensitivity": "300 um"}
    else:
        found |= _biased(random)
    return found


def _biased(random: Random) -> dict[str, Any]:
    """Chemotaxis along some fields, and a persistence with modulators."""
    per = random.random() < 0.5
    along = {
        field: {"weight": random.uniform(0.1, 2) * random.choice([-1, 1]), "modulators": _modulators(random, 1)}
        | ({"per": random.uniform(0.1, 5)} if per else {})
        for field in random.sample(_FIELDS, random.randint(1, 2))
    }
    bias = {"value": random.uniform(0, 1), "modulators": _modulators(random, 1)}
    persistence = {"time": random.choice(["3 min", "30 min"]), "modulators": _modulators(random, 1)}
    return {"chemotaxis": {"along": along, "bias": bias}} | (
        {"persistence": persistence} if random.random() < 0.5 else {}
    )


def _field(random: Random, name: str) -> dict[str, Any]:
    return {
        "unit": "ng/mL",
        "diffusion": _diffusion(random),
        "boundary": _boundary(random) if random.random() < 0.5 else {},
        "decay": f"{random.choice([0, 0.01, 0.5, 3])} /min",
        "initial": random.uniform(0, 2),
        "clearance": {name: _loss(random) for name in random.sample("cd", random.randint(0, 2))},
        "solver": random.choice(_SOLVERS_OF_SMOOTH if name == _SMOOTH else _SOLVERS),
    }


def _diffusion(random: Random) -> Any:
    def one() -> str:
        return f"{random.choice([0, 1.5, 60, 700, 90000])} um^2/min"

    if random.random() < 0.5:
        return one()
    states = random.sample(("empty", *_TISSUE), random.randint(1, 4))
    return {state: one() for state in states} | {"default": one()}


def _boundary(random: Random) -> dict[str, Any]:
    def side() -> Any:
        return random.choice(
            [
                "no-flux",
                {"value": random.uniform(0, 2)},
                {"permeability": random.choice(["0.1 um/min", "50 um/min"]), "far": random.uniform(0, 2)},
            ]
        )

    found: dict[str, Any] = {}
    for axis in "xyz":
        if random.random() < 0.5:
            found[axis] = "periodic"
        else:
            found |= {f"{axis}_{end}": side() for end in ("low", "high") if random.random() < 0.5}
    return found
