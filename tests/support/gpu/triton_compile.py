"""Compile kernels written in Triton for GPUs that need not be there, and measure registers, spills and shared memory.

A process of its own compiles, because tests run kernels in Python (TRITON_INTERPRET), which excludes compiling. It
takes seconds to start, so pass all kernels of a test file at once:

    costs = compile_kernels([Kernel("hifigan.gpu.weight_norm", "scale_rows", {"x": "*fp16", "n": "i32", "BLOCK": 128})])
    assert not any(cost.spilled_bytes for cost in costs)
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import REPOSITORY

CAPABILITIES = (80, 90)  # A100 and H100
ALIGNMENT = 16  # of tensors that PyTorch allocates, in bytes
LIMIT_SEC = 500


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel and the arguments to compile it for.

    Attributes:
        module, name: where the kernel is defined.
        arguments: for each parameter its type in Triton's words (of tuples a sequence of types), or the value of a
            `constexpr`. One whose value is a string has a name in capitals. Pointers are aligned as PyTorch allocates:
            "*fp16:1" is a pointer that is not, "i32:16" a number that 16 divides.
        warps, stages: the launch's `num_warps` and `num_stages`.
    """

    module: str
    name: str
    arguments: Mapping[str, str | Sequence[str] | int | float | bool | None]
    warps: int = 4
    stages: int = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """Resources of a GPU that a compiled kernel takes.

    Attributes:
        name: the kernel.
        capability: 80 for sm_80.
        registers: per thread.
        spilled_bytes: per thread, stored in slow memory because the registers do not suffice.
        shared_bytes: shared memory of a block.
        ptx: the compiled text.
    """

    name: str
    capability: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    ptx: str


def compile_kernels(kernels: Sequence[Kernel], capabilities: Sequence[int] = CAPABILITIES) -> list[Cost]:
    """Return the cost of each kernel on each capability, in this order. Skip the test if Triton is not installed."""
    pytest.importorskip("triton")
    request = json.dumps({"kernels": [dataclasses.asdict(kernel) for kernel in kernels], "capabilities": capabilities})
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.support.gpu.triton_compile"]
    done = subprocess.run(
        command, input=request, capture_output=True, text=True, cwd=REPOSITORY, env=environment, timeout=LIMIT_SEC
    )
    assert done.returncode == 0, done.stderr
    return [Cost(**cost) for cost in json.loads(done.stdout.splitlines()[-1])]


def _compile(kernel: Kernel, capability: int) -> Cost:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(importlib.import_module(kernel.module), kernel.name)
    assert set(kernel.arguments) == set(function.arg_names), f"{kernel.name} takes {function.arg_names}"
    signature: dict[str, Any] = {}
    constants, alignments = {}, {}
    for position, name in enumerate(function.arg_names):
        value = kernel.arguments[name]
        if not isinstance(value, str | Sequence) or name.isupper():
            signature[name] = "constexpr"
            constants[(position,)] = value
            continue
        items = [((position,), value)] if isinstance(value, str) else [((position, i), v) for i, v in enumerate(value)]
        types = tuple(item.partition(":")[0] for _, item in items)
        signature[name] = types[0] if isinstance(value, str) else types
        for path, item in items:
            if int(item.partition(":")[2] or ALIGNMENT * item.startswith("*")) >= ALIGNMENT:
                alignments[path] = [["tt.divisibility", ALIGNMENT]]
    compiled = triton.compile(
        ASTSource(fn=function, signature=signature, constexprs=constants, attrs=alignments),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": kernel.warps, "num_stages": kernel.stages},
    )
    ptx = compiled.asm["ptx"]
    report = _assembler_report(ptx)
    spills = re.findall(r"(\d+) bytes spill", report)
    registers = re.findall(r"Used (\d+) registers", report)
    assert registers, report
    return Cost(
        kernel.name, capability, max(map(int, registers)), sum(map(int, spills)), int(compiled.metadata.shared), ptx
    )


def _assembler_report(ptx: str) -> str:
    from triton import knobs

    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert target is not None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        command = [
            knobs.nvidia.ptxas.path,
            "-v",
            f"--gpu-name={target[1]}",
            str(source),
            "-o",
            f"{folder}/kernel.cubin",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def main() -> None:
    """Read kernels from standard input, compile them, and print their costs, as JSON."""
    request = json.load(sys.stdin)
    costs = [
        dataclasses.asdict(_compile(Kernel(**kernel), capability))
        for kernel in request["kernels"]
        for capability in request["capabilities"]
    ]
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
