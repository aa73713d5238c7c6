"""Backends as objects, which the tests of a module share."""

from collections.abc import Iterator

import pytest
from machines import backend_parameters, first_backend

from gpusim import backends
from gpusim.backends.base import Backend


@pytest.fixture(scope="module", params=backend_parameters())
def every_machine(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Every backend in turn."""
    found = backends.create(*request.param)
    yield found
    found.close()


@pytest.fixture(scope="module", params=first_backend("numpy", "cpu2", "cuda"))
def machine(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The quickest backend and cuda; numpy too in campaigns."""
    found = backends.create(*request.param)
    yield found
    found.close()
