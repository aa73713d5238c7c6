"""The posterior of parameters by ABC-SMC (pyABC)."""

import contextlib
import itertools
import logging
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from gpusim.study.execution import Connect
from gpusim.study.problem import LEVEL, Found, Problem, quantile


def search(problem: Problem, connect: Connect, tell: Callable[[], None]) -> Found:
    """Sequential Monte Carlo with the measurement's error as its kernel, so that nothing is left to a tolerance.

    A particle's values come from runs with seeds of their own, as many as the subjects of a measured value, so that
    the posterior counts the noise of the seeds. Wilkinson 2013, by the scheme of Schaelte and Hasenauer 2020:
    acceptance is tempered from population to population down to the true error.
    """
    import pyabc

    logging.getLogger("ABC").setLevel(logging.WARNING)
    spec, names = problem.study.document.fit, [f"p{i}" for i in range(len(problem.names))]
    values = len(problem.data.values)
    with _seeded(problem.study.document.seed), tempfile.TemporaryDirectory() as folder:
        smc = pyabc.ABCSMC(
            _Model(problem, names),
            pyabc.Distribution(**{name: pyabc.RV("uniform", 0, 1) for name in names}),
            pyabc.IndependentNormalKernel(var=np.ones(values)),
            population_size=spec.particles,
            eps=pyabc.Temperature(),
            acceptor=pyabc.StochasticAcceptor(),
            sampler=_sampler(connect, tell),
        )
        smc.new(f"sqlite:///{Path(folder, 'populations.db')}", {"residuals": np.zeros(values)})
        history = smc.run(max_nr_populations=spec.populations)
        frame, weights = history.get_distribution()
        temperature = history.get_all_populations()["epsilon"].iloc[-1]
    cube, weights = frame[names].to_numpy(np.float64), np.asarray(weights, np.float64)
    low, middle, high = (quantile(cube, weights, q) for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2))
    notes = []
    if temperature > 1:
        notes.append(f"stopped at {temperature:.2g} times the error's variance: too wide; give more 'populations'")
    effective = weights.sum() ** 2 / (weights**2).sum()
    if (effective + 1) * (1 - LEVEL) / 2 < 1:
        notes.append(f"{effective:.0f} effective particles are too few for a 95% interval; give more 'particles'")
    executor = connect().executor
    seeds = executor.submit(problem.between_seeds, list(middle)).result()
    logs = [future.result() for future in [executor.submit(problem.logs, list(particle)) for particle in cube]]
    return Found(middle, low, high, cube, weights, np.array(logs), seeds, tuple(notes))


class _Model:
    """Simulated residuals, as pyABC asks for them."""

    __name__ = "residuals"

    def __init__(self, problem: Problem, names: Sequence[str]) -> None:
        self._problem = problem
        self._names = names

    def __call__(self, parameters: Any) -> dict[str, np.ndarray]:
        cube = [parameters[name] for name in self._names]
        return {"residuals": self._problem.residuals(self._problem.logs(cube))}


def _sampler(connect: Connect, tell: Callable[[], None]) -> Any:
    """A pyABC sampler on workers that gives the same particles on any number of them.

    Each particle is drawn until it is accepted, from a seed of its own.
    """
    from pyabc.sampler.base import Sampler

    class Seeded(Sampler):  # type: ignore[misc]
        def __getstate__(self) -> dict[str, Any]:
            return {}

        def sample_until_n_accepted(self, n: int, simulate_one: Any, t: int, **_: Any) -> Any:
            seeds = [int(seed) for seed in np.random.randint(2**32, size=n, dtype=np.uint64)]  # noqa: NPY002
            draw, executor = cloudpickle.dumps(simulate_one), connect().executor
            drawn = []
            for future in [executor.submit(_particle, draw, seed) for seed in seeds]:
                drawn.append(future.result())
                tell()
            self.nr_evaluations_ = sum(map(len, drawn))
            sample = self._create_empty_sample()
            for particle in itertools.chain.from_iterable(drawn):
                sample.append(particle)
            return sample

    return Seeded()


def _particle(simulate_one: bytes, seed: int) -> list[Any]:
    """Everything drawn up to the first particle that is accepted."""
    draw = cloudpickle.loads(simulate_one)
    drawn: list[Any] = []
    with _seeded(seed):
        while not drawn or not drawn[-1].accepted:
            drawn.append(draw())
    return drawn


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that pyABC draws from, and put them back."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])
