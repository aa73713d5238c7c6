"""Scenarios as an enemy would write them; shared by the test and the campaign."""

import copy
import math
import warnings

import yaml

import gpusim
from gpusim.model import build

SMALL = """
name: small
units: {vp: 0.05 PFU, TU: 1 PFU}
grid: {shape: [5, 4, 3], spacing: 20 um}
time: {until: 10 min, at: [4 min], step: {field: 1 min, rules: 1 min, motion: 1 min}}
record: {every: 5 min, checkpoints: {every: 2 min, wall: 1 h, keep: 2}}
fields:
  virus: {unit: PFU/voxel, diffusion: 1 um^2/min, decay: 0.1 /min, initial: 1, solver: auto}
  oxygen: {unit: mmHg, diffusion: 1e5 um^2/min, decay: 0.1 /min, clearance: {trap: {rate: 1 /min, modulators: [{field: virus, half: 1}]}}}
  bound: {unit: PFU/voxel}
reactions:
  binding: {consumes: {virus: 1, oxygen: 0.1}, makes: {bound: 1 PFU/PFU}, rate: 0.01 1/mmHg/min, modulators: [{contact: ctl}]}
  release: {consumes: {bound: 1}, makes: {virus: 1}, rate: 0.1 /min, modulators: [{contact: tumour, at_zero: 0.5}]}
states:
  tumour: {secretion: {virus: 1 PFU/min}, uptake: {oxygen: 10 /min}}
  vessel: {exchange: {oxygen: {permeability: 1 /min, blood: 38}, virus: {permeability: 0.1 /min, body: virions, volume: 5 mL, modulators: [{contact: ctl}]}}}
  ctl: {layer: immune, motility: {speed: 4 um/min, persistence: 10 min, chemotaxis: {field: virus, half: 1, sensitivity: 300 um}}}
groups: {resident: [tumour, vessel], cells: [resident, ctl]}
body:
  quantities: {cells: {unit: cell, initial: 5}, virions: {unit: PFU}}
  processes: {growth: {transition: nothing -> cells, by: cells, rate: 0.01 /min}}
rules:
  growth: {transition: empty -> tumour, rate: 0.1 /min, after: 1 min, modulators: [{neighbours: cells, per: 26}, {field: virus, half: 1, power: 2}], releases: {virus: 3 PFU}}
  arrival: {transition: none -> ctl, rate: 0.1 /min, modulators: [{contact: resident}, {body: cells, per: 10 cell}], from_body: cells}
adhesion: {rate: 2 /h, energies: {tumour: {tumour: -1, empty: 0.5, vessel: -0.2}, vessel: {vessel: 0, empty: 0}}}
tissue:
  background: empty
  shapes:
    a: {kind: sphere, state: tumour, radius: 30 um}
    b: {kind: everywhere, state: vessel, fraction: 0.2, into: empty}
    c: {kind: cylinder, state: vessel, start: [0 um, 0 um, 0 um], end: [90 um, 40 um, 10 um], radius: 10 um}
    d: {kind: vessels, state: vessel, distance: 40 um, radius: 5 um}
therapies:
  dose: {inject: virus, amount: 100 PFU, at: [50 um, 40 um, 30 um], radius: 20 um, start: 2 min, every: 2 min, doses: 3}
  track: {inject: virus, amount: 9 PFU, site: far, at: [0 um, 20 um, 20 um], to: [60 um, 40 um, 30 um], radius: 10 um}
  cells: {inject: ctl, amount: 2 cell, site: far, radius: 40 um, start: 3 min}
  stock: {inject: virus, amount: 3 MOI, targets: tumour, site: near, radius: 40 um}
  more: {inject: tumour, amount: 3 cell, site: near, into: [empty, vessel], radius: 30 um}
  drip: {infuse: virions, amount: 50 PFU, start: 1 min, every: 1 min, doses: 2}
  cut: {resect: cells, site: near, radius: 25 um, start: 1 min}
sites:
  near: {}
  far: {grid: {shape: [4, 4, 3], spacing: 15 um}, tissue: {shapes: {a: null, b: {fraction: 0.5}}}}
heat: {tumour: tumour, effectors: ctl, cd8: ctl, cytokines: {virus: 1 PFU/voxel}}
trial:
  replicates: 2
  arms:
    plain: {}
    no dose: {therapies.dose: null}
    faster: {rules.growth.rate: 1 /min, 'rules.growth.modulators[0].per': 13, sites.far.grid.shape: [5, 4, 3]}
  outcomes:
    burden: {count: resident, site: near}
    virus: {total: virus, take: highest, at: [2 min, 10 min]}
    grown: {fired: growth}
    blood: {body: cells, take: lowest}
    rim: {lesion: margin, site: far}
    size: {volume: tumour}
  expected: [{outcome: burden, arms: [no dose, plain]}]
seed: 1
"""  # noqa: E501

