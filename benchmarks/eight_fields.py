"""One simulated minute of eight fields, against locally one-dimensional sweeps at dt = 0.01 min.

    python benchmarks/eight_fields.py [--voxels 128] [--error-voxels 40] [--backend cpu]

Needs numba and py-pde besides gpusim. The yardstick is the scheme that the field uses most: implicit in one
dimension at a time (Thomas), then sources and uptake implicitly by themselves, 100 times a minute.
py-pde and a plain loop in numba step explicitly, each field by itself at its own limit of stability, which is the
best for them: a step is timed, and counted as often as the fields need it in a minute.
Errors are against a float64 explicit reference at an eighth of the stability limit, after 10 minutes
in which the cells change once, as the largest difference over the largest concentration.
"""

import argparse
import math
import time

import numba
import numpy as np
import pde

import gpusim

SPACING = 20.0
# name: diffusion um^2/min, decay 1/min
FIELDS = {
    "oxygen": (1e5, 0.1),
    "il12": (6000.0, 0.003),
    "ifng": (3000.0, 0.01),
    "ifn1": (1200.0, 0.01),
    "chemokine": (600.0, 0.0014),
    "antigen": (100.0, 0.002),
    "collagenase": (30.0, 0.01),
    "virus": (1.4766, 0.0029),
}
SLOW = ("antigen", "collagenase", "virus")
SECRETION, UPTAKE, PERMEABILITY, BLOOD = 1.0, 10.0, 10.0, 38.0


def scenario(voxels):
    fields = {
        name: {"unit": "ng/mL", "diffusion": f"{d} um^2/min", "decay": f"{k} /min"} for name, (d, k) in FIELDS.items()
    }
    slow = [name for name in FIELDS if name != "oxygen"]
    document = {
        "name": "eight-fields",
        "grid": {"shape": [voxels] * 3, "spacing": f"{SPACING} um"},
        "time": {"until": "1000 h", "step": {"field": "1 min"}},
        "record": {"every": "1000 h"},
        "fields": fields,
        "states": {
            "tumour": {"uptake": {"oxygen": f"{UPTAKE} /min"}},
            "infected": {"uptake": {"oxygen": f"{UPTAKE} /min"}, "secretion": dict.fromkeys(slow, SECRETION)},
            "vessel": {"exchange": {"oxygen": {"permeability": f"{PERMEABILITY} /min", "blood": BLOOD}}},
        },
        "tissue": {
            "shapes": {
                "tumour": {"kind": "sphere", "state": "tumour", "radius": f"{voxels * SPACING / 3} um"},
                "infected": {"kind": "everywhere", "state": "infected", "into": "tumour", "fraction": 0.05},
                "vessels": {"kind": "vessels", "state": "vessel", "into": "empty", "distance": "200 um"},
            }
        },
    }
    return gpusim.Scenario.parse("name: eight-fields\ngrid: {shape: [1, 1, 1]}").with_(**document)


def exchange_tables(model):
    """Production and loss by cells alone (decay apart), and decay: float64 [F, states], [F]."""
    decay = np.array([k for _, k in FIELDS.values()])
    return model.exchange.production[:, :, 0], model.exchange.loss[:, :, 0] - decay[:, None], decay


@numba.njit(parallel=True)
def lod_sweep(c, tissue, diffusion, decay, production, loss, dt, dx):
    """One step of all fields [F, z, y, x]: x, y, z by Thomas, a third of the decay in each, then cells."""
    fields, nz, ny, nx = c.shape
    for f in range(fields):
        a = diffusion[f] * dt / dx**2
        third = decay[f] * dt / 3
        for axis in range(3):
            n = (nx, ny, nz)[axis]
            # Thomas coefficients of the line, the same for all lines of the axis.
            upper, denominator = np.empty(n, c.dtype), np.empty(n, c.dtype)
            for i in range(n):
                faces = (i > 0) + (i < n - 1)
                diagonal = 1 + third + a * faces
                denominator[i] = diagonal - (a * upper[i - 1] if i > 0 else 0.0)
                upper[i] = a / denominator[i]
            if axis == 0:
                for z in numba.prange(nz):
                    for y in range(ny):
                        row = c[f, z, y]
                        row[0] /= denominator[0]
                        for x in range(1, nx):
                            row[x] = (row[x] + a * row[x - 1]) / denominator[x]
                        for x in range(nx - 2, -1, -1):
                            row[x] += upper[x] * row[x + 1]
            elif axis == 1:
                for z in numba.prange(nz):
                    plane = c[f, z]
                    for x in range(nx):
                        plane[0, x] /= denominator[0]
                    for y in range(1, ny):
                        for x in range(nx):
                            plane[y, x] = (plane[y, x] + a * plane[y - 1, x]) / denominator[y]
                    for y in range(ny - 2, -1, -1):
                        for x in range(nx):
                            plane[y, x] += upper[y] * plane[y + 1, x]
            else:
                for y in numba.prange(ny):
                    for x in range(nx):
                        c[f, 0, y, x] /= denominator[0]
                    for z in range(1, nz):
                        for x in range(nx):
                            c[f, z, y, x] = (c[f, z, y, x] + a * c[f, z - 1, y, x]) / denominator[z]
                    for z in range(nz - 2, -1, -1):
                        for x in range(nx):
                            c[f, z, y, x] += upper[z] * c[f, z + 1, y, x]
        for z in numba.prange(nz):
            for y in range(ny):
                for x in range(nx):
                    s = tissue[z, y, x]
                    c[f, z, y, x] = (c[f, z, y, x] + dt * production[f, s]) / (1 + dt * loss[f, s])


