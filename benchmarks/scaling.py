"""Time per voxel from 32^3 to 256^3, of explicit and of implicit steps, in one run.

    python benchmarks/scaling.py [--edges 32 64 128 192 256] [--backend cpu]

Two fields each: explicit ones in 8 stages (2,000 um^2/min), implicit ones (1e5 um^2/min) by five V-cycles, half of
the voxels with uptake. The lattices take turns; of each the best step, on the cpu backend by the time that the
process spends on the cores, memory stalls included, so that others on the machine count less.
"""

import argparse

import gpusim

FIELDS = 2
UPTAKE = {"explicit": {}, "implicit": {"sink": {"uptake": {f"f{i}": "10 /min" for i in range(FIELDS)}}}}
DIFFUSION = {"explicit": "2000 um^2/min", "implicit": "1e5 um^2/min"}


def simulation(solver, edge, backend):
    field = {"unit": "ng/mL", "diffusion": DIFFUSION[solver], "decay": "0.01 /min", "initial": 1, "solver": solver}
    states = UPTAKE[solver]
    sinks = {"sinks": {"kind": "everywhere", "state": "sink", "fraction": 0.5}} if states else {}
    document = {
        "grid": {"shape": [edge] * 3},
        "time": {"step": {"field": "1 min"}},
        "fields": {f"f{i}": field for i in range(FIELDS)},
        "states": states,
        "tissue": {"shapes": sinks},
        "record": {"every": "1 day"},
    }
    return gpusim.Simulation(gpusim.Scenario.parse("grid: {shape: [1, 1, 1]}").with_(**document), backend)


def measure(solver, edges, backend, rounds):
    simulations = {edge: simulation(solver, edge, backend) for edge in edges}
    best = dict.fromkeys(edges, float("inf"))
    for _ in range(rounds):
        for edge, sim in simulations.items():
            repeats = max(1, (64 // edge) ** 3)
            seconds = sim.backend.seconds(lambda sim=sim, repeats=repeats: sim.step(repeats)) / repeats
            best[edge] = min(best[edge], seconds)
    per_voxel = {edge: 1e9 * seconds / (FIELDS * edge**3) for edge, seconds in best.items()}
    lowest = min(per_voxel.values())
    for edge, found in per_voxel.items():
        print(
            f"{solver}  {edge:4}^3  {found:7.2f} ns a voxel and field  {found / lowest:5.2f} of the lowest", flush=True
        )
    for sim in simulations.values():
        sim.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", nargs="+", type=int, default=[32, 64, 96, 128, 192, 256])
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    for name in DIFFUSION:
        measure(name, arguments.edges, arguments.backend, arguments.rounds)
