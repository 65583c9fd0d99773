"""The public contract is linted, and does not break the callers of the last release. Run by ctest, with buf."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASED = ROOT / "proto/released/v1.binpb"
BUF = ""


def buf(*arguments: str, folder: pathlib.Path = ROOT / "proto") -> subprocess.CompletedProcess:
    return subprocess.run([BUF, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def breaking(folder: pathlib.Path) -> subprocess.CompletedProcess:
    return buf("breaking", "--path", "driftseal", "--against", str(RELEASED), folder=folder)


class Contract(unittest.TestCase):
    def test_is_linted(self):
        result = buf("lint")
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_does_not_break_callers_of_the_last_release(self):
        result = breaking(ROOT / "proto")
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_every_method_has_a_rule(self):
        """Access checks and HTTP routes are made from it (options.proto)."""
        methods = 0
        for path in sorted((ROOT / "proto/driftseal/v1").glob("*.proto")):
            for name, body in re.findall(
                r"^  rpc (\w+)\(.*?\) returns \(.*?\)(.*?)^  (?=rpc|//|\})|\Z",
                path.read_text(),
                re.MULTILINE | re.DOTALL,
            ):
                if name:
                    methods += 1
                    self.assertIn("option (rule)", body, f"{path.name}: {name}")
        self.assertGreater(methods, 5)


class Changes(unittest.TestCase):
    """What the check above would say if somebody changed the contract."""

    def changed(self, file: str, old: str, new: str) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "proto"
            shutil.copytree(ROOT / "proto", copy)
            path = copy / "driftseal/v1" / file
            text = path.read_text()
            self.assertEqual(text.count(old), 1, f"{file} has no single {old!r}: adapt this test")
            path.write_text(text.replace(old, new))
            return breaking(copy)

    def check_refused(self, result: subprocess.CompletedProcess, word: str):
        self.assertEqual(result.returncode, 100, result.stdout + result.stderr)
        self.assertIn(word, result.stdout)

    def test_a_deleted_field_is_refused(self):
        self.check_refused(self.changed("scoring.proto", "  string family = 2;\n", ""), '"2"')

    def test_a_renumbered_field_is_refused(self):
        self.check_refused(self.changed("scoring.proto", "string family = 2;", "string family = 17;"), '"2"')

    def test_a_changed_type_is_refused(self):
        self.check_refused(self.changed("scoring.proto", "string family = 2;", "uint64 family = 2;"), "family")

    def test_a_renamed_field_is_refused_because_of_json(self):
        self.check_refused(self.changed("scoring.proto", "string family = 2;", "string kin = 2;"), "kin")

    def test_a_renamed_enum_value_is_refused_because_of_json(self):
        self.check_refused(self.changed("scoring.proto", "PRIORITY_LOW = 1;", "PRIORITY_IDLE = 1;"), "PRIORITY_LOW")

    def test_a_new_field_is_fine(self):
        result = self.changed(
            "scoring.proto", "  string family = 2;\n", "  string family = 2;\n  // New.\n  string new_field = 1000;\n"
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--buf", required=True)
    arguments, rest = parser.parse_known_args()
    BUF = arguments.buf
    unittest.main(argv=[sys.argv[0], *rest])
