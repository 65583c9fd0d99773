"""Adds to the build what pyproject.toml cannot say: classes of the contract in a wheel, its protos in an sdist."""
import pathlib
import shutil
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import generate_protos  # noqa: E402


class BuildWithProtos(build_py):
    def run(self):
        super().run()
        package = HERE if getattr(self, "editable_mode", False) else pathlib.Path(self.build_lib)
        self.made = generate_protos.generate(package / "driftseal" / "_proto")

    def get_outputs(self, include_bytecode=1):
        return [*super().get_outputs(include_bytecode), *map(str, getattr(self, "made", []))]


class SourceWithProtos(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        shutil.copytree(generate_protos.proto_root() / "driftseal", pathlib.Path(base_dir) / "proto" / "driftseal",
                        dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithProtos, "sdist": SourceWithProtos})