@numba.njit(parallel=True)
def explicit_loop(c, out, tissue, a, dt, decay, production, loss):
    """A plain explicit step of one field [z, y, x]."""
    nz, ny, nx = c.shape
    for z in numba.prange(nz):
        for y in range(ny):
            for x in range(nx):
                here = c[z, y, x]
                total = c[z, y, max(x - 1, 0)] + c[z, y, min(x + 1, nx - 1)] - 6 * here
                total += c[z, max(y - 1, 0), x] + c[z, min(y + 1, ny - 1), x]
                total += c[max(z - 1, 0), y, x] + c[min(z + 1, nz - 1), y, x]
                s = tissue[z, y, x]
                out[z, y, x] = here + a * total + dt * (production[s] - (loss[s] + decay) * here)


def explicit_steps():
    """How many explicit steps the fields take in a minute, each at its own limit of stability."""
    return sum(math.ceil(6 * diffusion / SPACING**2) for diffusion, _ in FIELDS.values())


def pde_step(tissue, production, loss, decay, steps=10):
    """Seconds of an explicit step of one field by py-pde (numba, float64), exchange by cells included."""
    grid = pde.CartesianGrid([[0, n * SPACING] for n in tissue.shape], tissue.shape)
    here = pde.ScalarField(grid, 0.0)
    constants = {
        "production": pde.ScalarField(grid, production[tissue]),
        "loss": pde.ScalarField(grid, loss[tissue] + decay),
    }
    diffusion = FIELDS["oxygen"][0]
    equation = pde.PDE(
        {"c": f"{diffusion} * laplace(c) + production - loss * c"}, bc={"derivative": 0}, consts=constants
    )
    dt = SPACING**2 / (6 * diffusion) / 2
    stepper = pde.solvers.EulerSolver(equation, backend="numba").make_stepper(here, dt)
    stepper(here, 0.0, dt)
    return timed(lambda: stepper(here, 0.0, steps * dt), 3) / steps


