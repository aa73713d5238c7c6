"""Replicates of a small lattice: stepped together in one process, against as many simulations in two processes.

    python benchmarks/replicates.py [--edges 16 24 32] [--until "12 h"] [--rounds 3]

Eight seeds of `cold-to-hot` on n^3 voxels. Apart: two processes of one thread, four simulations each, one after the
other. Together: one process, two threads, all eight in one go. By halves: two processes of one thread, each with
four in one go. All three end in the same digests. Of each, the best of some rounds that take turns: seconds on the
clock, and of the processor, all threads and both processes added up, which others on the machine change less; both
of the steps alone. Launches are of one step.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

import gpusim
from gpusim.backends.cpu import CpuBackend
from gpusim.engine.memory import on_backend

SEEDS = tuple(range(8))


def scenario(edge, until):
    radius = f"{edge * 20 * 0.4:g} um"
    changes = {"grid.shape": [edge] * 3, "time.until": until, "tissue.shapes.tumour.radius": radius}
    return gpusim.Scenario.load("cold-to-hot", changes)


def run(wanted, threads, seeds):
    """Seconds on the clock and of the processor, and the digests, of seeds that are stepped together."""
    with gpusim.Simulation(wanted, "cpu", threads=threads, seed=seeds) as simulation:
        begun = time.perf_counter(), time.process_time()
        simulation.run()
        taken = time.perf_counter() - begun[0], time.process_time() - begun[1]
        return np.array(taken), [each.digest() for each in simulation.replicates]


def one_by_one(wanted, seeds):
    taken, digests = zip(*(run(wanted, 1, [seed]) for seed in seeds), strict=True)
    return sum(taken), [digest for (digest,) in digests]


def in_one_go(wanted, seeds):
    return run(wanted, 1, seeds)


def in_two(pool, work, wanted):
    (first, ends), (second, others) = pool.map(work, [wanted] * 2, [SEEDS[:4], SEEDS[4:]])
    return np.array([max(first[0], second[0]), first[1] + second[1]]), ends + others


def launches(wanted, seeds):
    """Of the tenth step; and what the backend holds, bytes."""
    counted = []
    run = CpuBackend.run

    def noted(self, *launch):
        counted.append(launch)
        run(self, *launch)

    CpuBackend.run = noted
    try:
        with gpusim.Simulation(wanted, "cpu", threads=1, seed=seeds) as simulation:
            simulation.step(9)
            counted.clear()
            simulation.step()
            return len(counted), on_backend(simulation.model) * len(seeds)
    finally:
        CpuBackend.run = run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", nargs="+", type=int, default=[16, 24, 32])
    parser.add_argument("--until", default="12 h")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("n: s on the clock, s of the processor, each against apart")
    with ProcessPoolExecutor(2) as pool:
        for edge in arguments.edges:
            wanted = scenario(edge, arguments.until)
            ways = {
                "apart": partial(in_two, pool, one_by_one, wanted),
                "together": partial(run, wanted, 2, SEEDS),
                "by halves": partial(in_two, pool, in_one_go, wanted),
            }
            best, ends = {name: np.full(2, np.inf) for name in ways}, set()
            for _ in range(arguments.rounds):
                for name, way in ways.items():
                    taken, digests = way()
                    best[name] = np.minimum(best[name], taken)
                    ends.add(tuple(digests))
            assert len(ends) == 1, "other bits"
            for name, (clock, processor) in best.items():
                gain = best["apart"] / best[name]
                print(f"{edge:4} {name:10} {clock:7.2f} ({gain[0]:.2f}) {processor:7.2f} ({gain[1]:.2f})", flush=True)
            (alone, size), (all_of_them, _) = launches(wanted, SEEDS[:1]), launches(wanted, SEEDS)
            print(f"{edge:4} launches of one {alone}, of all {all_of_them}; {size / 1e6:.1f} MB each", flush=True)


if __name__ == "__main__":
    main()
