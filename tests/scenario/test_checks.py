"""Each contradiction between two parts of a scenario is one line at its place, and no other line."""

import pytest
import yaml

from gpusim import Scenario, ScenarioError
from gpusim.scenario.checks import nearest, state_names
from gpusim.scenario.loading import override
from gpusim.scenario.reading import read_text

TEXT = """
grid: {shape: [4, 4, 4], spacing: 20 um}
time: {until: 60 min}
fields:
  virus: {unit: PFU/mL, clearance: {trap: {rate: 1 /min, modulators: [{contact: ctl}]}}}
  oxygen: {unit: mmHg, diffusion: {default: 1 um^2/min, tumour: 2 um^2/min}, boundary: {x_low: {value: 1 kPa}}}
states:
  tumour:
    secretion: {virus: {rate: 1 PFU/min, modulators: [{contact: ctl}]}}
    uptake: {oxygen: {rate: 1 /min, modulators: [{body: drug, half: 1 mg}]}}
  vessel:
    exchange:
      oxygen: {permeability: 1 /min, blood: 5 kPa}
      virus: {permeability: 1 /min, body: virions, volume: 5 mL, modulators: [{contact: none}]}
  ctl: {layer: immune, motility: {speed: 4 um/min, enters: [empty, tumour], modulators: [{contact: tumour}]}}
rules:
  death: {transition: tumour -> empty, rate: 1 /day, modulators: [{field: virus, half: 1 PFU/mL}]}
  egress: {transition: ctl -> none, rate: 1 /day, to_body: cells}
body:
  quantities: {cells: {}, drug: {unit: mg}, virions: {unit: PFU}}
  processes:
    birth: {transition: nothing -> cells, by: cells, rate: 1 /day, modulators: [{body: drug, above: 1 mg}]}
tissue: {shapes: {a: {kind: everywhere, state: vessel, into: empty, fraction: 0.5}}}
therapies:
  dose: {inject: virus, amount: 100 PFU}
  graft: {inject: ctl, amount: 2 cell, into: none}
  cut: {resect: tumour, radius: 30 um}
  drip: {infuse: drug, amount: 1 mg}
heat: {tumour: tumour, effectors: ctl, cd8: ctl, cytokines: {oxygen: 1 mmHg}}
trial:
  arms: {a: {}, b: {}}
  outcomes:
    left: {count: tumour, at: [30 min, 60 min]}
    sum: {total: virus}
    died: {fired: death}
    blood: {body: drug}
  expected: [{outcome: left, arms: [a, b], at: 60 min}]
"""


