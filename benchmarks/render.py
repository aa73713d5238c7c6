"""A picture of 256^3 voxels, drawn in software: seconds on the clock and of the processor, and the largest memory.

    python benchmarks/render.py [--voxels 256]

The whole of it: heat from cells and cytokines, surfaces, the ray cast of the volume, the writing, the PNG. The
moment is made up: a tumour of two thirds of the lattice's width, with a core, a front, vessels and immune cells.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

import gpusim
from gpusim.viz.moment import Moment
from gpusim.viz.render import save_picture
from gpusim.viz.scene import Look


def moment(n: int) -> Moment:
    """A tumour in a lattice of n^3 voxels, on the fields of cold-to-hot."""
    states = ["empty", "healthy", "tumour", "necrotic", "vessel", "infected", "none", "ctl", "nk"]
    random = np.random.default_rng(1)
    z, y, x = np.ogrid[:n, :n, :n]
    middle = (n - 1) / 2
    distance = np.sqrt((x - middle) ** 2 + (y - middle) ** 2 + (z - middle) ** 2).astype(np.float32) / (n / 3)
    tissue = np.ones((n, n, n), np.uint8)
    tissue[distance < 1] = 2
    tissue[(distance > 0.55) & (distance < 0.6)] = 5
    tissue[distance < 0.4] = 3
    for _ in range(12):
        row, column = random.integers(0, n - 3, 2)
        tissue[:, row : row + 3, column : column + 3] = 4
    immune = np.full((n, n, n), 6, np.uint8)
    immune.reshape(-1)[random.integers(0, n**3, n**3 // 400)] = random.integers(7, 9, n**3 // 400)
    field = np.exp(-((distance - 1) ** 2) * 20)
    document = gpusim.Scenario.load("cold-to-hot").document
    return Moment(document, tissue, immune, lambda name: field, states, 20.0, 8640.0)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=256, help="along each edge")
    n = parser.parse_args().voxels
    drawn, before = moment(n), peak_bytes()
    wall, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        (shown,) = save_picture(drawn, Path(folder) / "picture.png", Look())
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    cells = int(np.isin(drawn.immune, (7, 8)).sum() + (drawn.tissue == 5).sum())
    print(f"{n}^3 voxels, {cells:,} cells as balls, 1920x1080, thinned {shown.coarse} times")
    print(f"{wall:.1f} s on the clock, {processor:.1f} s of the processor, all threads together")
    print(f"{peak_bytes() / 1e9:.2f} GB at most, {before / 1e9:.2f} GB of it before drawing")


if __name__ == "__main__":
    main()
