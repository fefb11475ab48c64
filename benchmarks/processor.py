"""The processor's instruction sets, for the header of a benchmark."""

from __future__ import annotations

import os

from hifigan.engine.native import instruction_sets


def describe_instruction_sets() -> str:
    """Return the sets that the processor has and lacks, the one in use, and who keeps to it.

    Raises:
        InputError: HIFIGAN_CPU_ISA names a set that this machine does not have.
    """
    chosen = instruction_sets.chosen().name
    features = instruction_sets.read_linux_features()
    usable = {each.name for each in instruction_sets.available()}
    known = {each.name: each.features <= features or each.name in usable for each in instruction_sets.list_all()}
    words = [name if has else f"no {name}" for name, has in known.items() if name != "generic"]
    used = f"in use: {chosen}"
    if os.environ.get(instruction_sets.VARIABLE):
        used += (
            f" ({instruction_sets.VARIABLE}), which the engine and PyTorch keep to. onnxruntime, OpenVINO and "
            "ncnn use all"
        )
    return f"{', '.join(words)}; {used}" if words else used
