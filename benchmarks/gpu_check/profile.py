"""One step of the full scenario and one check between a profiler's marks, for Nsight Compute.

ncu --profile-from-start off ... python benchmarks/gpu_check/profile.py [EDGE]
"""

import sys

import cupy

import gpusim


def main():
    """Two steps unprofiled (the first runs multigrid in full), then one profiled."""
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    changes = {"grid.shape": [edge] * 3, "tissue.shapes.tumour.radius": f"{6 * edge} um"}
    simulation = gpusim.Simulation(gpusim.Scenario.load("benchmarks/full.yaml", changes), "cuda")
    simulation.step(2)
    cupy.cuda.profiler.start()
    simulation.step()
    simulation.check()
    cupy.cuda.profiler.stop()


if __name__ == "__main__":
    main()
