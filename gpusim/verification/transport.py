"""Diffusion, decay and uptake: problems with solutions on paper."""

from collections.abc import Iterator

import numpy as np

from gpusim.engine.transport.explicit import Method, Scheme, schemes
from gpusim.verification.case import Finding, Machine, at_most, begin_with, near, refinement


def box(shape: list[int], spacing: float, step: str = "1 min", extra: str = "", **field: object) -> str:
    """A scenario of one field `c`, in YAML; `extra` holds further top-level keys."""
    spec = {"unit": "PFU/voxel"} | field
    return f"""
grid: {{shape: {shape}, spacing: {spacing} um}}
time: {{until: 1000 h, step: {{field: {step}}}}}
record: {{every: 1000 h}}
fields: {{c: {spec}}}
{extra}
"""


def point_source(machine: Machine) -> Iterator[Finding]:
    """A point spreads as a Gaussian with variance 2 D t along each axis."""
    spacing, diffusion, minutes = 10.0, 60.0, 15
    extra = "therapies: {dose: {inject: c, amount: 1000 PFU, at: [205 um, 205 um, 205 um]}}"
    with machine.simulate(box([41, 41, 41], spacing, extra=extra, diffusion=f"{diffusion} um^2/min")) as simulation:
        simulation.step(minutes)
        c = simulation.field("c").astype(float)
    offset = (np.arange(41) - 20) * spacing
    variance = 2 * diffusion * minutes
    gaussian = np.exp(-(offset**2) / (2 * variance))
    for axis, name in enumerate("zyx"):
        profile = c.sum(axis=tuple(a for a in range(3) if a != axis))
        # Explicit steps spread the second moment by 2 D dt a step exactly.
        found = (profile * offset**2).sum() / profile.sum()
        yield near(f"variance along {name}, um^2", variance, found, relative=1e-4)
        # The kernel on a lattice differs from the Gaussian by dx^2 / (16 D t) = 0.7% of its height.
        yield at_most(
            f"profile along {name}, gap to the Gaussian", 0.01, np.abs(profile / profile.max() - gaussian).max()
        )


LENGTH, DIFFUSION, DECAY, MINUTES = 320.0, 100.0, 0.2, 16.0
_WAVE_NUMBER = np.pi / LENGTH


def _cosine(
    machine: Machine, cells: int, step: float, diffusion: float = DIFFUSION, minutes: float = MINUTES
) -> tuple[float, Scheme]:
    """Amplitude to which a cosine mode has decayed, and the scheme that took it there."""
    spacing = LENGTH / cells
    text = box([cells, 1, 1], spacing, f"{step} min", diffusion=f"{diffusion} um^2/min", decay=f"{DECAY} /min")
    mode = np.cos(_WAVE_NUMBER * (np.arange(cells) + 0.5) * spacing)
    with machine.simulate(text) as simulation:
        begin_with(simulation, c=1 + mode)
        simulation.step(round(minutes / step))
        (scheme,) = schemes(simulation.model)
        return 2 * float(np.mean(simulation.field("c")[0, 0].astype(float) * mode)), scheme


def cosine_in_time(machine: Machine) -> Iterator[Finding]:
    """A cosine mode decays as exp(-(D k^2 + decay) t): Heun's steps are of second order in time, stages of first."""
    spacing = LENGTH / 16
    # Stages are even in number, so theirs don't cover steps of half the length in quite the same way.
    for method, diffusion, minutes, order in ((Method.HEUN, DIFFUSION, MINUTES, 2), (Method.STAGES, 2000.0, 4, 1)):
        # On the lattice the mode decays by its own rate; against that, what is left is the error in time.
        rate = diffusion * 2 * (1 - np.cos(_WAVE_NUMBER * spacing)) / spacing**2 + DECAY
        runs = [_cosine(machine, 16, step, diffusion, minutes) for step in (1, 0.5, 0.25)]
        assert all(scheme.method is method for _, scheme in runs)
        found = [amplitude for amplitude, _ in runs]
        yield refinement(f"amplitude, {method.value}, by dt", [np.exp(-rate * minutes)] * 3, found, order, 0.2)


def cosine_in_space(machine: Machine) -> Iterator[Finding]:
    """The stencil is of second order in space."""
    expected, found = [], []
    for cells in (4, 8, 16):
        amplitude, scheme = _cosine(machine, cells, 0.25)
        assert scheme.method is Method.HEUN
        found.append(amplitude)
        # What the scheme would give with no error in space: its amplification factor at the true rate.
        left = Method.HEUN.left(scheme.passes, (DIFFUSION * _WAVE_NUMBER**2 + DECAY) * scheme.time)
        expected.append(left ** (MINUTES / 0.25))
    yield refinement("amplitude, explicit, by dx", expected, found, 2, 0.15)


