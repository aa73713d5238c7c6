"""Published models, set up as scenarios and held against what their authors, or theory with their numbers, say.

    PYTHONPATH=tests python tests/validation/published.py

prints the figures of docs/validation.md. Each function returns its figures by seed or by case; what must hold of
them stands in test_published.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import brentq, minimize_scalar

import gpusim
from gpusim.analysis.outcomes import measure
from gpusim.scenario.schema import Outcome

SEEDS = range(1, 9)


def simulation(text: str, seed: int = 1) -> gpusim.Simulation:
    """Of a scenario in YAML, which may extend shipped ones."""
    return gpusim.Simulation(gpusim.Scenario.draft(text, Path("scenario.yaml")), "cpu", seed=seed)


@dataclass(frozen=True)
class Front:
    """A front that its foot pulls: where exp(-steepness x) grows at `growth(steepness)`, 1/min.

    It takes the least speed growth / steepness, and nears it from below (Bramson 1983; in d dimensions Gärtner 1982;
    the next term Ebert and van Saarloos 2000):
    v - (d + 2) / (2 s t) + 3 sqrt(pi) / (2 s^2 sqrt(D) t^1.5), with s the steepness and D = growth'' / 2.
    """

    growth: Callable[[float], float]

    @property
    def steepness(self) -> float:
        """Of the front that is left after long, 1/um."""
        found = minimize_scalar(
            lambda u: self.growth(np.exp(u)) / np.exp(u), bounds=(np.log(1e-4), np.log(0.1)), method="bounded"
        )
        return float(np.exp(found.x))

    @property
    def speed(self) -> float:
        """After long, um/min."""
        return self.growth(self.steepness) / self.steepness

    def mean_speed(self, start: float, end: float, dimensions: int) -> float:
        """From one time to another, min, of a plane (1), a disc (2) or a ball (3): um/min."""
        steep, by = self.steepness, self.steepness / 100
        bend = (self.growth(steep + by) - 2 * self.growth(steep) + self.growth(steep - by)) / by**2
        first = (dimensions + 2) / (2 * steep) * np.log(end / start)
        second = 3 * np.sqrt(np.pi) / (steep**2 * np.sqrt(bend / 2)) * (start**-0.5 - end**-0.5)
        return float(self.speed + (second - first) / (end - start))


# A tumour front without a virus: Morselli, Delitala and Frascoli 2023

MORSELLI_DIFFUSION = 1.88e-4 * 1e6 / 60
"""um^2/min, of 1.88e-4 mm^2/h."""
MORSELLI_DIVISION = np.log(2) / 37 / 60
"""1/min, of ln 2 / 37 h."""
_FRONT = """
grid: {{shape: [160, {across}, {across}], spacing: 20 um}}
time: {{until: 1000 day, step: {{field: 30 min, rules: 30 min, motion: 10 min}}}}
record: {{every: 1000 day}}
states: {{tumour: {{motility: {{speed: {speed} um/min}}}}}}
rules: {{division: {{transition: empty -> tumour, rate: {rate} /min, modulators: [{{neighbours: tumour, per: 26}}]}}}}
tissue: {{shapes: {{seed: {{kind: box, state: tumour, lower: [0 um, 0 um, 0 um], upper: [400 um, 1 mm, 1 mm]}}}}}}
"""


def front_speed(seed: int, across: int = 20) -> float:
    """Speed of a plane front of moving, dividing cells from hour 400 to 700, um/min."""
    text = _FRONT.format(across=across, speed=6 * MORSELLI_DIFFUSION / 20, rate=MORSELLI_DIVISION)
    cells = []
    with simulation(text, seed) as running:
        for hours in (400, 700):
            running.run(until=f"{hours} h")
            cells.append(running.count("tumour"))
    return (cells[1] - cells[0]) / across**2 * 20 / (300 * 60)


def tumour_front() -> Front:
    """On this lattice: cells hop to one of 6 neighbours and divide into one of 26, which adds 1% to 2 sqrt(D p)."""
    offsets = [x for x in (-1, 0, 1) for _ in range(9 if x else 8)]

    def growth(steepness: float) -> float:
        moved = MORSELLI_DIFFUSION / 400 * (2 * np.cosh(20 * steepness) - 2)
        return moved + MORSELLI_DIVISION * np.mean([np.exp(20 * steepness * x) for x in offsets])

    return Front(growth)


# A plaque in a monolayer

_PLAQUE = """
grid: {{shape: [{long}, {wide}, 1], spacing: 20 um}}
time: {{until: 1000 day, step: {{field: 10 min, rules: 10 min}}}}
record: {{every: 1000 day}}
fields: {{virus: {{unit: PFU/voxel, diffusion: {diffusion} um^2/min, decay: 0.0029 /min}}}}
states: {{tumour: {{}}, exposed: {{}}, infected: {{}}}}
rules:
  infection: {{transition: tumour -> exposed, rate: 0.002 /min, modulators: [{{field: virus, half: 10 PFU/voxel}}]}}
  eclipse_end: {{transition: exposed -> infected, rate: 1/(2 hour), after: 4 hour}}
  lysis: {{transition: infected -> empty, rate: 1/(18 hour), after: {delay} hour, releases: {{virus: {burst} PFU}}}}
