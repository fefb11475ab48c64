"""The line of instruction sets."""

import pytest

from benchmarks.processor import describe_instruction_sets
from common.errors import InputError
from hifigan.engine.native import instruction_sets


@pytest.fixture
def zen4(monkeypatch):
    """AVX-512 with bf16 products, without matrix units."""
    features = frozenset().union(*(each.features for each in instruction_sets.X86[:4]))
    monkeypatch.delenv(instruction_sets.VARIABLE, raising=False)
    monkeypatch.setattr(instruction_sets, "list_all", lambda: instruction_sets.X86)
    monkeypatch.setattr(instruction_sets, "read_linux_features", lambda: features)
    monkeypatch.setattr(instruction_sets, "available", lambda: instruction_sets.X86[:4])


@pytest.mark.usefixtures("zen4")
def test_all_sets_are_named():
    assert describe_instruction_sets() == "avx2, avx512, avx512_bf16, no amx; in use: avx512_bf16"


@pytest.mark.usefixtures("zen4")
def test_a_limit_is_named_with_those_that_keep_to_it(monkeypatch):
    monkeypatch.setenv(instruction_sets.VARIABLE, "avx2")
    words = describe_instruction_sets()
    assert words.startswith(
        "avx2, avx512, avx512_bf16, no amx; in use: avx2 (HIFIGAN_CPU_ISA), which the engine and PyTorch "
    )
    monkeypatch.setenv(instruction_sets.VARIABLE, "amx")
    with pytest.raises(InputError, match="amx is not for this machine"):
        describe_instruction_sets()


def test_a_processor_without_a_choice(monkeypatch):
    monkeypatch.delenv(instruction_sets.VARIABLE, raising=False)
    monkeypatch.setattr(instruction_sets, "list_all", lambda: instruction_sets.OTHERS)
    monkeypatch.setattr(instruction_sets, "available", lambda: instruction_sets.OTHERS)
    assert describe_instruction_sets() == "in use: generic"
