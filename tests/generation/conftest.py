"""The two ways of a decode step on a CPU: compiled, and torch's operations."""

import pytest

from gptkit.generation.native import STEP
from gptkit.native.build import library


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every decoder built in this test takes the way of this name."""
    if request.param == "torch":
        monkeypatch.setattr("gptkit.generation.native.model.library", lambda source: "switched off")
    elif isinstance(found := library(STEP), str):
        pytest.skip(f"no compiled step here: {found}")
    return str(request.param)