tissue: {{background: tumour, shapes: {{seed: {{state: infected, {seed}}}}}}}
"""


def plaque(seed: int, n: int = 301) -> tuple[float, float]:
    """Speed of a plaque's edge in its second half, um/min; how far its radius is off a line in time, as a share."""
    times, radii = [], []
    text = _PLAQUE.format(long=n, wide=n, diffusion=100, burst=150, delay=8, seed="kind: sphere, radius: 60 um")
    with simulation(text, seed) as running:
        while not radii or radii[-1] < 0.4 * n * 20:
            running.run(until=f"{4 * (len(radii) + 1)} h")
            times.append(running.minutes)
            radii.append(float(np.sqrt((n * n - running.count("tumour")) / np.pi)) * 20)
    t, r = np.array(times), np.array(radii)
    late = r > 0.2 * n * 20
    line = np.polyfit(t[late], r[late], 1)
    return float(line[0]), float(np.abs(np.polyval(line, t[late]) - r[late]).max() / r[-1])


def infection_front(
    seed: int, diffusion: float = 100, burst: float = 150, delay: float = 8, wide: int = 40
) -> tuple[float, float]:
    """Speed of a plane front of infection on its way from 3 to 9 mm, and its theory for that time: um/min."""
    start = "kind: box, lower: [0 um, 0 um, 0 um], upper: [60 um, 1 m, 1 m]"
    text = _PLAQUE.format(long=600, wide=wide, diffusion=diffusion, burst=burst, delay=delay, seed=start)
    times, places = [0.0], [0.0]
    with simulation(text, seed) as running:
        for goal in (3000, 9000):
            while places[-1] < goal:
                running.step(24)
                times.append(running.minutes)
                places.append((600 - running.count("tumour") / wide) * 20)
    first = next(i for i, place in enumerate(places) if place >= 3000)
    found = (places[-1] - places[first]) / (times[-1] - times[first])
    return found, plaque_front(diffusion, burst, delay).mean_speed(times[first], times[-1], 1)


def plaque_front(diffusion: float, burst: float, delay: float) -> Front:
    """At the front's foot all is linear: V' = D V'' - k V + B lysis, and what is infected, b V, lyses after two waits.

    Each wait has a minimum and is exponential from there.
    """
    decay, infection = 0.0029, 0.002 / 10

    def growth(steepness: float) -> float:
        def rest(s: float) -> float:
            waits = np.exp(-s * (4 + delay) * 60) / ((1 + s * 120) * (1 + s * 18 * 60))
            return diffusion * steepness**2 - decay + burst * infection * waits - s

        return float(brentq(rest, 0, diffusion * steepness**2 + burst * infection + 1))

    return Front(growth)


# Virus in collagen: Pooladvand et al.

POOLADVAND_FREE = 600.0
"""um^2/min, of 10 um^2/s."""
_COLLAGEN = """
grid: {{shape: [61, 61, 61], spacing: 20 um}}
time: {{until: 100 h, step: {{field: 2 min, rules: 2 min}}}}
record: {{every: 100 h}}
fields:
  virus: {{unit: PFU/voxel, diffusion: {{default: 600 um^2/min, stroma: {hindered} um^2/min}}}}
  collagenase: {{unit: ng/mL, diffusion: 100 um^2/min}}
states: {{stroma: {{}}}}
rules:
  degradation: {{transition: stroma -> empty, rate: 0.1 /min, modulators: [{{field: collagenase, half: 0.5 ng/mL}}]}}
tissue: {{background: stroma}}
therapies:
  virus: {{inject: virus, amount: 1e6 PFU, at: centre, radius: 0 um, start: 0 h}}
"""


