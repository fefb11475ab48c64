"""Generators that tests of the CPU engine share."""

import pytest

from hifigan.engine.native import amx, vector
from tests.support.engines import CONFIGS
from tests.support.native.matrix_units import emulated_library
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


@pytest.fixture
def matrix_units(monkeypatch):
    """Run a test on matrix units, emulated if this process has none."""
    if amx.library() is None:
        if emulated_library() is None:
            pytest.skip("no C compiler, or neither matrix units (AMX) nor AVX-512 BF16")
        monkeypatch.setattr(amx, "library", emulated_library)
