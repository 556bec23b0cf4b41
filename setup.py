"""The parts of a wheel that pyproject.toml cannot name: compiled kernels, weights, settings.

colcon builds the package by package.xml and CMakeLists.txt instead.
"""

import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py


class BuildModules(build_py):
    """Puts weights and settings beside the modules; editable installs read those of the sources."""

    def run(self) -> None:
        """Start afresh, so that nothing of an earlier version gets into a wheel."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for folder in ("config", "models"):
                shutil.copytree(folder, Path(self.build_lib, "streampetr_ros", "share", folder))


class BuildKernel(build_ext):
    """Builds a library for ctypes, which fits every Python; scripts/setup builds its own."""

    def run(self) -> None:
        """Leave the sources as they are."""
        if not self.editable_mode:
            super().run()

    def get_ext_filename(self, fullname: str) -> str:
        """Name the file as CMakeLists.txt does."""
        return f"{fullname.replace('.', '/')}.so"


kernels = [
    Extension(
        f"streampetr_ros.{name}",
        [f"native/{name}.c"],
        extra_compile_args=["-std=c11", "-O3"],
        optional=True,  # Pillow resizes without it, and JPEG pictures are checked less strictly
    )
    for name in ("resize", "jpeg")
]
setup(ext_modules=kernels, cmdclass={"build_py": BuildModules, "build_ext": BuildKernel})
