"""Randomised scenarios that take every path through the kernels."""

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
    reacting = _FIELDS if solver in _SOLVERS else _SUDDEN
    data["reactions"] = {f"x{i}": _reaction(random, reacting) for i in range(random.randint(0, 3))}
    _by_place(random, data)
    _dividing(random, data)
    _closing(random, data)
    _adhering(random, data)
    return data


def _adhering(random: Random, data: dict[str, Any]) -> None:
    """Let some cells adhere to each other."""
    states = random.sample(("empty", *_TISSUE), random.randint(2, 4))
    mobile = [state for state in states if data["states"].get(state, {}).get("yields") != "rigid"]
    if random.random() < 0.3 or len(mobile) < 2:
        return
    energies = {one: {other: round(random.uniform(-1, 1), 3) for other in states[i:]} for i, one in enumerate(states)}
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
        data["states"][mother]["yields"] = {"how": "crushed", "resistance": "32 um" if "reach" in division else "10 um"}
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
        for state in _TISSUE:
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
        # A wall has no threshold on its own field.
        modulators = [m for m in _modulators(random, 2) if m.get("field") != field or not {"above", "below"} & m.keys()]
        found["exchange"] = {field: wall | {"modulators": modulators}}
    if random.random() < 0.5:
        found["motility"] = _motility(random)
    return found


def _motility(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "speed": random.choice(["1 um/min", "12 um/min", "90 um/min"]),
        "persistence": random.choice(["0 min", "3 min", "30 min"]),
        "modulators": _modulators(random, 2),
    }
    if random.random() < 0.5:
        field = random.choice(_FIELDS)
        found["chemotaxis"] = {"field": field, "half": random.uniform(0.01, 5), "sensitivity": "300 um"}
    return found


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
