"""cold-to-hot against NumPy, array by array and bit by bit after each step.

python benchmarks/gpu_check/smoke.py [--backend cuda] [--voxels 48] [--steps 12]
"""

import argparse
import os
import sys
import time

import numpy as np

import gpusim
from gpusim.backends import create


def main():
    """Step both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default=os.environ.get("B", "cuda"))
    parser.add_argument("--voxels", type=int, default=48)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    backend = create(arguments.backend)
    print(f"backend {backend.name}, its kernels made or found in {time.perf_counter() - begun:.1f} s")
    changes = {"grid.shape": [arguments.voxels] * 3}
    if arguments.voxels < 48:
        changes["tissue.shapes.tumour.radius"] = f"{5 * arguments.voxels} um"
    scenario = gpusim.Scenario.load("cold-to-hot", changes)
    here, reference = gpusim.Simulation(scenario, backend), gpusim.Simulation(scenario, "numpy")
    different = 0
    for step in range(arguments.steps + 1):
        if step:
            here.step()
            reference.step()
        same = here.digest() == reference.digest()
        different += not same
        print(f"step {step:3} {here.digest()[:16]} {reference.digest()[:16]} {'equal' if same else 'DIFFERENT'}")
        if not same:
            explain(here, reference)
    for what in ("fired", "counts", "body"):
        different += getattr(here, what) != getattr(reference, what)
    different += here.totals() != reference.totals()
    verdict = f"FAIL: {different} digests and sums are different" if different else "PASS"
    print(f"SMOKE {verdict} ({arguments.voxels}^3, {arguments.steps} steps, {backend.name} against numpy)")
    sys.exit(different > 0)


def explain(here, reference):
    """Print where two states are different."""
    for name, values in {**here.fields, "tissue": here.tissue, "immune": here.immune}.items():
        expected = reference.site.array(name)
        wrong = values != expected
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            size = np.abs(expected[wrong])
            print(f"    {name}: {wrong.sum()} of {wrong.size} voxels, first at z, y, x = {at}: found {values[at]!r}, ")
            print(f"        expected {expected[at]!r}; sizes {size.min():.3g} to {size.max():.3g}")
    for name, value in here.body.items():
        if value != reference.body[name]:
            print(f"    body {name}: found {value!r}, expected {reference.body[name]!r}")


if __name__ == "__main__":
    main()
