"""Generators that tests of the CPU engine share."""

import pytest

from hifigan.engine.native import vector
from tests.support.engines import CONFIGS
from tests.support.weights import by_rule


@pytest.fixture(scope="module")
def generators():
    return {name: by_rule(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=["in C", "oneDNN alone"])
def layouts(request, monkeypatch):
    """Run a test with a C compiler, and without."""
    if request.param == "oneDNN alone":
        monkeypatch.setattr(vector, "library", lambda: None)
    elif vector.library() is None:
        pytest.skip("no C compiler")


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(vector, "library", lambda: None)
