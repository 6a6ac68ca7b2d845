"""The two ways of a model's parts on a CPU: compiled, and torch's operations."""

from collections.abc import Callable

import pytest

from gptkit.model.native import PARTS, parts
from gptkit.native.build import library


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing in this test is compiled."""
    return lambda: monkeypatch.setattr(parts, "_parts", lambda: None)


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest, by_torch: Callable[[], None]) -> str:
    """The way that this test's parts take."""
    if request.param == "torch":
        by_torch()
    elif isinstance(found := library(PARTS), str):
        pytest.skip(f"nothing is compiled here: {found}")
    return str(request.param)
