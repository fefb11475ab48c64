"""The notebook demo/speak.ipynb: small, without stored outputs, and every cell runs."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.paths import REPOSITORY

NOTEBOOK = REPOSITORY / "demo" / "speak.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
INSTALL = [cell for cell in CODE if "install" in cell["metadata"].get("tags", [])]


def test_nothing_is_stored_besides_the_cells() -> None:
    assert NOTEBOOK.stat().st_size < 10_000
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)


def test_the_first_code_cell_installs() -> None:
    """It is the only one that the tests below leave out, since they run where everything is installed."""
    assert CODE[:1] == INSTALL
    (line,) = INSTALL[0]["source"]
    program, _, file = line.rpartition(" ")
    assert program == "%pip install --quiet --requirement"
    assert (NOTEBOOK.parent / file).is_file()


@pytest.mark.medium
def test_cells_run(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[tuple[Any, int | None]] = []
    display = types.ModuleType("IPython.display")
    display.Audio = lambda data, rate=None, normalize=True: played.append((data, rate))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    for cell in CODE[1:]:
        exec("".join(cell["source"]), names)
    (speech, rate), (changed, _), (recording, _), (copy, _) = played
    assert rate == names["voice"].sampling_rate == 22050
    assert len(changed) > len(speech) > rate  # slower, and at least a second
    original, _ = soundfile.read(recording)
    assert len(copy) == len(original)
    for wav in (speech, changed, copy):
        assert np.abs(wav).max() > 0.05


@pytest.mark.slow
def test_cells_run_in_jupyter() -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    notebook.cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", [])]
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.output_type for output in shown] == ["execute_result"] * 4
    assert all("<audio" in output.data["text/html"] for output in shown)
