"""Tables in C for the programs that check `vector.c` without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hifigan.engine.native import vector
from hifigan.engine.native.transforms import Transform, order_lanes
from tests.support.paths import REPOSITORY

TRANSFORMS = (Transform(4, 3), Transform(4, 4), Transform(4, 5))  # in fp32 on every processor
MAX_DILATION = 5


def harness_flags(folder: Path) -> list[str]:
    """Return the compiler's flags for a program that includes `vector.c` and the support for it."""
    support = REPOSITORY / "tests/hifigan/engine/native/vector_support.h"
    paths = {"STAGE": vector.SOURCE, "SUPPORT": support, "TRANSFORMS": write_transforms(folder)}
    return [f'-D{name}="{path}"' for name, path in paths.items()]


def write_transforms(folder: Path) -> Path:
    """Write the transforms with what the C code needs for each, as a header."""
    rows = []
    for sizes in TRANSFORMS:
        _, (even, odd, powers) = sizes.pack()
        orders = [order_lanes(max(1, dilation), sizes.tile) for dilation in range(MAX_DILATION + 1)]
        tables = [even, odd, powers]
        transform = ", ".join(f"(float[]){_braces(table.flatten().tolist())}" for table in tables)
        kinds = [_braces([_braces(order[kind].flatten().tolist()) for order in orders]) for kind in (0, 1)]
        of_taps = _braces([_braces(row) for row in sizes.of_taps().tolist()])
        rows.append(
            f"{{{{{sizes.tile}, {sizes.points}, {transform}}}, {sizes.taps}, {of_taps}, {kinds[0]}, {kinds[1]}}}"
        )
    path = folder / "transforms.h"
    path.write_text(
        "static const struct known_transform {\n"
        "    struct transform transform;\n"
        "    int taps;\n"
        "    double of_taps[8][5];\n"
        f"    int split[{MAX_DILATION + 1}][64], join[{MAX_DILATION + 1}][64]; /* by dilation */\n"
        f"}} transforms[] = {_braces(rows)};\n"
    )
    return path


def _braces(items: Sequence[object]) -> str:
    return "{" + ", ".join(map(str, items)) + "}"
