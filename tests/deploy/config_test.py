"""Settings: where they come from, what is refused, and what is checked without listening."""

import re

import engine
from engine import ROOT, TestCase, run
from access_test import certificate


class Settings(TestCase):
    def test_errors_of_the_file_name_line_and_column_and_end_with_2(self):
        path = self.folder / "engine.toml"
        path.write_text("batch_rows = 1\nbach_wait_us = 2\nalpha = 'x'\n")
        result = self.check(run("serve", "--config", path), 2)
        self.assertIn(f"{path}:2:1: bach_wait_us: there is no such setting; did you mean batch_wait_us?", result.stderr)
        self.assertIn(f"{path}:3:1: alpha: expected a number", result.stderr)

    def test_errors_of_flags_and_variables_name_them(self):
        result = self.check(run("serve", "--batch-rows", "0", environment={"DRIFTSEAL_LOG_LEVEL": "loud"}), 2)
        self.assertIn("--batch-rows: expected a whole number of rows", result.stderr)
        self.assertIn("DRIFTSEAL_LOG_LEVEL: expected one of debug, info, warning, error", result.stderr)

    def test_a_file_that_is_not_there_ends_with_3(self):
        result = self.check(run("serve", "--config", self.folder / "none.toml"), 3)
        self.assertIn("none.toml", result.stderr)

    def test_flags_win_over_variables_and_those_over_the_file(self):
        path = self.folder / "engine.toml"
        path.write_text("batch_rows = 1\nqueue_rows = 2000\nverify_queue = 3\nhttp_listen = '[::1]:1'\n")
        result = self.check(
            run(
                "serve",
                "--print-config",
                "--batch-rows",
                "5",
                "--port",
                "9",
                environment={"DRIFTSEAL_CONFIG": str(path), "DRIFTSEAL_BATCH_ROWS": "4", "DRIFTSEAL_VERIFY_QUEUE": "6"},
            ),
            0,
        )
        for line in ("batch_rows = 5", "queue_rows = 2000", "verify_queue = 6", 'http_listen = "[::1]:9"'):
            self.assertIn(f"\n{line}\n", result.stdout)

    def test_the_seeds_flags_work(self):
        result = self.check(
            run("serve", "--model-dir", "d", "--host", "0.0.0.0", "--port", "8001", "--print-config"), 0
        )
        self.assertIn('\nhttp_listen = "0.0.0.0:8001"\n', result.stdout)
        self.assertIn('\nmodel_dir = "d"\n', result.stdout)
        self.assertIn(
            '\nhttp_listen = "[::]:8000"\n', self.check(run("serve", "--host", "::", "--print-config"), 0).stdout
        )

    def test_what_is_printed_is_a_file_that_says_the_same(self):
        first = self.check(
            run("serve", "--print-config", "--alpha", "0.123456789", "--http-metrics=false", "--tokens-file", 'a"b\\c'),
            0,
        ).stdout
        path = self.folder / "engine.toml"
        path.write_text(first)
        self.assertEqual(self.check(run("serve", "--print-config", "--config", path), 0).stdout, first)

    def test_the_documentation_is_what_the_program_says(self):
        tables = self.check(run("serve", "--print-settings"), 0).stdout
        text = (ROOT / "docs/operations.md").read_text()
        self.assertIn(tables, text, "docs/operations.md: run scripts/settings-doc")

    def test_help_names_every_setting_with_its_default(self):
        text = self.check(run("serve", "--help"), 0).stdout
        for name in re.findall(r"^\| `(\w+)`", self.check(run("serve", "--print-settings"), 0).stdout, re.MULTILINE):
            self.assertIn("--" + name.replace("_", "-"), text)


class CheckConfig(TestCase):
    def run_check(self, *flags):
        (self.folder / "models").mkdir(exist_ok=True)
        return run(
            "serve",
            "--check-config",
            "--artifact-root",
            self.folder / "models",
            "--state-dir",
            self.folder / "state",
            "--model-dir",
            self.folder / "detector",
            *flags,
        )

    def refused(self, code: int, word: str, *flags):
        result = self.check(self.run_check(*flags), code)
        self.assertIn(word, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir() if path.name == "state"), [])

    def test_what_is_good_is_shown_and_nothing_is_written(self):
        run("token", "a", "--scope", "score", "--tokens-file", self.folder / "tokens")
        cert, key = certificate(self.folder, "server")
        before = sorted(self.folder.rglob("*"))
        result = self.check(
            self.run_check(
                "--tokens-file",
                self.folder / "tokens",
                "--tls-cert",
                cert,
                "--tls-key",
                key,
                "--tls-client-ca",
                cert,
                "--grpc-listen",
                "0.0.0.0:1",
            ),
            0,
        )
        self.assertIn("The configuration is good.", result.stdout)
        self.assertIn("0.0.0.0:1, mutual TLS", result.stdout)
        self.assertIn("1 credentials", result.stdout)
        self.assertEqual(
            sorted(p for p in self.folder.rglob("*") if p.name != "models"), [p for p in before if p.name != "models"]
        )

    def test_files_that_are_not_there(self):
        cert, key = certificate(self.folder, "server")
        self.refused(3, "artifact_root", "--artifact-root", self.folder / "none")
        self.refused(3, "tokens_file", "--tokens-file", self.folder / "none")
        self.refused(3, "tls_cert", "--tls-cert", self.folder / "none", "--tls-key", key)
        self.refused(3, "tls_key", "--tls-cert", cert, "--tls-key", self.folder / "none")
        self.refused(3, "port_file", "--port-file", self.folder / "none/ports.json")

    def test_a_key_of_another_certificate(self):
        cert, _ = certificate(self.folder, "server")
        _, key = certificate(self.folder, "other")
        result = self.run_check("--tls-cert", cert, "--tls-key", key)
        self.assertIn(result.returncode, (2, 3), result.stdout)
        self.assertIn("tls_key", result.stderr)

    def test_a_certificate_without_its_key(self):
        self.refused(2, "tls_key", "--tls-cert", "a.crt")

    def test_addresses_for_others_without_tokens(self):
        for flag in ("--grpc-listen", "--http-listen"):
            self.refused(2, "allow_anonymous", flag, "0.0.0.0:0")
            self.refused(2, "allow_anonymous", flag, "[::]:0")
        self.check(self.run_check("--grpc-listen", "0.0.0.0:0", "--allow-anonymous"), 0)

    def test_tokens_that_cannot_be_read_or_that_everybody_can(self):
        tokens = self.folder / "tokens"
        tokens.write_text("a score sha256:12\n")
        tokens.chmod(0o600)
        result = self.run_check("--tokens-file", tokens)
        self.assertIn(result.returncode, (2, 3))
        self.assertIn("tokens:1", result.stderr)
        tokens.write_text("")
        tokens.chmod(0o644)
        self.refused(3, "tokens", "--tokens-file", tokens)

    def test_a_detector_that_does_not_load(self):
        (self.folder / "detector").mkdir()
        (self.folder / "detector/detector_state.json").write_text("{}")
        result = self.run_check()
        self.assertIn(result.returncode, (2, 3))
        self.assertIn("detector_state.json", result.stderr)

    def test_a_backend_that_there_is_not(self):
        self.refused(2, "backend", "--backend", "abacus")

    def test_a_state_folder_that_cannot_be_made(self):
        (self.folder / "file").write_text("")
        self.refused(3, "state_dir", "--state-dir", self.folder / "file/state")


if __name__ == "__main__":
    engine.main(__name__)
