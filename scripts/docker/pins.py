"""Print the tested versions (requirements.txt) of the dependencies and of the given extras (pyproject.toml).

python pins.py [EXTRA...]    run in the folder of these two files

The container image installs these, and not the rest of requirements.txt, which serves tests and reports as well.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

tomllib = importlib.import_module("tomllib")  # in Python 3.11 and later


def read_pins(extras: list[str]) -> list[str]:
    """Return lines of requirements.txt, such as `numpy==2.4.6; python_version >= "3.11"`.

    Raises:
        SystemExit: no such extra, or a package without a tested version.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        if extra not in project["optional-dependencies"]:
            raise SystemExit(f"error: {extra} is not an extra of pyproject.toml")
        wanted += project["optional-dependencies"][extra]
    lines = Path("requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = []
    for name in (re.split(r"[^\w.-]", requirement)[0] for requirement in wanted):
        found = [line for line in lines if line.startswith(f"{name}==")]
        if not found:
            raise SystemExit(f"error: requirements.txt has no version of {name}")
        pins += found
    return pins


if __name__ == "__main__":
    print("\n".join(read_pins(sys.argv[1:])))
