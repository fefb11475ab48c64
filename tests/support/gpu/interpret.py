"""Run kernels written in Triton in Python, on the CPU."""

import numpy as np
import pytest


def widen_bf16(monkeypatch):
    """Let `tl.dot` multiply bf16, which Triton's interpreter takes for integers."""
    language = pytest.importorskip("triton.language")
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    builder = interpreter.InterpreterBuilder
    plain = builder.create_dot

    def create_dot(self, a, b, d, *args):
        def wide(part):
            if part.dtype.scalar != language.bfloat16:
                return part
            values = (part.data.astype(np.uint32) << 16).view(np.float32)
            return interpreter.TensorHandle(values, language.float32)

        return plain(self, wide(a), wide(b), d, *args)

    monkeypatch.setattr(builder, "create_dot", create_dot)


def use_high_tiles(monkeypatch):
    """Let the generator's kernels work on many rows at once: in Python, each step costs the same for any number."""
    from hifigan.gpu import row_convolutions  # imports Triton

    plain = row_convolutions.choose_tile
    monkeypatch.setattr(row_convolutions, "choose_tile", lambda *args: plain(*args)._replace(rows=1024))
