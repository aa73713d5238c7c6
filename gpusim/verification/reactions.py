"""Reactions between fields: problems with solutions on paper, and without, by another program's solver."""

from collections.abc import Iterator

import numpy as np
from scipy.integrate import solve_ivp

from gpusim.verification.case import Finding, Machine, begin_with, near, refinement

_VOXEL = """
grid: {{shape: [{cells}, 1, 1], spacing: 20 um}}
time: {{until: 1000 h, step: {{field: {step} min, rules: {step} min}}}}
record: {{every: 1000 h}}
fields:
  a: {{unit: ng/mL, initial: {a}, diffusion: {diffusion_a} um^2/min}}
  b: {{unit: ng/mL, initial: {b}, diffusion: {diffusion_b} um^2/min}}
  c: {{unit: ng/mL}}
reactions:
  binding: {{consumes: {{a: 1, b: 1}}, makes: {{c: 1}}, rate: {rate} mL/ng/min}}
{extra}
"""
_UNBINDING = "  unbinding: {consumes: {c: 1}, makes: {a: 1, b: 1}, rate: 0.05 /min}"


def _text(
    step: float,
    a: float,
    b: float,
    rate: float,
    *,
    cells: int = 1,
    diffusion: tuple[float, float] = (0.0, 0.0),
    extra: str = "",
) -> str:
    return _VOXEL.format(
        step=step, a=a, b=b, rate=rate, cells=cells, diffusion_a=diffusion[0], diffusion_b=diffusion[1], extra=extra
    )


def mass_action(machine: Machine) -> Iterator[Finding]:
    """A + B -> C has a closed solution, which a step finds to second order."""
    rate, minutes = 0.05, 16.0
    for what, a, b in (("equal amounts", 3.0, 3.0), ("unequal amounts", 3.0, 5.0)):
        left = np.exp((b - a) * rate * minutes)
        expected = a / (1 + a * rate * minutes) if a == b else a * (b - a) / (b * left - a)
        found = []
        for step in (4.0, 2.0, 1.0):
            with machine.simulate(_text(step, a, b, rate)) as simulation:
                simulation.step(round(minutes / step))
                found.append(float(simulation.field("a")[0, 0, 0]))
        yield refinement(f"what is left of A, {what}, by dt", [expected] * 3, found, 2, 0.15)


def equilibrium(machine: Machine) -> Iterator[Finding]:
    """A + B <-> C comes to a b / c = its constant of dissociation, with A + C and B + C as they were."""
    rate, a, b = 0.05, 3.0, 5.0
    constant = 0.05 / rate
    sum_of_all = a + b + constant
    bound = (sum_of_all - np.sqrt(sum_of_all**2 - 4 * a * b)) / 2
    with machine.simulate(_text(0.25, a, b, rate, extra=_UNBINDING)) as simulation:
        simulation.step(1000)
        end = {name: float(simulation.field(name)[0, 0, 0]) for name in "abc"}
    # One after the other, the two reactions shift the equilibrium in proportion to the step: to the extent that each
    # takes in one, by about half the sum of rates times dt, of which the concentrations see a part.
    yield near("C at equilibrium, ng/mL", bound, end["c"], relative=0.5 * 0.25 * (rate * (a + b) + 0.05))
    yield near("A + C, ng/mL", a, end["a"] + end["c"], relative=1e-6)
    yield near("B + C, ng/mL", b, end["b"] + end["c"], relative=1e-6)


def split_from_diffusion(machine: Machine) -> Iterator[Finding]:
    """Where A and B diffuse and react, the error falls in proportion to the step."""
    cells, minutes, rate, diffusion = 16, 16.0, 0.05, (400.0, 100.0)
    mode = np.cos(np.pi * (np.arange(cells) + 0.5) / cells)
    start = {"a": 1 + mode, "b": 1 - mode}

    def change(_: float, state: np.ndarray) -> np.ndarray:
        a, b = state.reshape(2, cells)
        reacts = rate * a * b
        spread = (np.diff(np.pad(each, 1, "edge"), 2) * d / 400 for each, d in zip((a, b), diffusion, strict=True))
        return np.concatenate([each - reacts for each in spread])

    exact = solve_ivp(change, (0, minutes), np.concatenate([start["a"], start["b"]]), rtol=1e-10, atol=1e-12)
    expected = 1 - exact.y[:cells, -1].mean()
    found = []
    for step in (4.0, 2.0, 1.0, 0.5):
        with machine.simulate(_text(step, 0, 0, rate, cells=cells, diffusion=diffusion)) as simulation:
            begin_with(simulation, **start)
            simulation.step(round(minutes / step))
            found.append(float(simulation.field("c").astype(float).mean()))
    yield refinement("mean of C beside diffusion, ng/mL, by dt", [expected] * 4, found, 1, 0.2)
