"""HIFIGAN_CPU_ISA: each instruction set that this machine can run, and values that it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from hifigan.engine.native import amx, instruction_sets
from hifigan.engine.native.__main__ import main
from hifigan.engine.native.instruction_sets import ARM64, VARIABLE, X86, available, chosen, limit_pytorch, list_all
from tests.support.native.c_tables import harness_flags
from tests.support.paths import REPOSITORY

NAMES = [each.name for each in available()]
LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # set in this process if the variable is
SIZES = {"generic": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512", "avx512_bf16": "AVX512", "amx": "AVX512"}
# The linear layer computes first, as in programs that prepare a mel before the engine starts.
REPORT = """
import hifigan, torch
torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2))
from hifigan.engine.cpu_c import lacks_bf16
from hifigan.engine.native import instruction_sets
print(instruction_sets.chosen().name, torch.backends.cpu.get_cpu_capability(), bool(lacks_bf16()))
print(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""
ARM_COMPILER, ARM_EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
needs_arm = pytest.mark.skipif(
    not (shutil.which(ARM_COMPILER) and shutil.which(ARM_EMULATOR)),
    reason=f"needs {ARM_COMPILER} and {ARM_EMULATOR} (apt install gcc-aarch64-linux-gnu qemu-user)",
)
ELF_ARM64 = 183


@pytest.fixture
def processor(monkeypatch):
    """Return a function that makes this process believe in an x86 processor, as PyTorch and as Linux describe it."""

    def set_processor(capability, features):
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
        monkeypatch.setattr(instruction_sets, "read_linux_features", lambda: frozenset(features))

    return set_processor


def run(name, *words):
    environment = {key: value for key, value in os.environ.items() if key not in LIMITS} | {VARIABLE: name}
    return subprocess.run(
        [sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    ("capability", "features", "expected"),
    [
        ("DEFAULT", ["sse2"], "generic"),
        ("AVX2", ["avx2", "fma"], "avx2"),
        ("AVX2", X86[-1].features, "avx2"),  # the system, or the user, keeps PyTorch from more
        ("AVX512", X86[2].features, "avx512"),
        ("AVX512", X86[3].features, "avx512_bf16"),
        ("AVX512", X86[4].features, "amx"),
        ("AVX512", [*X86[2].features, "amx_tile", "amx_bf16"], "avx512"),
        ("AVX512", [], "avx512"),  # macOS has no such list
    ],
)
def test_the_best_of_the_processor(processor, capability, features, expected):
    processor(capability, features)
    assert chosen().name == expected
    assert available() == X86[: [each.name for each in X86].index(expected) + 1]


@pytest.mark.parametrize("machine", ["arm64", "aarch64"])
def test_processors_of_arm(processor, machine, monkeypatch):
    processor("DEFAULT", [])
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert available() == ARM64
    assert (chosen().name, chosen().has_bf16) == ("neon", False)


def test_other_processors(processor, monkeypatch):
    processor("DEFAULT", [])
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert chosen().name == "generic"


@pytest.mark.parametrize("name", ["avx1024", "amx", "AVX2"])
def test_values_that_this_machine_cannot_run(processor, name, monkeypatch):
    processor("AVX512", X86[3].features)
    monkeypatch.setenv(VARIABLE, name)
    message = f"HIFIGAN_CPU_ISA: {name} is not for this machine, which runs generic, avx2, avx512, avx512_bf16"
    with pytest.raises(InputError, match=f"^{message}$"):
        chosen()


def test_an_empty_value_counts_as_none(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert chosen() == available()[-1]


def test_matrix_units_only_where_they_are_chosen(monkeypatch):
    for each in available():
        monkeypatch.setenv(VARIABLE, each.name)
        amx.library.cache_clear()
        if each.name != "amx":
            assert amx.library() is None
    amx.library.cache_clear()


def test_pytorch_is_limited_only_to_what_the_processor_has(processor, monkeypatch):
    processor("AVX2", X86[1].features)
    for name, expected in (("avx512", [None, None]), ("unknown", [None, None]), ("avx2", ["avx2", "AVX2"])):
        for variable in LIMITS:
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(VARIABLE, name)
        limit_pytorch()
        assert [os.environ.get(variable) for variable in LIMITS] == expected
        for variable in LIMITS:
            os.environ.pop(variable, None)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    limit_pytorch()
    assert os.environ["ATEN_CPU_CAPABILITY"] == "default", "the user's own limits stay"


@pytest.mark.medium
@pytest.mark.skipif(list_all() != X86, reason="PyTorch has several instruction sets on x86 only")
@pytest.mark.parametrize("name", NAMES)
def test_pytorch_is_limited_too(name):
    done = run(name, "-c", REPORT)
    assert done.returncode == 0, done.stderr
    own, onednn_has_bf16 = done.stdout.splitlines()
    assert own == f"{name} {SIZES[name]} {name not in ('avx512_bf16', 'amx')}"
    assert onednn_has_bf16 == str(name.startswith(("avx512", "amx")))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_engine_equals_the_generator_in_each(name):
    tests = "tests/hifigan/engine/test_cpu.py"
    which = ["-k", "(test_equals_the_generator and C and 45 and not v1) or test_a_processor_without_bf16"]
    done = run(name, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", tests, *which)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.medium
def test_programs_refuse_it_in_one_line(tmp_path):
    done = run("sse9", "-m", "voice.say", "Hello.", "-o", str(tmp_path / "hello.wav"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("voice.say: error: HIFIGAN_CPU_ISA: sse9 is not for this machine")
    assert "Traceback" not in done.stderr


def assert_values_are_right(folder, compiler, *emulator):
    """Compile vector_values.c, which needs no PyTorch, and run it."""
    program = folder / "vector_values"
    source = Path(__file__).with_name("vector_values.c")
    words = ["-O3", "-Wall", "-Werror", *harness_flags(folder), str(source), "-o", str(program), "-lm"]
    subprocess.run([*compiler, *words], check=True)
    ended = subprocess.run([*emulator, program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "all values are right\n"), ended.stderr


@pytest.mark.slow
@needs_arm
def test_neon_under_emulation(tmp_path):
    assert_values_are_right(tmp_path, [ARM_COMPILER, "-march=armv8-a", "-static", *ARM64[0].flags], ARM_EMULATOR)


@pytest.mark.medium
@needs_arm
def test_the_package_for_arm(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setenv("CC", ARM_COMPILER)
    assert main(["--output", str(tmp_path)]) == 0
    (library,) = tmp_path.iterdir()
    assert int.from_bytes(library.read_bytes()[18:20], "little") == ELF_ARM64


@pytest.mark.medium
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", NAMES)
def test_values_with_each_compiler(tmp_path, name, compiler, monkeypatch):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    monkeypatch.setenv(VARIABLE, name)
    assert_values_are_right(tmp_path, [compiler, *chosen().flags])
