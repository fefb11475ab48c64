"""A step of `pip install .` (pyproject.toml, cmdclass): installs what the clone holds now, and nothing of before."""

import shutil

from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """Copies the modules to an empty build/lib. Setuptools itself would keep modules there that were deleted since."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