def implicit_in_time(machine: Machine) -> Iterator[Finding]:
    """`implicit` is of first order in time, `implicit2` of second."""
    cells, spacing, decay, minutes = 32, 20.0, 0.02, 24
    x = (np.arange(cells) + 0.5) / cells
    rate = 800.0 * 2 * (1 - np.cos(np.pi / cells)) / spacing**2 + decay
    for solver, order in (("implicit", 1), ("implicit2", 2)):
        found = []
        for step in (6, 3, 1.5):
            text = box(
                [cells, 1, 1], spacing, f"{step} min", diffusion="800 um^2/min", decay=f"{decay} /min", solver=solver
            )
            with machine.simulate(text) as simulation:
                begin_with(simulation, c=1 + np.cos(np.pi * x))
                simulation.step(round(minutes / step))
                found.append(2 * np.mean(simulation.field("c")[0, 0].astype(float) * np.cos(np.pi * x)))
        yield refinement(f"amplitude, {solver}, by dt", [np.exp(-rate * minutes)] * 3, found, order, 0.25)


def plane_source(machine: Machine) -> Iterator[Finding]:
    """From a plane, a steady field falls as exp(-x / L) with L = sqrt(D / decay)."""
    spacing, length, decay = 20.0, 100.0, 0.05
    # A plane that holds its value: exchange so fast that it is the blood's.
    wall = """
states: {wall: {exchange: {c: {permeability: 1e6 /min, blood: 1}}}}
tissue: {shapes: {wall: {kind: box, state: wall, lower: [0 um, 0 um, 0 um], upper: [20 um, 60 um, 60 um]}}}
"""
    text = box([61, 3, 3], spacing, extra=wall, diffusion=f"{length**2 * decay} um^2/min", decay=f"{decay} /min")
    with machine.simulate(text) as simulation:
        simulation.step(400)
        profile = simulation.field("c")[1, 1].astype(float)
    # On a lattice cosh(dx / L') = 1 + dx^2 / (2 L^2): L' differs from L by dx^2 / (24 L^2) = 0.17%.
    found = -spacing / np.diff(np.log(profile[:30])).mean()
    yield near("decay length at L = 5 dx, um", length, found, relative=0.01)


def sphere_source(machine: Machine) -> Iterator[Finding]:
    """Around a small source, a steady field falls as exp(-r / L) / r."""
    cells, spacing, length, decay = 65, 20.0, 100.0, 0.05
    middle = cells // 2
    source = """
states: {source: {secretion: {c: 1000 PFU/voxel/min}}}
tissue: {shapes: {source: {kind: sphere, state: source, radius: 25 um}}}
"""
    text = box(
        [cells] * 3,
        spacing,
        extra=source,
        diffusion=f"{length**2 * decay} um^2/min",
        decay=f"{decay} /min",
        solver="steady",
        boundary={"all": {"value": 0}},
    )
    with machine.simulate(text) as simulation:
        simulation.step(4)
        c = simulation.field("c").astype(float)
    # Beyond the source and its first few voxels, short of the sides: there ln(r c) is a line.
    far, near_by = np.arange(8, 15), np.arange(5, 9)
    along = {
        "an axis": (far, c[middle, middle, middle + far]),
        "a diagonal": (near_by * np.sqrt(3), c[middle + near_by, middle + near_by, middle + near_by]),
    }
    for name, (distance, values) in along.items():
        found = -spacing / np.polyfit(distance, np.log(values * distance), 1)[0]
        # dx^2 / (24 L^2) as in the plane, and about as much from the lattice's own Green's function.
        yield near(f"decay length along {name}, um", length, found, relative=0.01)


