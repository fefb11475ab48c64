"""Steps of `pip install .` and `pip wheel .` (pyproject.toml, cmdclass)."""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

LIBRARIES = Path("hifigan", "engine", "native", "libraries")  # of the CPU engine, within the package


class FreshBuild(build_py):
    """Copies the modules to an empty build/lib, and compiles the C code beside them.

    Setuptools itself would keep modules there that were deleted since. Without a C compiler, or with one that does not
    know some processors, the package lacks their libraries. It then compiles on first use, like a clone.
    """

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            output = Path(self.build_lib, LIBRARIES).resolve()
            command = [sys.executable, "-B", "-m", "hifigan.engine.native", "--output", str(output)]
            if subprocess.run(command, cwd=Path(__file__).resolve().parents[1], check=False).returncode:
                self.warn("the package lacks libraries of the CPU engine, and compiles them on first use")


class PlatformWheel(bdist_wheel):
    """Names the platform of a wheel that has libraries. They are loaded by ctypes, so any Python 3 can use them."""

    def finalize_options(self) -> None:
        self.distribution.has_ext_modules = lambda: True
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        built = Path(self.get_finalized_command("build_py").build_lib, LIBRARIES)
        return "py3", "none", super().get_tag()[2] if any(built.glob("*.so")) else "any"
