"""One lattice in one process, and cut into slabs for several.

python benchmarks/slabs.py                  # one process, then two ranks and four; `... 2 3` for others

A step of `cold-to-hot` on 64 x 64 x 128 voxels, one thread a process, the least of three stretches of four: by the
clock, and the first rank's processor time in kernels against an even share of that of one process. The clock tells
something only where each rank has an idle core; what kernels take more than their share (halos are stepped
twice) hardly depends on that.
"""

import subprocess
import sys
import time

import gpusim
from gpusim.backends.cpu import CpuBackend

SHAPE = [64, 64, 128]
STEPS = 4


def step_seconds(backend: str) -> None:
    """Print a digest, then seconds a step by the clock and in kernels."""
    in_kernels = 0.0
    run = CpuBackend.run

    def timed(self, *launch):
        nonlocal in_kernels
        begun = time.thread_time()
        run(self, *launch)
        in_kernels += time.thread_time() - begun

    CpuBackend.run = timed
    best, least = float("inf"), float("inf")
    scenario = gpusim.Scenario.load("cold-to-hot", {"grid.shape": SHAPE})
    with gpusim.Simulation(scenario, backend, threads=1) as simulation:
        simulation.step(2)
        for _ in range(3):
            in_kernels, before = 0.0, simulation.seconds
            simulation.step(STEPS)
            best, least = min(best, simulation.seconds - before), min(least, in_kernels)
        print(simulation.digest()[:16], best / STEPS, least / STEPS)


def on_ranks(ranks: int) -> tuple[str, float, float]:
    command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    backend = "slabs:cpu" if ranks > 1 else "cpu"
    done = subprocess.run([*command, sys.executable, __file__, backend], capture_output=True, text=True, check=True)
    digest, clock, kernels = done.stdout.split()
    return digest, float(clock), float(kernels)


def main(counts: list[int]) -> None:
    print("ranks, s a step, s of it in the kernels of one rank, of an even share, digest")
    _, _, alone = on_ranks(1)
    for ranks in (1, *counts):
        digest, clock, kernels = on_ranks(ranks)
        print(f"{ranks:5} {clock:8.3f} {kernels:8.4f} {kernels * ranks / alone:6.2f}  {digest}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] in (["cpu"], ["slabs:cpu"]):
        step_seconds(sys.argv[1])
    else:
        main([int(argument) for argument in sys.argv[1:]] or [2, 4])