NASTY = [
    *(None, True, "", " ", 0, -1, 1, 2, 3, 1e308, 1e-320, -0.0, math.nan, math.inf, 2**63, 2**64, 10**400, [], {}),
    *("0 um", "0 min", "0 /min", "1e300 um", "1e-300 um", "1e308 1/fs", "1e308 km^2/fs", "1e300 day", "1e-300 min"),
    *("1e308 PFU", "1e308 PFU/voxel", "nan um", "inf /min", "1/(0 min)", "1 um/0", "30 degC", "1e5 dB", "-1 um"),
    *("virus", "oxygen", "tumour", "empty", "none", "ctl", "vessel", "nothing", "cells", "time", "body", "Virus"),
    *("resident", "resident -> empty", "cells|empty -> none", ["cells", "resident"]),
    *("a -> b", "empty -> tumour", "|->|", "->", " " * 300 + "->", "tumour|empty|vessel -> none", "nothing -> nothing"),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "~root",
        "$(reboot)",
        "`x`",
        "a\nb",
        "\x1b[31m",
        "\x00",
        "é",
        "名前",
        "a" * 5000,
    ),
    *(
        "5 %",
        "3 MOI",
        "1e9 vp",
        "2 TCID50",
        "(0.1 PFU)/voxel",
        "1 rad/min",
        "1.5 cell",
        "vp",
        "1e-9 vp",
        "7 min",
        "1e-5 s",
    ),
    *("implicit", "steady", "sweep", "sphere", "vessels", "centre", "1e9", "9" * 70, [1, 1, 1], [10**9] * 3, [0, 1, 2]),
    *(["1e300 um"] * 3, ["0 um"] * 3, ["-1 um"] * 3, {"kind": "vessels", "state": "tumour", "distance": "20 um"}),
    *([{"field": "virus", "per": 1e-300}], [{"neighbours": "tumour", "half": "1e-300"}], {"virus": 1e300}),
]
KEYS = ["virus", "tissue", "time", "x", "a b", "../x", "\n", "é", "A" * 41, "Virus", "step", "cells", "empty", "none"]


def paths(data, here=()):
    """Paths of everything in nested data."""
    yield here
    if isinstance(data, (dict, list)):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield from paths(data[key], (*here, key))


DATA = yaml.safe_load(SMALL)
PATHS = [path for path in paths(DATA) if path]


def mutated(changes):
    """SMALL with changes: (path, "set", value), (path, "rename", key) or (path, "drop", None)."""
    data = copy.deepcopy(DATA)
    for path, kind, value in changes:
        here = data
        try:
            for part in path[:-1]:
                here = here[part]
            if kind == "set":
                here[path[-1]] = copy.deepcopy(value)
            elif kind == "rename":
                here[value] = here[path[-1]]
            else:
                del here[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    return data


def built(scenario):
    """Models of all sites of a scenario, and of those of its last arm."""
    scenarios = [scenario, *(scenario.arm(name) for name in scenario.arms[-1:])]
    return [build(each.site(name)) for each in scenarios for name in each.sites]


def survives(text):
    """Whether text is a scenario that runs; anything but that and a `GpusimError` comes through."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            scenario = gpusim.Scenario.parse(text)
            assert all(isinstance(note, str) for note in scenario.notes)
            models = built(scenario)
            if any(model.voxels > 10_000 or len(model.doses) > 1000 for model in models):
                return True
            again = gpusim.Scenario.parse(scenario.to_yaml())
            assert again.document == scenario.document
            warnings.filterwarnings("default", "therapies")  # a graft that finds no room says so
            with gpusim.Simulation(scenario, "numpy") as simulation:
                choices = [choice for site in simulation.sites.values() for choice in site.transport.choices]
                if max((c.passes for c in choices), default=0) > 1000:
                    return True
                simulation.step()
                simulation.check()
                simulation.digest()
        except gpusim.GpusimError as error:
            message = str(error)
            assert message
            assert len(message) < 20_000
            return False
    return True


def written(data):
    """Data as the YAML text that gives it back (1e400 and its kin included)."""
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
