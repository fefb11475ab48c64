"""A small generator for the tests of the inference benchmark."""

import pytest

from tests.support.models import make_checkpoint


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("models") / "generator.pt")
