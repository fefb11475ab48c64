"""DLLogger lines by the library, or by our own writer."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from common.files.dllogger_lines import open_json_lines
from tests.support.programs import log_records


def test_the_placeholder_on_pypi_is_not_taken_for_dllogger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dllogger", types.ModuleType("dllogger"))
    lines = open_json_lines(tmp_path / "a.json")
    lines.log([1], {"x": 1.0})
    lines.flush()
    assert log_records(tmp_path / "a.json")[0]["data"] == {"x": 1.0}


def test_nvidias_library_is_used_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = types.ModuleType("dllogger")
    calls: list = []
    real.JSONStreamBackend = lambda verbosity, path, append: (verbosity, path, append)  # type: ignore[attr-defined]
    real.Verbosity = types.SimpleNamespace(DEFAULT=0)  # type: ignore[attr-defined]
    real.init = lambda backends: calls.append(backends)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dllogger", real)
    assert open_json_lines(tmp_path / "a.json") is real
    assert calls == [[(0, str(tmp_path / "a.json"), True)]]