def second_tissue(tissue, model):
    """The change half-way: every infected cell of one half is lysed."""
    changed = tissue.copy()
    half = np.s_[:, :, : tissue.shape[2] // 2]
    infected = model.states.number("infected")
    changed[half][changed[half] == infected] = 0
    return changed


def reference(model, tissue, minutes):
    production, loss, decay = exchange_tables(model)
    c = np.zeros((len(FIELDS), *tissue.shape))
    for f, (diffusion, _) in enumerate(FIELDS.values()):
        dt = min(SPACING**2 / (6 * diffusion) / 8, 0.002)
        steps = int(np.ceil(minutes / 2 / dt))
        dt = minutes / 2 / steps
        here, spare = c[f], np.empty_like(c[f])
        for cells in (tissue, second_tissue(tissue, model)):
            for _ in range(steps):
                explicit_loop(here, spare, cells, diffusion * dt / SPACING**2, dt, decay[f], production[f], loss[f])
                here, spare = spare, here
        c[f] = here
    return c


def ours(backend, voxels, minutes, solvers=None):
    loaded = scenario(voxels)
    if solvers:
        loaded = loaded.with_(fields={name: {"solver": solver} for name, solver in solvers.items()})
    simulation = gpusim.Simulation(loaded, backend)
    simulation.step(minutes // 2)
    tissue = second_tissue(simulation.tissue, simulation.model)
    simulation.backend.write(simulation.site.stack.state.tissue.cells[0], tissue)
    simulation.step(minutes - minutes // 2)
    return np.stack(list(simulation.fields.values()))


def lod(model, tissue, minutes, dt=0.01):
    production, loss, decay = (t.astype(np.float64) for t in exchange_tables(model))
    diffusion = np.array([d for d, _ in FIELDS.values()])
    c = np.zeros((len(FIELDS), *tissue.shape))
    for cells in (tissue, second_tissue(tissue, model)):
        for _ in range(round(minutes / 2 / dt)):
            lod_sweep(c, cells, diffusion, decay, production, loss, dt, SPACING)
    return c


def errors(backend, voxels, minutes=10):
    model = gpusim.Simulation(scenario(voxels), "numpy").model
    tissue = model.initial.tissue
    exact = reference(model, tissue, minutes)
    top = exact.reshape(len(FIELDS), -1).max(axis=1)
    results = {
        "auto": ours(backend, voxels, minutes),
        "slow implicit2": ours(backend, voxels, minutes, dict.fromkeys(SLOW, "implicit2")),
        "all implicit": ours(backend, voxels, minutes, dict.fromkeys(FIELDS, "implicit")),
        "all implicit2": ours(backend, voxels, minutes, dict.fromkeys(FIELDS, "implicit2")),
        "oxygen steady": ours(backend, voxels, minutes, {"oxygen": "steady"}),
        "LOD 0.01 min": lod(model, tissue, minutes),
        "LOD 0.001 min": lod(model, tissue, minutes, 0.001),
    }
    print(f"\nerror after {minutes} min at {voxels}^3, largest difference / largest concentration")
    print(f"{'':16}" + "".join(f"{name:>12}" for name in FIELDS))
    for name, found in results.items():
        worst = np.abs(found - exact).reshape(len(FIELDS), -1).max(axis=1) / top
        print(f"{name:16}" + "".join(f"{e:12.1e}" for e in worst))


def timed(action, repeats):
    action()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds))


def times(backend, voxels):
    print(f"\none simulated minute of {len(FIELDS)} fields at {voxels}^3, median of 5")
    mine = {}
    for name, solvers in (
        ("auto", None),
        ("auto, slow ones implicit2", dict.fromkeys(SLOW, "implicit2")),
        ("all implicit", dict.fromkeys(FIELDS, "implicit")),
        ("all implicit2", dict.fromkeys(FIELDS, "implicit2")),
        ("auto, oxygen steady", {"oxygen": "steady"}),
    ):
        loaded = scenario(voxels)
        if solvers:
            loaded = loaded.with_(fields={n: {"solver": s} for n, s in solvers.items()})
        with gpusim.Simulation(loaded, backend) as simulation:
            if name == "auto":
                chosen = zip(FIELDS, simulation.site.transport.choices, strict=True)
                print("auto: " + ", ".join(f"{n} {c.solver} {c.passes}" for n, c in chosen))
            simulation.step(2)

            def step(simulation=simulation):
                simulation.step()
                simulation.totals()

            mine[name] = timed(step, 5)
            model = simulation.model
            cells = simulation.tissue
    production, loss, decay = (t.astype(np.float32) for t in exchange_tables(model))
    diffusion = np.array([d for d, _ in FIELDS.values()], np.float32)
    c = np.zeros((len(FIELDS), voxels, voxels, voxels), np.float32)
    sweep = timed(
        lambda: lod_sweep(c, cells, diffusion, decay, production, loss, np.float32(0.01), np.float32(SPACING)), 5
    )
    rate = c.size / sweep / 1e6
    print(f"LOD in numba, float32: {sweep * 100:.1f} s (100 sweeps; {rate:.0f} million voxel-field updates/s)")
    here, spare = c[0], c[1]
    loop = timed(
        lambda: explicit_loop(
            here, spare, cells, np.float32(0.1), np.float32(0.01), *(t[0] for t in (decay, production, loss))
        ),
        5,
    )
    library = pde_step(cells, *(t[0].astype(np.float64) for t in (production, loss, decay)))
    steps = explicit_steps()
    print(f"explicit: {steps} steps of a field; in numba, float32: {steps * loop:.1f} s ({loop * 1e3:.1f} ms a step)")
    print(f"explicit by py-pde {pde.__version__}, float64: {steps * library:.1f} s ({library * 1e3:.1f} ms a step)")
    for name, seconds in mine.items():
        against = (100 * sweep / seconds, steps * loop / seconds, steps * library / seconds)
        print(f"gpusim {backend}, {name}: {seconds:.2f} s; times less than LOD, numba, py-pde: ", end="")
        print(", ".join(f"{ratio:.0f}" for ratio in against))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=128)
    parser.add_argument("--error-voxels", type=int, default=40)
    parser.add_argument("--backend", default="cpu")
    arguments = parser.parse_args()
    times(arguments.backend, arguments.voxels)
    errors(arguments.backend, arguments.error_voxels)
