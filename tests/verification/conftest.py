"""Theory is held against one backend. The others have the same bits (tests/backends), and their turn in campaigns."""

import pytest
from machines import first_backend


@pytest.fixture(params=first_backend("numpy", "cpu1", "cpu2", "cuda"))
def backend(request: pytest.FixtureRequest) -> tuple[str, int | None]:
    return request.param


@pytest.fixture(params=first_backend("numpy", "cpu2", "cuda"))
def one_backend_each(request: pytest.FixtureRequest) -> tuple[str, int | None]:
    return request.param