def mass(machine: Machine) -> Iterator[Finding]:
    """With no sinks, 10,000 passes lose nothing; with them, the books balance."""
    extra = "therapies: {dose: {inject: c, amount: 1e6 PFU}}"
    with machine.simulate(box([13, 11, 9], 20, extra=extra, diffusion="400 um^2/min")) as simulation:
        (scheme,) = schemes(simulation.model)
        steps = -(-10_000 // scheme.passes)
        simulation.step(steps)
        yield near(f"amount after {steps * scheme.passes} passes, PFU", 1e6, simulation.totals()["c"], relative=1e-6)
    extra = """
states: {source: {secretion: {c: 3 PFU/voxel/min}}}
tissue: {shapes: {source: {kind: box, state: source, lower: [0 um, 0 um, 0 um], upper: [60 um, 40 um, 20 um]}}}
"""
    for solver, room in (("explicit", 1e-5), ("implicit", 1e-4)):
        text = box([13, 11, 9], 20, extra=extra, diffusion="400 um^2/min", decay="0.5 /min", solver=solver)
        with machine.simulate(text) as simulation:
            simulation.step(60)
            # Six voxels make 3 a minute each; float32 and, implicit, what the cycles leave.
            found = simulation.totals()["c"]
        yield near(f"production / decay, {solver}, PFU", 6 * 3 / 0.5, found, relative=room)


def jump(machine: Machine) -> Iterator[Finding]:
    """Where D jumps from 10,000 to 100, concentration and flux go on, and second order stays."""
    length, d1, d2, k = 320.0, 10000.0, 100.0, 0.1
    l1, l2, half = np.sqrt(d1 / k), np.sqrt(d2 / k), length / 2
    # D c'' = k c in two layers: c = 1 on the left side, no flux on the right.
    slope = d2 / l2 * np.tanh(half / l2) / (d1 / l1)  # of the left solution at the jump, times l1
    at_jump = 1 / (np.cosh(half / l1) + slope * np.sinh(half / l1))
    errors, flux = [], np.nan
    for cells in (32, 64, 128):
        spacing = length / cells
        stroma = f"""
states: {{stroma: {{}}}}
tissue:
  shapes: {{s: {{kind: box, state: stroma, lower: [{half} um, 0 um, 0 um], upper: [{length} um, 99 um, 99 um]}}}}
"""
        text = box(
            [cells, 1, 1],
            spacing,
            extra=stroma,
            solver="steady",
            decay=f"{k} /min",
            diffusion={"default": f"{d1} um^2/min", "stroma": f"{d2} um^2/min"},
            boundary={"x_low": {"value": 1}},
        )
        with machine.simulate(text) as simulation:
            simulation.step(3)
            c = simulation.field("c")[0, 0].astype(float)
        x = (np.arange(cells) + 0.5) * spacing
        left = at_jump * (np.cosh((half - x) / l1) + slope * np.sinh((half - x) / l1))
        right = at_jump * np.cosh((length - x) / l2) / np.cosh(half / l2)
        errors.append(np.abs(c - np.where(x < half, left, right)).max())
        # What passes the jump is all that the right side loses.
        flux = k * c[x > half].sum() * spacing
    yield refinement("largest error by dx", [0.0] * 3, errors, 2, 0.2)
    yield near("flux through the jump, um/min", d2 / l2 * np.tanh(half / l2) * at_jump, flux, relative=0.01)


_ZERO_ORDER = """
states:
  cell: {{uptake: {{c: {{rate: {rate} /min, modulators: [{{field: c, half: {half} mmHg, effect: inhibits}}]}}}}}}
  blood: {{exchange: {{c: {{permeability: 1e6 /min, blood: {outside}}}}}}}
tissue:
  background: {background}
  shapes: {{s: {shape}}}
"""
_OUTSIDE, _USE, _HALF = 38.0, 1.9, 0.05
"""mmHg; mmHg/min; mmHg, far below: the uptake is of zero order."""


def _consuming(
    machine: Machine, shape: list[int], spacing: float, step: float, background: str, region: dict[str, object]
) -> np.ndarray:
    """Steady oxygen where cells use it at `_USE`, float64 [z, y, x]; from full everywhere, in 200 min."""
    extra = _ZERO_ORDER.format(rate=_USE / _HALF, half=_HALF, outside=_OUTSIDE, background=background, shape=region)
    steps = f"{step} min, rules: {step} min"
    text = box(shape, spacing, steps, extra, unit="mmHg", diffusion="1000 um^2/min", initial=_OUTSIDE)
    with machine.simulate(text) as simulation:
        simulation.step(round(200 / step))
        return simulation.field("c").astype(float)


def slab(machine: Machine) -> Iterator[Finding]:
    """Oxygen enters a slab that uses it at a constant rate to the depth sqrt(2 D C0 / q)."""
    spacing, depth = 10.0, np.sqrt(2 * 1000 * _OUTSIDE / _USE)
    blood: dict[str, object] = {"kind": "box", "state": "blood", "lower": ["0 um"] * 3, "upper": ["10 um"] * 3}
    c = _consuming(machine, [35, 1, 1], spacing, 0.05, "cell", blood)[0, 0]
    # c = C0 (1 - x / depth)^2, whose root is a line. Of the uptake, q dt / c is missing by the step, and half / c
    # by the order not quite 0: 0.7% at the lowest c used, and about twice that in the extrapolation.
    used = np.flatnonzero(c > 20)
    slope, start = np.polyfit(used * spacing, np.sqrt(c[used]), 1)
    yield near("depth of oxygen in a slab, um", depth, -start / slope, relative=0.02)
    yield at_most("oxygen at twice the depth, mmHg", _HALF, c[-1])


def sphere_of_cells(machine: Machine) -> Iterator[Finding]:
    """A ball of such cells has no dead core up to the radius sqrt(6 D C0 / q)."""
    spacing, critical = 20.0, np.sqrt(6 * 1000 * _OUTSIDE / _USE)
    # An eighth of the ball, about the corner; outside all is blood.
    for share in (0.8, 1.3):
        radius = share * critical
        cells = round(radius / spacing) + 2
        ball: dict[str, object] = {"kind": "sphere", "state": "cell", "centre": ["0 um"] * 3, "radius": f"{radius} um"}
        c = _consuming(machine, [cells] * 3, spacing, 0.1, "blood", ball)
        if share < 1:
            # The centre has C0 - q R^2 / (6 D). The surface of a ball of voxels lies half a voxel off at the most.
            found = radius * np.sqrt(_OUTSIDE / (_OUTSIDE - c[0, 0, 0]))
            yield near("critical radius, um", critical, found, absolute=spacing / 2)
        else:
            yield at_most(f"oxygen in the core at {share} of it, mmHg", _HALF, c[0, 0, 0])
