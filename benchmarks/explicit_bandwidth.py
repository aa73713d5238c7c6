"""The explicit pass against the machine's own copy bandwidth, in one run.

    python benchmarks/explicit_bandwidth.py [--sizes 64x8 128x8 256x2] [--backend cpu]

Bytes of a pass, each read and written once: 4 read and 4 written a voxel and field, 4 more read in a stage
with momentum (it reads its target), 1 more for cells that the exchange depends on. The copy is the backend's
own, of the same arrays, by as many threads. Both are taken in turn, and timed as `gpusim bench` times kernels.
"""

import argparse
from dataclasses import replace

import numpy as np

import gpusim
from gpusim.engine.transport.explicit import ExplicitSolver

KINDS = {"plain": (8, 0.0, False), "momentum": (12, 0.3, False), "by tissue": (9, 0.0, True)}
"""Bytes, momentum, and whether the exchange depends on cells."""


def simulation(voxels, fields, backend, by_tissue):
    names = [f"f{i}" for i in range(fields)]
    field = {"unit": "ng/mL", "diffusion": "100 um^2/min", "decay": "0.01 /min", "initial": 1}
    document = {
        "grid": {"shape": [voxels] * 3},
        "time": {"step": {"field": "1 min"}},
        "fields": dict.fromkeys(names, field),
        "record": {"every": "1 day"},
    }
    if by_tissue:
        document["states"] = {"sink": {"uptake": dict.fromkeys(names, "0.01 /min")}}
        document["tissue"] = {"shapes": {"sinks": {"kind": "everywhere", "state": "sink", "fraction": 0.5}}}
    return gpusim.Simulation(gpusim.Scenario.parse("grid: {shape: [1, 1, 1]}").with_(**document), backend)


def measure(voxels, fields, backend, kind, pairs):
    size, momentum, by_tissue = KINDS[kind]
    with simulation(voxels, fields, backend, by_tissue) as sim:
        state, machine = sim.site.stack.state, sim.backend
        solver = ExplicitSolver(sim.model, machine, list(range(fields)))
        active = machine.array(np.arange(fields, dtype=np.int32))
        ones = machine.array(np.ones(fields, np.int32))
        momenta = machine.array(np.full((fields, 1), momentum, np.float32))
        tables = replace(solver._tables, passes=ones, momenta=momenta, implicit_exchange=ones)

        def copy():
            machine.copy(state.spare, state.fields)

        def step():
            cells = state.tissue.cells, state.immune.cells
            machine.explicit_step(state.fields, state.spare, *cells, active, tables, 1, 2)

        seconds = np.array([(machine.seconds(copy), machine.seconds(step)) for _ in range(pairs + 1)][1:])
    count = fields * voxels**3
    best = seconds.min(axis=0)
    share = size / 8 * best[0] / best[1]
    middle = float(np.median(size / 8 * seconds[:, 0] / seconds[:, 1]))
    print(
        f"{voxels}^3 x {fields}  {kind:10} copy {8 * count / best[0] / 1e9:6.1f} GB/s  pass "
        f"{size * count / best[1] / 1e9:6.1f} GB/s  {count / best[1] / 1e9:5.2f} G voxel-fields/s  "
        f"{100 * share:4.0f}% (median of {pairs} pairs {100 * middle:.0f}%)",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["64x8", "100x8", "128x8", "256x2"], help="voxels x fields")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--pairs", type=int, default=40)
    arguments = parser.parse_args()
    for given in arguments.sizes:
        for name in KINDS:
            measure(*map(int, given.split("x")), arguments.backend, name, arguments.pairs)
