"""The explicit step against the machine's own copy bandwidth, in one run.

    python benchmarks/explicit_bandwidth.py [--voxels 256] [--fields 8] [--backend cpu]

Bytes of a step: 4 read and 4 written a voxel and field, each once. The copy is NumPy's, of the same
arrays, by as many threads. Both are medians of pairs taken in turn.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import gpusim
from gpusim.engine.transport.explicit import ExplicitSolver


def main(voxels, fields, backend):
    document = {
        "grid": {"shape": [voxels] * 3},
        "time": {"step": {"field": "1 min"}},
        "fields": {
            f"f{i}": {"unit": "ng/mL", "diffusion": "100 um^2/min", "decay": "0.01 /min", "initial": 1}
            for i in range(fields)
        },
        "record": {"every": "1 day"},
    }
    scenario = gpusim.Scenario.parse("grid: {shape: [1, 1, 1]}").with_(**document)
    with gpusim.Simulation(scenario, backend) as simulation:
        state = simulation.site.state
        solver = ExplicitSolver(simulation.model, simulation.backend, list(range(fields)))
        threads = simulation.backend.threads
        pool = ThreadPoolExecutor(threads)
        parts = np.array_split(np.arange(fields * voxels), threads)
        rows = state.fields.reshape(fields * voxels, -1), state.spare.reshape(fields * voxels, -1)

        def copy():
            list(pool.map(lambda p: np.copyto(rows[1][p[0] : p[-1] + 1], rows[0][p[0] : p[-1] + 1]), parts))

        def step():
            cells = state.tissue.cells, state.immune.cells
            simulation.backend.explicit_step(
                state.fields, state.spare, *cells, solver._launches[0][1], solver._tables, 0.0
            )

        seconds = {copy: [], step: []}
        for _ in range(9):
            for action, found in seconds.items():
                begun = time.perf_counter()
                action()
                found.append(time.perf_counter() - begun)
    size = fields * voxels**3
    pairs = [c / s for c, s in zip(seconds[copy][1:], seconds[step][1:], strict=True)]
    for name, action in (("copy", copy), ("explicit step", step)):
        median = float(np.median(seconds[action][1:]))
        print(f"{name:14} {8 * size / median / 1e9:6.1f} GB/s  {size / median / 1e6:7.0f} million voxel-fields/s")
    print(f"the step runs at {100 * float(np.median(pairs)):.0f}% of the copy (median of {len(pairs)} pairs)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=256)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--backend", default="cpu")
    arguments = parser.parse_args()
    main(arguments.voxels, arguments.fields, arguments.backend)
