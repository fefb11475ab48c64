"""C for matrix units: no access outside its memory."""

import os
import subprocess
from pathlib import Path

import pytest

from hifigan.engine.native import amx, instruction_sets
from tests.support.native.matrix_units import emulated_library, emulation_flags


@pytest.mark.medium
@pytest.mark.parametrize("emulated", [False, True], ids=["matrix units", "emulated"])
def test_no_memory_but_its_own(tmp_path, emulated):
    if (emulated_library() if emulated else amx.library()) is None:
        pytest.skip("no C compiler, or no AVX-512 BF16" if emulated else "no matrix units (AMX), or no C compiler")
    program = tmp_path / "amx_memory"
    source = Path(__file__).with_name("amx_memory.c")
    command = [
        *(os.environ.get("CC") or "cc").split(),
        "-O1",
        *(emulation_flags() if emulated else instruction_sets.chosen().matrix_flags),
        f'-DSTAGE="{amx.SOURCE}"',
        "-o",
        str(program),
    ]
    subprocess.run([*command, str(source)], check=True)
    ended = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "all memory is its own\n"), ended.stderr
