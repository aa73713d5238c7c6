import re
import textwrap
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from machines import backend_parameters

import gpusim

# How fast a crowded machine is, is no property of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--share 2/3`: the second third of the tests, shared out by name."""
    parser.addoption("--share", default="1/1", metavar="N/M", help="the N-th of M shares of the tests, by name")


def _share(text: str) -> tuple[int, int]:
    """Number and count of "2/3". Raises `pytest.UsageError`."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise pytest.UsageError(f"--share: expected N/M with N from 1 to M, such as 2/3, found {text!r}")
    return int(found[1]), int(found[2])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as `quick` what is not `slow`; a `campaign` always is. Keep a share."""
    number, shares = _share(config.getoption("share"))
    mine = [zlib.crc32(item.nodeid.encode()) % shares == number - 1 for item in items]
    if not all(mine):
        config.hook.pytest_deselected(items=[item for item, kept in zip(items, mine, strict=True) if not kept])
    items[:] = [item for item, kept in zip(items, mine, strict=True) if kept]
    for item in items:
        if item.get_closest_marker("campaign"):
            item.add_marker("slow")
        if not item.get_closest_marker("slow"):
            item.add_marker("quick")


@pytest.fixture(params=backend_parameters())
def backend(request: pytest.FixtureRequest) -> tuple[str, int | None]:
    """Every backend in turn, as (name, threads)."""
    return request.param


@pytest.fixture(params=[p for p in backend_parameters() if p.id in ("numpy", "cpu2", "cuda")])
def one_backend_each(request: pytest.FixtureRequest) -> tuple[str, int | None]:
    return request.param


@pytest.fixture
def simulate(backend: tuple[str, int | None]) -> Iterator[Callable[..., gpusim.Simulation]]:
    """Make a simulation from YAML text on the backend under test."""
    made: list[gpusim.Simulation] = []

    def make(text: str, **changes: object) -> gpusim.Simulation:
        scenario = gpusim.Scenario.parse(textwrap.dedent(text))
        if changes:
            scenario = scenario.with_(**changes)
        made.append(gpusim.Simulation(scenario, backend[0], threads=backend[1]))
        return made[-1]

    yield make
    for simulation in made:
        simulation.close()
