"""Input that the tests of programs share."""

from __future__ import annotations

import pytest

from tests.stress.programs.inputs import Inputs, write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return write_inputs(tmp_path_factory.mktemp("inputs"))
