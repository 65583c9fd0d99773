#!/usr/bin/env python3
"""client/python as users get it: a source distribution, installed from that, away from the repository.

Usage: packaging_test.py
"""
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2] / "client" / "python"
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import driftseal
from driftseal import aio, meta
from driftseal._proto import scoring_pb2
assert "grpc" in sys.modules and driftseal.__file__.startswith(sys.argv[1]), driftseal.__file__
request = scoring_pb2.ScoreRequest(detector="a@1")
assert scoring_pb2.ScoreRequest.FromString(request.SerializeToString()).detector == "a@1"
with driftseal.Client("127.0.0.1:1", retry=driftseal.RetryPolicy(attempts=1), timeout=20) as client:
    try:
        client.health()
    except driftseal.Unavailable as error:
        print("unavailable", error.request_id)
"""


class Packaging(unittest.TestCase):
    def test_a_source_distribution_installs_anywhere(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            sdist = place / self.run_python("-c", SDIST, folder, cwd=PROJECT).split()[-1]
            with tarfile.open(sdist) as archive:
                names = {name.partition("/")[2] for name in archive.getnames()}
            self.assertIn("proto/driftseal/v1/scoring.proto", names)
            self.assertFalse([name for name in names if name.endswith(("_pb2.py", ".binpb"))])
            self.run_python("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index",
                            "--disable-pip-version-check", "--target", str(place / "site"), str(sdist), cwd=place)
            installed = {path.relative_to(place / "site").as_posix() for path in (place / "site").rglob("*")}
            for file in ("driftseal/py.typed", "driftseal/_proto/contract.binpb", "driftseal/_proto/scoring_pb2.pyi",
                         "driftseal_import_sklearn.py", "bin/driftseal-import-sklearn"):
                self.assertIn(file, installed)
            answer = self.run_python("-I", "-c", PROBE, str(place / "site"), cwd=place)
            self.assertRegex(answer, r"^unavailable [0-9a-f]{32}\n$")

    def run_python(self, *arguments, cwd):
        run = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=240,
                             env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout


if __name__ == "__main__":
    unittest.main()
