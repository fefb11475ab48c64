"""Training and inference on a GPU that has only shapes: `python -m benchmarks.gpu_simulation --help`.

A package with an `__init__.py`, so that its own modules are found in this clone while `--checkout` selects the clone of
the code that it simulates.
"""