PROBLEMS = """
fields.Y = {unit: mmHg}
    fields.Y: 'Y' is already in use (case is ignored); choose another name
fields.Virus = {unit: mmHg}
    fields.Virus: 'Virus' is already in use (case is ignored)
fields.oxygen.initial = 1 um
    fields.oxygen.initial: expected a number or a quantity in 'mmHg', found
fields.oxygen.diffusion.stroma = 1 um^2/min
    fields.oxygen.diffusion.stroma: unknown tissue state 'stroma' (known: default, empty, tumour, vessel)
fields.oxygen.diffusion.ctl = 1 um^2/min
    fields.oxygen.diffusion.ctl: expected a tissue state, found 'ctl' of the layer 'immune'
fields.oxygen.boundary.x_low.value = 1 um
    fields.oxygen.boundary.x_low.value: expected a number or
fields.oxygen.boundary.z = {permeability: 1 um/min, far: 1 um}
    fields.oxygen.boundary.z.far: expected a number or a quantity in 'mmHg', found '1 um'
traits.virus = {of: tumour}
    traits.virus: 'virus' is already in use (case is ignored)
traits.load = {of: nobody}
    traits.load.of: unknown state 'nobody'
traits.load = {of: [tumour, ctl]}
    traits.load.of: expected states of one layer, found 'tumour' of 'tissue' and 'ctl' of 'immune'
traits.load = {of: none}
    traits.load.of: 'none' is not a cell
traits.load = {of: tumour, most: 5, initial: 6}
    traits.load.initial: expected at most the trait's 'most', 5.0, found 6.0
traits.load = {of: tumour, most: 0}
    traits.load.most: expected 'most' above 0
traits.load = {of: tumour, unit: PFU, initial: 3 ng}
    traits.load.initial: expected a number or a quantity in 'PFU', found '3 ng'
traits.load = {of: tumour, initial: {column: load}}
    traits.load.initial.column: needs a table of cells ('tissue.cells')
traits.load = {of: tumour, mutation: {probability: 0.1, becomes: 1 ng}}
    traits.load.mutation.becomes: expected a number or
traits.load = {of: tumour, changes: {a: {gain: 1 PFU/hour}}}
    traits.load.changes.a.gain: expected a number or a quantity in '(dimensionless) / min', found '1 PFU/hour'
traits.load = {of: tumour, changes: {a: {growth: 1 /hour, of: vessel}}}
    traits.load.changes.a.of: unknown state of the trait 'vessel' (known: tumour)
traits.load = {of: tumour, uptake: {virus: {rate: 1 /hour}}}
    traits.load.uptake.virus: needs a 'ratio' in '(dimensionless) / (PFU/mL * voxel)'
traits.load = {of: tumour, unit: PFU, uptake: {virsu: {rate: 1 /hour}}}
    traits.load.uptake.virsu: unknown field 'virsu'; did you mean 'virus'?
traits.load = {of: tumour}; rules.death.modulators = [{trait: load, per: 1}]
    rules.death.modulators[0].per: a rate in proportion to 'load' has no bound
rules.death.modulators = [{trait: load, half: 1}]
    rules.death.modulators[0].trait: unknown trait 'load' (known: none)
traits.load = {of: tumour}; rules.death.add = {load: 1}
    rules.death.add.load: has no effect, because state 'empty' does not have the trait 'load'
traits.kills = {of: ctl}; rules.death.add = {kills: 1}
    rules.death.add.kills: 'kills' is a trait of the other layer; expected its cell as 'partner: STATE'
rules.death.partner = ctl -> tumour
    rules.death.partner: expected a state of the other layer, found 'tumour' of the layer 'tissue'
traits.load = {of: tumour}; rules.death.releases = {virus: {trait: load, each: 1 ng}}
    rules.death.releases.virus.each: expected a number or a quantity in 'PFU/mL' or
fields.virus.clearance.trap.modulators[0].contact = cdl
    fields.virus.clearance.trap.modulators[0].contact
fields.virus.solver = implicit2
    fields.virus.solver: found implicit2, which does not conserve the mass of a sudden change (here by therapies.dose)
fields.oxygen.solver = implicit2; rules.death.releases = {oxygen: 1}
    fields.oxygen.solver: found implicit2, which does not conserve the mass of a sudden change (here by rules.death.rel
fields.oxygen.solver = steady; reactions.x = {consumes: {oxygen: 1}, rate: 1 /min}
    fields.oxygen.solver: found steady, which discards a sudden change (here by reactions.x.consumes); expected auto
fields.oxygen.solver = steady; reactions.x = {consumes: {virus: 1}, makes: {oxygen: 1}, rate: 1 /min}
    fields.oxygen.solver: found steady, which discards a sudden change (here by reactions.x.makes); expected auto
reactions.x = {consumes: {viruses: 1}, rate: 1 /min}
    reactions.x.consumes.viruses: unknown field 'viruses'; did you mean 'virus'?
reactions.x = {consumes: {virus: 1}, makes: {oxigen: 1}, rate: 1 /min}
    reactions.x.makes.oxigen: unknown field 'oxigen'; did you mean 'oxygen'?
reactions.x = {consumes: {virus: 1}, rate: 1 mL/ng/min}
    reactions.x.rate: expected a number or a quantity in '1/min', found '1 mL/ng/min'
reactions.x = {consumes: {virus: 1, oxygen: 2}, rate: 1 /min}
    reactions.x.rate: expected a number or a quantity in '1/min / (mmHg)', found '1 /min'
reactions.x = {consumes: {virus: 1 PFU, oxygen: 2}, rate: 1 1/kPa/s}
    reactions.x.consumes.virus: expected a number or a quantity in 'dimensionless', found '1 PFU'
reactions.x = {consumes: {virus: 1}, makes: {oxygen: 1 mmHg}, rate: 1 /min}
    reactions.x.makes.oxygen: expected a number or a quantity in '(mmHg) / (PFU/mL)', found '1 mmHg'
reactions.x = {consumes: {virus: 1}, rate: 1 /min, modulators: [{contact: [tumour, ctl]}]}
    reactions.x.modulators[0].contact: expected states of one layer, because a modulator reads one cell of the voxel
reactions.x = {consumes: {virus: 1}, rate: 1 /min, modulators: [{contact: tumor}]}
    reactions.x.modulators[0].contact: unknown state 'tumor'; did you mean 'tumour'?
fields.oxygen.initial = 5 %
    fields.oxygen.initial: expected a number or a quantity in 'mmHg', found '5 %'
fields.oxygen.boundary.x_low.value = 50000 ppm
    fields.oxygen.boundary.x_low.value: expected a number or a quantity in 'mmHg', found '50000 ppm'
states.vessel.exchange.oxygen.blood = 38 dimensionless
    states.vessel.exchange.oxygen.blood: expected a number or a quantity in 'mmHg', found '38 dimensionless'
rules.death.releases = {virus: 5 percent}
    rules.death.releases.virus: expected a number or a quantity in 'PFU/mL' or 'PFU/mL * voxel', found '5 percent'
body.quantities.drug.initial = 5 %
    body.quantities.drug.initial: expected a number or a quantity in 'mg', found '5 %'
states.tumour.uptake.oxygen.rate = 1 rad/min
    states.tumour.uptake.oxygen.rate: expected a quantity in '1/min' or a convertible unit, found '1 rad/min'
therapies.dose.amount = 1e9 vp
    therapies.dose.amount: expected an amount in 'PFU/mL * voxel', found '1e9 vp'; state the ratio, as in 'units: {vp: 0
therapies.dose.amount = 3 MOI
    therapies.dose.targets: is missing: the states of the cells that each receive '3 MOI'
therapies.dose.targets = tumour
    therapies.dose.amount: expected an amount in 'PFU/mL * voxel / cell', found '100 PFU'
therapies.dose.amount = 3 MOI; therapies.dose.targets = tumor
    therapies.dose.targets: unknown state 'tumor'; did you mean 'tumour'?
therapies.graft.targets = tumour
    therapies.graft.targets: applies only to the injection of a field
therapies.graft.amount = 1.5 cell
    therapies.graft.amount: expected a whole number of cells, found '1.5 cell'
units.vp = 0.05
    units.vp: expected a quantity in 'PFU' above 0, such as '0.05 PFU', found 0.05
states.empty = {layer: immune}
    states.empty.layer: 'empty' belongs to the layer 'tissue'
rules.egress = null; states.none = {layer: tissue}
    states.none.layer: 'empty' belongs to the layer 'tissue' and 'none' to the layer 'immune'
states.tumour.secretion.ifn = 1
    states.tumour.secretion.ifn: unknown field 'ifn' (known: virus, oxygen)
states.tumour.secretion.virus.rate = 1 /min
    states.tumour.secretion.virus: expected a number or a quantity in 'PFU/mL / min' or 'PFU/mL * voxel / min'
states.tumour.secretion.virus.modulators[0].contact = x
    states.tumour.secretion.virus.modulators[0].contact
states.tumour.uptake.ifn = 1 /min
    states.tumour.uptake.ifn: unknown field 'ifn'
states.tumour.uptake.oxygen.modulators[0].body = x
    states.tumour.uptake.oxygen.modulators[0].body: unknown
states.vessel.exchange.ifn = {permeability: 1 /min, blood: 1}
    states.vessel.exchange.ifn: unknown field 'ifn'
states.vessel.exchange.oxygen.blood = 1 PFU
    states.vessel.exchange.oxygen.blood: expected a number or
states.vessel.exchange.virus.body = virus
    states.vessel.exchange.virus.body: unknown quantity of the body
states.vessel.exchange.virus.body = drug
    states.vessel.exchange.virus.body: expected a quantity in 'PFU/mL * mL'
states.vessel.exchange.virus.modulators[0].contact = x
    states.vessel.exchange.virus.modulators[0].contact
states.empty = {motility: {speed: 1 um/min}}
    states.empty.motility: 'empty' is not a cell and cannot move
states.none = {layer: immune, motility: {speed: 1 um/min}}
    states.none.motility: 'none' is not a cell and cannot move
states.ctl.motility.chemotaxis = {field: ifn, half: 1, sensitivity: 1 um}
    states.ctl.motility.chemotaxis.field: unknown field 'ifn'
states.ctl.motility.chemotaxis = {field: oxygen, half: 1 um, sensitivity: 1 um}
    states.ctl.motility.chemotaxis.half: expected a number or a quantity in 'mmHg'
states.ctl.motility.chemotaxis = {field: oxygen, half: 0, sensitivity: 1 um}
    states.ctl.motility.chemotaxis.half: expected 'half' above 0
states.ctl.motility.chemotaxis = {field: oxygen, half: 0 kPa, sensitivity: 1 um}
    states.ctl.motility.chemotaxis.half: expected 'half' above 0
states.ctl.motility.enters = ctl
    states.ctl.motility.enters: expected a state of the other layer, found 'ctl' of the layer 'immune'
states.tumour.motility = {speed: 1 um/min, enters: vessel}
    states.tumour.motility.enters: expected a state of the other layer, found 'vessel' of the layer 'tissue'
states.ctl.motility.modulators[0].contact = x
    states.ctl.motility.modulators[0].contact: unknown state 'x'
rules.death.transition = tumour -> ctl
    rules.death.transition: expected states of one layer, found 'tumour' of 'tissue' and 'ctl' of 'immune'
rules.death.transition = tumour|vessel|tumour -> empty
    rules.death.transition: a state is given twice
rules.death.transition = tumour|empty -> empty
    rules.death.transition: 'empty' is on both sides
rules.death.transition = tumour -> emty
    rules.death.transition: unknown state 'emty'; did you mean 'empty'?
rules.death.releases = {ifn: 1}
    rules.death.releases.ifn: unknown field 'ifn'
rules.death.releases = {virus: 1 mmHg}
    rules.death.releases.virus: expected a number or a quantity in
rules.egress.to_body = cell
    rules.egress.to_body: unknown quantity of the body 'cell'; did you mean 'cells'?
rules.egress.to_body = drug
    rules.egress.to_body: expected a quantity in cells; 'drug' is in 'mg'
rules.egress.from_body = drug
    rules.egress.from_body: expected a quantity in cells
traits.load = {of: tumour, initial: {uniform: {low: 3, high: 2}}}
    traits.load.initial.uniform: expected 'low' of at most 'high', found 3 and 2
traits.load = {of: tumour, initial: {lognormal: {median: 0, fold: 2}}}
    traits.load.initial.lognormal.median: expected 'median' above 0
traits.load = {of: tumour, mutation: {probability: 1e-12, becomes: 1}}
    traits.load.mutation.probability: expected 0 or 2.3e-10 and more, of which probabilities are multiples, found 1e-12
traits.load = {of: tumour, most: 5}; rules.death.modulators = [{trait: load, above: 6}]
    rules.death.modulators[0].above: expected at most the trait's 'most', 5.0, found 6.0
traits.kills = {of: ctl, most: 5}; rules.egress.transition = ctl -> ctl; rules.egress.set = {kills: 6}
    rules.egress.set.kills: expected at most the trait's 'most', 5.0, found 6.0
traits.load = {of: []}
    traits.load.of: expected one or more, found []
traits.load = {of: tumour, initial: []}
    traits.load.initial: expected a number or a quantity, found []
traits.load = 3
    traits.load: expected a table of keys and values, found 3
rules.egress.to_body = 3
    rules.egress.to_body: expected text, found 3
rules.egress.from_body = {cells: 1}
    rules.egress.from_body: expected text, found a table
rules.egress = {transition: ctl -> ctl, rate: 1 /day}
    rules.egress.transition: 'ctl' is on both sides, and the rule changes nothing else
clones = {of: none, mutation: 0.1}
    clones.of: 'none' is not a cell
clones = {of: tumour, mutation: 0.1}
    clones.mutation: has no effect, because no rule makes daughters in these states
rules.egress.to_body = {drug: 1 mg, cell: 1}
    rules.egress.to_body.cell: unknown quantity of the body 'cell'; did you mean 'cells'?
rules.egress.to_body = {drug: 1 PFU}
    rules.egress.to_body.drug: expected a number or a quantity in 'mg', found '1 PFU'
rules.egress.to_body = {}
    rules.egress.to_body: expected one or more, found {}
rules.egress.to_body = {drug: -1 mg}
    rules.egress.to_body.drug: expected a quantity of 0 or more, found '-1 mg'
rules.egress.to_body = {drug: {trait: load, each: 1 mg}}
    rules.egress.to_body.drug.trait: unknown trait 'load' (known: none)
traits.load = {of: ctl, unit: ng}; rules.egress.to_body = {drug: {trait: load, each: 1 mL}}
    rules.egress.to_body.drug.each: expected a number or a quantity in 'mg' or '(mg) / (ng)', found '1 mL'
traits.load = {of: vessel}; rules.death.releases = {virus: {trait: load, each: 1}}
    rules.death.releases.virus.trait: has no effect, because state 'tumour' does not have the trait 'load'
traits.load = {of: vessel}; rules.death.to_body = {drug: {trait: load, each: 1}}
    rules.death.to_body.drug.trait: has no effect, because state 'tumour' does not have the trait 'load'
traits.load = {of: vessel}; rules.egress.to_body = {drug: {trait: load, each: 1}}; rules.egress.partner = tumour
    rules.egress.to_body.drug.trait: has no effect, because state 'tumour' does not have the trait 'load'
traits.ag = {of: ctl}; rules.egress.transition = ctl -> ctl + ctl; rules.egress.to_body = {drug: {trait: ag, each: 1}}
    rules.egress.to_body.drug: a division or closing brings nothing in proportion to a trait; use a transition
rules.egress.partner = tumour|tumour
    rules.egress.partner: a state is given twice
rules.egress.partner = tumour|ctl
    rules.egress.partner: expected a state of the other layer, found 'ctl' of the layer 'immune'
rules.egress.partner = tumor
    rules.egress.partner: unknown state 'tumor'; did you mean 'tumour'?
rules.egress.partner = tumour -> vessel + vessel
    rules.egress.partner: expected 'state', 'state|state', 'state -> state' or 'state|state -> state', found
traits.hits = {of: tumour}; rules.egress.partner = tumour|vessel; rules.egress.add = {hits: 1}
    rules.egress.add.hits: has no effect, because state 'vessel' does not have the trait 'hits'
rules.egress.modulators = [{contact: ctl}]
    rules.egress.modulators[0].contact: has no effect, because the cell of the other layer is never in state
rules.egress.partner = tumour; rules.egress.modulators = [{contact: vessel}]
    rules.egress.modulators[0].contact: has no effect, because the cell of the other layer is never in
states.tumour.secretion.virus.modulators[0].contact = vessel
    states.tumour.secretion.virus.modulators[0].contact: has no effect, because the cell of the other layer is never in
fields.virus.clearance.trap.modulators[0].contact = tumour
    fields.virus.clearance.trap.modulators[0].contact: has no effect, because the cell of the other layer is never in
traits.load = {of: vessel}; rules.death.modulators = [{trait: load, half: 1}]
    rules.death.modulators[0].trait: has no effect, because only cells in state 'vessel' have the trait 'load'
traits.load = {of: vessel}; rules.egress.partner = tumour; rules.egress.modulators = [{trait: load, half: 1}]
    rules.egress.modulators[0].trait: has no effect, because only cells in state 'vessel' have the trait 'load'
rules.death.modulators[0].field = x
    rules.death.modulators[0].field: unknown field 'x'
rules.death.modulators[0].half = 1 mmHg
    rules.death.modulators[0].half: expected a number or a quantity in 'PFU/mL'
rules.death.modulators[0].half = 0 PFU/mL
    rules.death.modulators[0].half: expected 'half' above 0
rules.death.modulators = [{field: virus, per: 0 PFU/mL}]
    rules.death.modulators[0].per: expected 'per' above 0
rules.death.modulators = [{field: virus, above: 1 mmHg}]
    rules.death.modulators[0].above: expected a number or a quantity in 'PFU/mL'
rules.death.modulators = [{field: virus, below: 1 mmHg}]
    rules.death.modulators[0].below: expected a number or a quantity in 'PFU/mL'
rules.death.modulators = [{body: drug, per: 1 cell}]
    rules.death.modulators[0].per: expected a number or a quantity in 'mg'
rules.death.modulators = [{body: x, per: 1 cell}]
    rules.death.modulators[0].body: unknown quantity of the body 'x'
rules.death.modulators = [{neighbours: [ctl, x]}]
    rules.death.modulators[0].neighbours: unknown state 'x'
rules.death.modulators = [{neighbours: ctl, per: 1 mm}]
    rules.death.modulators[0].per: expected a number of cells without a unit, found '1 mm'
rules.death.modulators = [{neighbours: ctl, above: 50 %}]
    rules.death.modulators[0].above: expected a number of cells without a unit, found '50 %'
body.quantities.nothing = {}
    body.quantities.nothing: 'nothing' is reserved for the outside of the body
body.quantities.drug.initial = 1 cell
    body.quantities.drug.initial: expected a number or a quantity in 'mg'
body.processes.birth.by = cell
    body.processes.birth.by: unknown quantity of the body 'cell'
body.processes.birth = {transition: cells -> drug, rate: 1 mg/cell/day}
    body.processes.birth.transition: expected one unit on both sides, found cell and mg
body.processes.birth.rate = 3
    body.processes.birth.rate: expected a quantity in 'cell / min / (cell)', found
body.processes.birth.rate = 3 cell/min
    body.processes.birth.rate: expected a quantity in 'cell / min / (cell)'
body.processes.birth.modulators[0] = {field: virus, half: 1}
    body.processes.birth.modulators[0]: a process depends only on quantities of the body ('body: NAME')
body.processes.birth.modulators[0].body = x
    body.processes.birth.modulators[0].body: unknown quantity
sites = {Time: {}}
    sites.Time: 'Time' is already in use (case is ignored); choose another name
sites = {a: {}, A: {}}
    sites.A: 'A' is already in use (case is ignored); choose another name
sites = {a: {tissue: {background: ctl}}}
    sites.a.tissue.background: expected a tissue state, found 'ctl' of the layer 'immune'
tissue.shapes.a.state = x
    tissue.shapes.a: unknown state 'x'
tissue.shapes.a.into = x
    tissue.shapes.a: unknown state 'x'
tissue.image = {file: a.nii, labels: {7: x}}
    tissue.image.labels.7: unknown state 'x'
tissue.depth = {mode: sweep}
    tissue.depth: applies only to a table of cells; give 'cells'
tissue.types = [{state: tumour}, {state: x}]; tissue.cells = a.csv
    tissue.types[1].state: unknown state 'x'
tissue.cells = a.csv
    tissue.types: a table of cells needs 'types': which rows become which state
grid.shape = null
    grid.shape: is missing (optional only with an image or a table of cells)
therapies.dose.site = x
    therapies.dose.site: unknown site 'x' (known: none)
therapies.dose.inject = x
    therapies.dose.inject: unknown field or state 'x' (known: virus, oxygen, tumour
therapies.dose.amount = 3 cell
    therapies.dose.amount: expected an amount in 'PFU/mL * voxel', found '3 cell'
therapies.dose.into = empty
    therapies.dose.into: applies only to the injection of cells
therapies.dose.start = 60 min
    therapies.dose.start: the last dose is due at 60 min, not before the end of the run
therapies.dose.doses = 4; therapies.dose.every = 20 min
    therapies.dose.doses: the last dose is due at 60 min, not before the end of the run (60 min)
therapies.graft.amount = 3 mg
    therapies.graft.amount: expected an amount in 'cell', found '3 mg'
therapies.graft.into = x
    therapies.graft.into: unknown state 'x'
therapies.cut.resect = x
    therapies.cut.resect: unknown state 'x'
therapies.drip.infuse = x
    therapies.drip.infuse: unknown quantity of the body 'x'
therapies.drip.amount = 1 cell
    therapies.drip.amount: expected an amount in 'mg', found '1 cell'
heat.tumour = x
    heat.tumour: unknown state 'x'
heat.effectors = x
    heat.effectors: unknown state 'x'
heat.cd8 = x
    heat.cd8: unknown state 'x'
heat.cytokines = {x: 1}
    heat.cytokines.x: unknown field 'x'
heat.cytokines.oxygen = 1 um
    heat.cytokines.oxygen: expected a number or a quantity in 'mmHg'
heat.cytokines.oxygen = 0
    heat.cytokines.oxygen: expected a concentration above 0
heat.cytokines.oxygen = 0 kPa
    heat.cytokines.oxygen: expected a concentration above 0
trial.outcomes.sum.total = x
    trial.outcomes.sum.total: unknown field 'x'
trial.outcomes.died.fired = x
    trial.outcomes.died.fired: unknown rule 'x' (known: death, egress)
trial.outcomes.blood.body = x
    trial.outcomes.blood.body: unknown quantity of the body 'x'
trial.outcomes.left = {volume: x, at: 60 min}
    trial.outcomes.left.volume: unknown state 'x'
trial.outcomes.sum.site = x
    trial.outcomes.sum.site: unknown site 'x'
trial.outcomes.sum.at = 61 min
    trial.outcomes.sum.at: '61 min' is after the end of the run (60 min)
trial.expected[0].at = 31 min
    trial.expected[0].at: unknown time of 'left' '31 min'
trial.expected[0].outcome = x
    trial.expected[0].outcome: unknown outcome 'x' (known: left, sum, died
trial.expected[0].arms = [a, c]
    trial.expected[0].arms: unknown arm 'c' (known: a, b)
"""
GOOD = """
fields.oxygen.solver = implicit2
therapies.dose.amount = 3 MOI; therapies.dose.targets = tumour
therapies.dose.amount = 3 TCID50
therapies.dose.amount = 3
therapies.dose.amount = 3; therapies.dose.targets = tumour
units.vp = 1/20 PFU; therapies.dose.amount = 1e9 vp; rules.death.modulators[0].half = 1e3 VP/mL
states.tumour.uptake.oxygen.rate = 5 %/min; tissue.shapes.a.fraction = 50 %
time.until = 60.5 min; therapies.dose.start = 60.4 min
therapies.dose.every = 20 min; therapies.dose.doses = 3; therapies.dose.start = 19 min
states.empty = {uptake: {oxygen: 1 /min}}; states.none = {layer: immune}
rules.death.releases = {virus: 1 PFU, oxygen: 1}
tissue.image = {file: a.nii, labels: {7: tumour}}; grid.shape = null
tissue.cells = a.csv; tissue.types = [{state: tumour}]; grid.shape = null
sites = {a: {}, b: {grid: {shape: [2, 2, 2]}}}; therapies.dose.site = b; trial.outcomes.sum.site = a
body.processes.leak = {transition: drug -> nothing, rate: 1 /day}
body.processes.inflow = {transition: nothing -> drug, rate: 1 mg/day}
body.quantities.many = {unit: 1e6 cell}; rules.egress.to_body = many
trial.expected[0] = {outcome: left, arms: [b], at: [30 min, 60 min]}
trial.outcomes.left.at = [60 min, 1 hour]; trial.expected = []
rules.death.modulators = [{contact: ctl, half: 1}, {neighbours: ctl, per: '2'}, {body: drug, below: 1 g}]
"""
CASES = list(zip(PROBLEMS.strip().splitlines()[::2], PROBLEMS.strip().splitlines()[1::2], strict=True))


