"""Interrupts a run at random moments by a signal handler that raises, goes on, and compares.

python tests/engine/interrupts.py BACKEND MOMENTS [UNTIL]; for slabs under mpirun. Prints how many runs were cut, and
how many of them ended elsewhere or did not count what the lattice holds.
"""

import random
import signal
import sys

import gpusim
from gpusim.backends import Backend, create

SCENARIO = """
name: small
grid: {shape: [7, 6, 9], sides: {x: open}}
time: {until: 80 min, step: {field: 1 min, rules: 2 min}}
record: {every: 10 min}
fields:
  drug: {unit: ng/mL, diffusion: 100 um^2/min, decay: 0.1 /min, initial: 2}
  fast: {unit: ng/mL, diffusion: 90000 um^2/min, decay: 0.1 /min, initial: 1, solver: implicit}
  carried: {unit: ng/mL, diffusion: 30 um^2/min, advection: true, initial: 2}
  pressure: {unit: mmHg, boundary: {x: {value: 0}}}
flow:
  field: pressure
  conductivity: 2 um^2/mmHg/min
  vessels: {tumour: {conductivity: 3e-6 cm/mmHg/s, surface: 200 /cm, pressure: 20 mmHg, oncotic: 5 mmHg}}
  every: 4 min
reactions:
  binding: {consumes: {drug: 1, fast: 0.3}, makes: {carried: 1}, rate: 0.01 mL/ng/min}
adhesion: {rate: 2 /h, energies: {tumour: {tumour: -1, empty: 0.5}}}
traits:
  load: {of: tumour, most: 100, initial: 1, at_division: share, changes: {rest: {gain: 0.01 /min}}}
clones: {of: tumour, founders: each, mutation: 0.2}
states:
  tumour: {uptake: {drug: 0.1 /min}}
  killer: {layer: immune, motility: {speed: 8 um/min, persistence: 3 min}}
tissue: {shapes: {half: {kind: everywhere, state: tumour, fraction: 0.5}}}
body:
  quantities: {cells: {initial: 500}}
  processes: {growth: {transition: nothing -> cells, by: cells, rate: 0.01 /min}}
rules:
  growth:
    transition: empty -> tumour
    rate: 0.002 /min
    modulators: [{neighbours: [tumour]}]
    releases: {drug: 3 ng/mL * voxel}
  division: {transition: tumour -> tumour + tumour, rate: 0.008 /min, reach: 60 um}
  closing: {transition: empty -> outside, rate: 0.02 /min, reach: 60 um}
  killing: {transition: tumour -> empty, rate: 0.05 /min, modulators: [{contact: [killer]}]}
  arrival: {transition: none -> killer, rate: 0.01 /min, from_body: cells}
  leaving: {transition: killer -> none, rate: 0.05 /min, to_body: cells}
therapies:
  dose: {inject: drug, amount: 8 fg, start: 3 min, radius: 25 um, every: 2 min, doses: 30}
  infusion: {infuse: cells, amount: 7, start: 1 min, every: 3 min, doses: 20}
  cells: {inject: killer, amount: 5 cell, start: 5 min, radius: 60 um, every: 5 min, doses: 10}
  surgery: {resect: [tumour], start: 12 min, radius: 40 um, every: 9 min, doses: 5}
"""
"""One of each thing that happens in a step."""


class Moment(Exception):
    """What a user's signal handler may raise."""


def interrupt(number: int, frame: object) -> None:
    raise Moment


def simulation(backend: str | Backend) -> gpusim.Simulation:
    return gpusim.Simulation(gpusim.Scenario.parse(SCENARIO), backend, threads=2 if backend == "cpu" else None)


def holds_what_it_counts(simulation: gpusim.Simulation) -> bool:
    names, counts = simulation.model.states.names, simulation.counts
    layers = (simulation.tissue, simulation.immune)
    return all(counts[name] == sum(int((layer == n).sum()) for layer in layers) for n, name in enumerate(names))


def campaign(backend: str, moments: int, until: str | None = None, seed: int = 0) -> tuple[int, int, int]:
    """Runs that were cut; those of them that ended elsewhere; those whose counts were not those of the lattice."""
    machine = create(backend)
    with simulation(machine) as whole:
        whole.run(until)
        expected, seconds = whole.digest(), whole.seconds
    drawn = random.Random(seed)
    before = signal.signal(signal.SIGALRM, interrupt)
    cut = elsewhere = miscounted = 0
    try:
        while cut < moments:
            going = simulation(create(backend) if backend == "slabs" else machine)
            try:
                signal.setitimer(signal.ITIMER_REAL, drawn.uniform(1e-4, 1.2 * seconds))
                going.run(until)
                signal.setitimer(signal.ITIMER_REAL, 0)
                continue
            except Moment:
                pass
            cut += 1
            miscounted += not holds_what_it_counts(going)
            going.run(until)
            elsewhere += going.digest() != expected
    finally:
        signal.signal(signal.SIGALRM, before)
    return cut, elsewhere, miscounted


if __name__ == "__main__":
    cut, elsewhere, miscounted = campaign(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])
    print(f"{sys.argv[1]}: {cut} runs cut, {elsewhere} ended elsewhere, {miscounted} miscounted", flush=True)
