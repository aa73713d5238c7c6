"""Large colonies of cells that divide and push: how round they are, and how fast their radius grows.

    PYTHONPATH=tests python tests/validation/colonies.py [--folder results/colonies] [--seeds 4]

prints the figures of docs/validation.md. Finished runs are kept in the folder and not repeated, unless the first steps
of a run have another digest than those of the stored run.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gpusim
from gpusim.record.files import write_text
from gpusim.verification.growth import COLONY, in_cones

REACHES = (2, 3, 4, 10)
"""Voxels."""
SIZES = (20_000, 100_000)
"""Cells at which the shape is taken."""
RATE, STEP = 0.002, 10.0
"""Of a division, 1/min; rule step, min."""
_FIRST = 4
"""Steps whose digest tells whether a stored run is of the present program."""


@dataclass(frozen=True)
class Colony:
    """One run.

    Attributes:
        cones: by number of cells, radii in cones about axes, face diagonals and body diagonals, voxels.
        minutes, cells: over time.
    """

    cones: dict[int, tuple[float, float, float]]
    minutes: list[float]
    cells: list[int]


def grow(reach: int, seed: int, sizes: Sequence[int] = SIZES, n: int = 85, kept: Path | None = None) -> Colony:
    """Grow a colony to the last of some sizes, on n^3 voxels; `kept`: the file that stores the run."""
    text = COLONY.format(n=n, step=STEP, rate=RATE, reach=20 * reach, radius=100)
    with gpusim.Simulation(gpusim.Scenario.parse(text), "cpu", threads=1, seed=seed) as simulation:
        simulation.step(_FIRST)
        digest = simulation.digest()
        if kept is not None and kept.exists():
            stored = json.loads(kept.read_text(encoding="utf-8"))
            if stored.pop("digest") == digest and sorted(map(int, stored["cones"])) == sorted(sizes):
                return Colony({int(size): tuple(radii) for size, radii in stored.pop("cones").items()}, **stored)
        colony = Colony({}, [], [])
        for size in sizes:
            while simulation.count("tumour") < size:
                simulation.step(4)
                colony.minutes.append(simulation.minutes)
                colony.cells.append(simulation.count("tumour"))
            colony.cones[size] = in_cones(simulation.tissue == 1)
        faces = [simulation.tissue.take(side, axis) for axis in range(3) for side in (0, -1)]
        assert not any(face.any() for face in faces), "the colony has met a side of the lattice"
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps({"digest": digest} | vars(colony)))
    return colony


def anisotropy(colonies: Sequence[Colony], size: int) -> tuple[float, float]:
    """Radius along axes over that along face diagonals, and over that along body diagonals: of means over colonies."""
    axes, faces, bodies = np.mean([colony.cones[size] for colony in colonies], axis=0)
    return float(axes / faces), float(axes / bodies)


def speed(colony: Colony, reach: int, first: int) -> tuple[float, float, float]:
    """Growth of the radius since there were `first` cells, and that in theory, voxels per 1 / rate; share off a line.

    In theory, dR/dt = rate r (1 - r / R + r^2 / (3 R^2)), because cells at most r deep divide.
    """
    t, cells = np.array(colony.minutes), np.array(colony.cells)
    late = cells >= first
    t, radii = t[late] * RATE, (3 * cells[late] / (4 * np.pi)) ** (1 / 3)
    expected, by = radii[0], 1e-3
    for _ in range(round((t[-1] - t[0]) / by)):
        expected += by * reach * (1 - reach / expected + reach**2 / (3 * expected**2))
    line = np.polyfit(t, radii, 1)
    off = np.abs(np.polyval(line, t) - radii).max() / (radii[-1] - radii[0])
    span = t[-1] - t[0]
    return float((radii[-1] - radii[0]) / span), float((expected - radii[0]) / span), float(off)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what has not been run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results/colonies"))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--voxels", type=int, default=85)
    given = parser.parse_args(arguments)
    sizes = sorted(given.sizes)
    for reach in REACHES:
        colonies = []
        for seed in range(given.seeds):
            kept = given.folder / f"reach-{reach}-seed-{seed}.json"
            colonies.append(grow(reach, seed, sizes, given.voxels, kept))
        for size in sizes:
            face, body = anisotropy(colonies, size)
            print(f"reach {reach}, {size:,} cells: axes / face diagonals {face:.4f}, axes / body diagonals {body:.4f}")
        found, expected, off = np.mean([speed(colony, reach, sizes[0]) for colony in colonies], axis=0)
        print(
            f"reach {reach}, {sizes[0]:,} to {sizes[-1]:,} cells: radius grows by {found:.3f} voxels per 1 / rate, "
            f"theory {expected:.3f}; {off:.2%} off a line",
            flush=True,
        )


if __name__ == "__main__":
    main()