def changed(changes):
    """TEXT with `path = value; path = value`."""
    read = read_text(TEXT, "text")
    for change in filter(None, changes.split("; ")):
        path, value = change.split(" = ", 1)
        override(read, path, yaml.safe_load(value))
    return yaml.safe_dump(read.data, sort_keys=False)


def test_the_scenario_that_the_changes_start_from_is_one():
    Scenario.parse(changed(""))


@pytest.mark.parametrize(("changes", "problem"), CASES)
def test_a_contradiction_is_one_line_at_its_place(changes, problem):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(changed(changes))
    (line,) = str(caught.value).splitlines()
    assert line.split(": ", 1)[1].startswith(problem.strip())


@pytest.mark.parametrize("named", ["", ", empty: {}, none: {layer: immune}"])
def test_the_vacant_states_come_first_and_once(named):
    text = f"{{zeta: {{}}, killer: {{layer: immune}}, alpha: {{}}, omega: {{layer: immune}}{named}}}"
    document = Scenario.parse(f"grid: {{shape: [1, 1, 1]}}\nstates: {text}").document
    assert state_names(document) == (["empty", "zeta", "alpha"], ["none", "killer", "omega"])


def test_a_word_is_suggested_where_it_is_near_and_not_endless():
    assert nearest("tumor", ["tumour", "healthy"]) == "; did you mean 'tumour'?"
    assert nearest("x", ["tumour", "healthy"]) == ""
    assert nearest("a" * 80, ["a" * 60]) != ""
    assert nearest("a" * 81, ["a" * 60]) == ""


@pytest.mark.parametrize("changes", GOOD.strip().splitlines())
def test_what_fits_together_is_taken(changes):
    Scenario.parse(changed(changes))
