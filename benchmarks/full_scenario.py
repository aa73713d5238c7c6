"""A full scenario, both layers and 12 fields at 96^3: simulated hours a minute, and the time by kernel.

    python benchmarks/full_scenario.py [--voxels 96] [--hours 6] [--from-hours 24] [--backend cpu] [--threads 2]
        [--scenario FILE]

A melanoma under an armed herpes virus, with all immune cells and the five traits of the library. It is run for some
time first, so that every mechanism is at work. The time of a kernel is that of its launches, measured around each of
them, on a GPU by its own clock; what is left is Python's, and on a GPU also the gaps between launches.
"""

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path

import gpusim

SCENARIO = Path(__file__).with_name("full.yaml")


def main():
    """Run, and print the rate and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=96)
    parser.add_argument("--from-hours", type=int, default=24)
    parser.add_argument("--hours", type=int, default=6)
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--scenario", type=Path, default=SCENARIO)
    arguments = parser.parse_args()
    scenario = gpusim.Scenario.load(arguments.scenario, {"grid.shape": [arguments.voxels] * 3})
    fields = len(scenario.document.fields)
    with gpusim.Simulation(scenario, arguments.backend, threads=arguments.threads) as simulation:
        simulation.run(until=f"{arguments.from_hours} h")
        backend, marks = simulation.backend, defaultdict(list)
        run = backend.run
        if backend.name == "cuda":
            backend.graphs = False  # so that each launch is measured

        def timed(call, *rest):
            begun = backend.mark()
            run(call, *rest)
            marks[call.kernel.name].append((begun, backend.mark()))

        backend.run = timed
        begun, spent = time.perf_counter(), time.process_time()
        simulation.run(until=f"{arguments.from_hours + arguments.hours} h")
        wall, cores = time.perf_counter() - begun, time.process_time() - spent
        seconds = Counter({kernel: sum(backend.between(*each) for each in pairs) for kernel, pairs in marks.items()})
    print(
        f"{arguments.voxels}^3, {fields} fields, {arguments.hours} h in {wall:.1f} s: "
        f"{arguments.hours * 60 / wall:.1f} simulated hours a minute ({cores / wall:.2f} cores at work)"
    )
    for kernel, spent in seconds.most_common():
        print(f"{kernel:18} {spent:8.2f} s {100 * spent / wall:5.1f}%  {len(marks[kernel]):6} launches")
    print(f"{'Python':18} {wall - sum(seconds.values()):8.2f} s {100 - 100 * sum(seconds.values()) / wall:5.1f}%")


if __name__ == "__main__":
    main()
