"""Many small domains: as one stack in one process, against as many simulations in two processes.

python benchmarks/replicates.py

Eight replicates of n^3 voxels, 12 h of `cold-to-hot` without its body's coupling being told apart: one
lattice of n x n x 8n with two threads (what a batch axis could reach at best) against two processes of one
thread with four simulations each. Times are of the steps alone, so that starting up counts for neither.
"""

from concurrent.futures import ProcessPoolExecutor

import gpusim

REPLICATES = 8
SCENARIO = "cold-to-hot"


def scenario(edge: int, stacked: int) -> gpusim.Scenario:
    radius = f"{edge * 20 * 0.4:g} um"
    shapes = {"tumour": {"kind": "cylinder", "start": ["0 um"] * 3, "end": ["0 um"] * 3, "radius": radius}}
    middle = f"{edge * 10} um"
    shapes["tumour"] |= {"start": [middle, middle, "0 um"], "end": [middle, middle, f"{edge * 20 * stacked} um"]}
    changes = {"grid.shape": [edge, edge, edge * stacked], "time.until": "12 h"}
    base = gpusim.Scenario.load(SCENARIO, changes)
    return base.with_(tissue={"shapes": {"tumour": {**shapes["tumour"], "state": "tumour"}}})


def run(edge: int, stacked: int, threads: int, seed: int) -> float:
    """Seconds of the steps of one simulation."""
    with gpusim.Simulation(scenario(edge, stacked), "cpu", threads=threads, seed=seed) as simulation:
        simulation.run()
        return simulation.seconds


def several(edge: int, seeds: range) -> float:
    return sum(run(edge, 1, 1, seed) for seed in seeds)


def main() -> None:
    print(f"{REPLICATES} replicates of n^3: n, apart in two processes (s), stacked with two threads (s), apart/stacked")
    with ProcessPoolExecutor(2) as pool:
        for edge in (16, 24, 32):
            apart, stacked = [], []
            for _ in range(3):
                halves = pool.map(several, [edge] * 2, [range(4), range(4, 8)])
                apart.append(max(halves))
                stacked.append(run(edge, REPLICATES, 2, 0))
            print(f"{edge:4} {min(apart):8.2f} {min(stacked):8.2f} {min(apart) / min(stacked):6.2f}", flush=True)


if __name__ == "__main__":
    main()
