"""An empty cache of compiled C."""

import pytest

from hifigan.engine.native import vector


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Start with nothing compiled. Returns the cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    vector.library.cache_clear()
    yield tmp_path / "cache" / "hifigan"
    vector.library.cache_clear()


@pytest.fixture
def compiler():
    if vector.library() is None:
        pytest.skip("no C compiler")
    vector.library.cache_clear()