def squeezed(collagen: float) -> float:
    """Diffusion of the virus where collagen fills this share, um^2/min: Pooladvand's D_max (1 - c^0.29)."""
    return POOLADVAND_FREE * (1 - collagen**0.29)


ENZYME = "  enzyme: {inject: collagenase, amount: 1e4 ng, at: centre, radius: 200 um, start: 0 h}\n"


def penetration(collagen: float, enzyme: str = "", minutes: int = 40) -> float:
    """Root mean square distance of the virus from where it was put, um."""
    with simulation(_COLLAGEN.format(hindered=squeezed(collagen)) + enzyme) as running:
        running.step(minutes // 2)
        virus = running.field("virus").astype(float)
    axis = (np.arange(61) - 30) * 20.0
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return float(np.sqrt((virus * square).sum() / virus.sum()))


# A glioblastoma with sparse and with dense stroma: Jenner et al. 2022


_GLIOBLASTOMA = """
extends: [glioblastoma-{stroma}, desert, hsv1, intratumoral]
name: glioblastoma
grid: {{shape: [24, 24, 24]}}
time: {{until: 4 day}}
record: {{every: 4 day}}
tissue: {{shapes: {{tumour: {{radius: 180 um}}}}}}
"""


@dataclass(frozen=True)
class Glioblastoma:
    """Infections until a time, and the mean distance of the cells infected at this time from the needle, um."""

    infections: int
    distance: float


def glioblastoma(stroma: str, seed: int) -> tuple[Glioblastoma, Glioblastoma]:
    """After one day and after four.

    After four days the tumour has grown into the lysed voxels, and infected cells are at its rim.
    """
    found = []
    with simulation(_GLIOBLASTOMA.format(stroma=stroma), seed) as running:
        names = running.model.states
        for days in (1, 4):
            running.step(days * running.model.until // 4 - running.steps)
            infected = np.argwhere(np.isin(running.tissue, [names.number(name) for name in ("exposed", "infected")]))
            distance = float(np.linalg.norm(infected - 11.5, axis=1).mean() * 20)
            found.append(Glioblastoma(running.fired["infection"], distance))
    return found[0], found[1]


# Reference models of the field: a growing monolayer, and a persistent random walk


@dataclass(frozen=True)
class Monolayer:
    """A run of `monolayer-growth`.

    Attributes:
        gained, expected: growth of the radius from three times the reach to the end, and that in theory, um.
        off: largest distance of the radius from a line in this time, as a share of the growth.
        dividing, rim: share of cells with room within the reach, at the end; share of a rim as wide as the reach.
        speed: um/h.
    """

    gained: float
    expected: float
    off: float
    dividing: float
    rim: float
    speed: float


def monolayer(seed: int) -> Monolayer:
    """A colony of a single cell: a rim as wide as the reach r divides, dR/dt = rate r (1 - r / (2 R))."""
    rate, reach = 0.0289, 60.0
    hours, radii = [], []
    with gpusim.Simulation("monolayer-growth", "cpu", seed=seed) as running:
        while running.steps < running.model.until:
            running.step(24)
            hours.append(running.minutes / 60)
            radii.append(float(np.sqrt(running.count("cell") / np.pi)) * 10)
        dividing = measure(Outcome(room=("cell",), within=f"{reach} um"), running)
        assert not np.concatenate([running.tissue[0, [0, -1]], running.tissue[0, :, [0, -1]]]).any()
    t, r = np.array(hours), np.array(radii)
    t, r = t[r >= 3 * reach], r[r >= 3 * reach]
    expected, by = r[0], 0.05
    for _ in range(round((t[-1] - t[0]) / by)):
        expected += by * rate * reach * (1 - reach / (2 * expected))
    off = np.abs(np.polyval(np.polyfit(t, r, 1), t) - r).max() / (r[-1] - r[0])
    speed = (r[-1] - r[0]) / (t[-1] - t[0])
    return Monolayer(r[-1] - r[0], expected - r[0], float(off), dividing, 1 - (1 - reach / r[-1]) ** 2, speed)


WALK = (5, 10, 15, 30, 60)
"""min."""


def random_walk(seeds: Sequence[int]) -> list[tuple[float, float]]:
    """Mean square displacement in `random-walk` at these times and its standard error, um^2: three times that of x."""
    with gpusim.Simulation("random-walk", "cpu", seed=list(seeds)) as running:

        def spread() -> tuple[float, int]:
            x = [np.nonzero(each.immune == each.model.states.number("walker"))[2] * 10.0 for each in running.replicates]
            assert all(each.min() > 0 and each.max() < 1600 for each in x)
            cells = sum(map(len, x))
            return sum(each.var() * len(each) for each in x) / cells, cells

        start, cells = spread()
        found = []
        for minutes in WALK:
            running.step(minutes - running.steps)
            end, _ = spread()
            found.append((3 * (end - start), 3 * float(np.sqrt(2 / cells)) * end))
    return found


def fuerth(minutes: float) -> tuple[float, float]:
    """Mean square displacement of a persistent random walk, um^2: Fuerth 1920, and what the lattice adds to it."""
    speed, persistence, spacing, move = 8.0, 5.0, 10.0, 0.5
    square = 2 * speed**2 * persistence * (minutes - persistence * (1 - np.exp(-minutes / persistence)))
    return float(square), speed * spacing * minutes * (1 - speed * move / spacing)


# A spheroid: PhysiCell's oxygen

_SPHEROID = """
extends: biology
name: spheroid
grid: {shape: [56, 56, 56], spacing: 20 um}
time: {until: 6 day, step: {field: 30 min, rules: 30 min}}
record: {every: 6 day}
states:
  medium: {exchange: {oxygen: {permeability: 250 /min, blood: 38 mmHg}}}
  healthy: {yields: displaced}
rules: {division: null, clearing: null}
tissue:
  background: medium
  shapes: {tumour: {kind: sphere, state: tumour, radius: 500 um}}
"""


def spheroid(seed: int) -> tuple[float, float]:
    """Radius of a spheroid and of its necrotic core on day 6, um, of balls of as many cells."""
    with simulation(_SPHEROID, seed) as running:
        running.run()
        dead = running.count("necrotic")
        alive = running.count("tumour")
    return _radius(alive + dead), _radius(dead)


def _radius(cells: int) -> float:
    return float((3 * cells / (4 * np.pi)) ** (1 / 3)) * 20


def necrotic_radii(radius: float) -> tuple[float, float]:
    """Least and largest core of a ball with 38 mmHg at its surface whose cells die below 5 mmHg, um.

    With L = sqrt(D / (uptake + decay)): the largest, where oxygen falls to 5 mmHg while all cells still breathe,
    c = 38 (R / r) sinh(r / L) / sinh(R / L); the least, where it does when the core takes nothing up,
    c = (5 L sinh((r - n) / L) + 5 n cosh((r - n) / L)) / r. Decay in the dead core, a hundredth, is left out.
    """
    length = np.sqrt(1e5 / 10.1)

    def dead(core: float) -> float:
        depth = (radius - core) / length
        return (5 * length * np.sinh(depth) + 5 * core * np.cosh(depth)) / radius - 38

    def alive(core: float) -> float:
        return 38 * radius / core * np.sinh(core / length) / np.sinh(radius / length) - 5

    return float(brentq(dead, 1, radius)), float(brentq(alive, 1, radius))


_ZERO_ORDER = """
grid: {{shape: [44, 44, 44], spacing: 12.5 um}}
time: {{until: 1 h, step: {{field: 1 min, rules: 1 min}}}}
fields: {{oxygen: {{unit: mmHg, diffusion: 1e5 um^2/min, solver: steady, initial: 100, holds: {{medium: 100}}}}}}
states:
  medium: {{}}
  tumour: {{uptake: {{oxygen: {{rate: {rate} /min, modulators: [{{field: oxygen, half: 1 mmHg, effect: inhibits}}]}}}}}}
tissue:
  background: medium
  shapes: {{ball: {{kind: sphere, state: tumour, radius: 500 um, centre: [0 um, 0 um, 0 um]}}}}
"""
"""An eighth of a spheroid in a medium at 100 mmHg; cells take up `rate` mmHg/min at most, half of it at 1 mmHg."""


ZERO_ORDER = (500, 900, 1300)
"""mmHg/min, assumed."""


def zero_order_rim(rate: float) -> float:
    """Depth of a spheroid of 0.5 mm in which there are 5 mmHg or more, um, of a ball of as many voxels."""
    with simulation(_ZERO_ORDER.format(rate=rate)) as running:
        running.step(12)
        below = int(((running.field("oxygen") < 5) & (running.tissue == 2)).sum())
        return 500 - float((3 * 8 * below / (4 * np.pi)) ** (1 / 3)) * 12.5


def rim_in_theory(rate: float) -> float:
    """Depth at which uptake of zero order leaves 5 mmHg of 100, um, where it ends at a core without any.

    c = a / (6 D) (r^2 - n^2) + a n^3 / (3 D) (1 / r - 1 / n) outside of a core of radius n.
    """

    def oxygen(core: float, r: float) -> float:
        return rate / 6e5 * (r**2 - core**2) + rate * core**3 / 3e5 * (1 / r - 1 / core)

    core = brentq(lambda n: oxygen(n, 500) - 100, 1, 500)
    return 500 - float(brentq(lambda r: oxygen(core, r) - 5, core, 500))


def spread(values: Iterable[float]) -> str:
    """Median, lowest and highest."""
    found = np.array(list(values))
    return f"{np.median(found):.4g} ({found.min():.4g} to {found.max():.4g})"


def main() -> None:
    theory = tumour_front()
    print(f"front: {spread(map(front_speed, SEEDS))} um/min; ", end="")
    print(f"theory then {theory.mean_speed(24000, 42000, 1):.4g}, after long {theory.speed:.4g}")
    speeds, off = zip(*map(plaque, SEEDS), strict=True)
    print(f"plaque: {spread(speeds)} um/min; off a line {spread(off)}")
    for changes in ({}, {"diffusion": 400}, {"burst": 300}, {"delay": 16}):
        speeds, theory = zip(*(infection_front(seed, **changes) for seed in SEEDS), strict=True)
        after_long = plaque_front(**{"diffusion": 100, "burst": 150, "delay": 8, **changes}).speed
        print(f"infection {changes}: {spread(speeds)} um/min; theory then {theory[0]:.4g}, after long {after_long:.4g}")
    for collagen in (0.0, 0.1, 0.3, 0.6, 0.9):
        free = np.sqrt(6 * squeezed(collagen) * 40)
        print(f"collagen {collagen}: {penetration(collagen):.1f} um, theory {free:.1f}; ", end="")
        print(f"with collagenase {penetration(collagen, ENZYME):.1f}")
    for stroma in ("sparse", "dense"):
        runs = zip(*(glioblastoma(stroma, seed) for seed in SEEDS), strict=True)
        for days, found in zip((1, 4), runs, strict=True):
            print(f"glioblastoma, {stroma} stroma, {days} days: infections ", end="")
            print(f"{spread(each.infections for each in found)}; distance {spread(each.distance for each in found)} um")
    layers = [monolayer(seed) for seed in SEEDS]
    print(f"monolayer: {spread(each.speed for each in layers)} um/h, ", end="")
    print(f"of theory {spread(each.gained / each.expected for each in layers)}; ", end="")
    print(f"off a line {spread(each.off for each in layers)}; ", end="")
    print(f"dividing, of the rim {spread(each.dividing / each.rim for each in layers)}")
    for minutes, (square, error) in zip(WALK, random_walk(range(1, 65)), strict=True):
        theory, lattice = fuerth(minutes)
        print(
            f"walk, {minutes} min: {square:.0f} +- {error:.0f} um^2, Fuerth {theory:.0f}, of the lattice {lattice:.0f}"
        )
    radii = [spheroid(seed) for seed in SEEDS]
    least, largest = necrotic_radii(radii[0][0])
    print(f"spheroid of {radii[0][0]:.1f} um: core {spread(core for _, core in radii)}, ", end="")
    print(f"theory {least:.0f} to {largest:.0f}; rim {spread(r - core for r, core in radii)}")
    for rate in ZERO_ORDER:
        print(f"uptake of {rate} mmHg/min: rim {zero_order_rim(rate):.1f} um, theory {rim_in_theory(rate):.1f}")


if __name__ == "__main__":
    main()
