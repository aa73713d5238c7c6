"""What flow costs: time of a time step with four advected fields, relative to the same step without flow.

    python benchmarks/flow.py [--voxels 96] [--velocities 1 10 20 40 60] [--hours 3] [--backend cpu] [--threads 1]

First the full scenario (full.yaml), and the same with flow (flowing.yaml). Then four fields alone, with D of 25 and 30
um^2/min in two tissue states, mobile cells and a rule, in steps of 1 min, with flow along x at the stated velocity
(um/min). The pressure is solved once an hour, which is part of the time. The simulations with and without flow take
turns, hour by hour; each has its best hour.
"""

import argparse
import time
from pathlib import Path

import gpusim

FOLDER = Path(__file__).parent
CONDUCTIVITY, SPACING = 256, 20


def fields_alone(voxels, velocity=None):
    """A ball of a second state in the tissue, and a fiftieth of the voxels with a mobile cell."""
    flows = velocity is not None
    fields = {
        f"f{i}": {
            "unit": "ng/mL",
            "diffusion": {"default": "30 um^2/min", "ball": "25 um^2/min"},
            "decay": "1e-3 /min",
            "initial": 1,
            "advection": flows,
        }
        for i in range(4)
    }
    flow = {}
    if flows:
        high = f"{velocity * voxels * SPACING / CONDUCTIVITY} mmHg"
        fields["pressure"] = {"unit": "mmHg", "boundary": {"x_low": {"value": high}, "x_high": {"value": "0 mmHg"}}}
        conductivity = {"default": f"{CONDUCTIVITY} um^2/mmHg/min", "ball": f"{CONDUCTIVITY / 1.1} um^2/mmHg/min"}
        flow = {"flow": {"field": "pressure", "conductivity": conductivity, "every": "1 h"}}
    return gpusim.Scenario.parse("grid: {shape: [1, 1, 1]}\ntime: {until: 1 h}").with_(
        grid={"shape": [voxels] * 3, "spacing": f"{SPACING} um"},
        time={"until": "1000 h", "step": {"field": "1 min", "rules": "10 min"}},
        record={"every": "1000 h"},
        fields=fields,
        states={"ball": {}, "cell": {"layer": "immune", "motility": {"speed": "4 um/min"}}},
        rules={"death": {"transition": "ball -> empty", "rate": "1e-3 /h"}},
        tissue={
            "shapes": {
                "ball": {"kind": "sphere", "state": "ball", "radius": f"{voxels * SPACING * 0.3} um"},
                "cells": {"kind": "everywhere", "state": "cell", "fraction": 0.02},
            }
        },
        **flow,
    )


def an_hour(simulation):
    """Seconds per time step of the next hour."""
    steps = round(60 / simulation.model.step)
    begun = time.perf_counter()
    simulation.step(steps)
    simulation.counts  # noqa: B018 - a GPU is waited for
    return (time.perf_counter() - begun) / steps


def main():
    """Print a row for the full scenario, and for each velocity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=96)
    parser.add_argument("--velocities", type=float, nargs="*", default=[1, 10, 20, 40, 60])
    parser.add_argument("--hours", type=int, default=3)
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    shape = {"grid.shape": [arguments.voxels] * 3}
    cases = {"full": [gpusim.Scenario.load(FOLDER / f"{name}.yaml", shape) for name in ("full", "flowing")]}
    cases |= {
        f"{v:g}": [fields_alone(arguments.voxels), fields_alone(arguments.voxels, v)] for v in arguments.velocities
    }
    print(f"{arguments.voxels}^3 voxels, {arguments.backend}, {arguments.threads} thread(s); ms per time step")
    print("velocity  without  with flow  ratio")
    for name, scenarios in cases.items():
        pair = [gpusim.Simulation(each, arguments.backend, threads=arguments.threads) for each in scenarios]
        for each in pair:
            an_hour(each)
        hours = [[an_hour(each) for each in pair] for _ in range(arguments.hours)]
        without, with_flow = map(min, zip(*hours, strict=True))
        print(f"{name:8} {1e3 * without:8.2f} {1e3 * with_flow:10.2f} {with_flow / without:6.2f}", flush=True)


if __name__ == "__main__":
    main()
