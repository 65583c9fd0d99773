"""Who may call: tokens made by `driftseal token`, TLS and mutual TLS with certificates made by openssl."""

import datetime
import hashlib
import re
import signal
import stat
import subprocess

import grpc

import engine
from engine import Engine, TestCase, await_that, run


class Token(TestCase):
    def make(self, *arguments):
        return run("token", *arguments, "--tokens-file", self.folder / "tokens")

    def test_is_shown_once_and_kept_as_its_hash(self):
        result = self.check(self.make("registry", "--scope", "score,verify"), 0)
        token = result.stdout.strip()
        self.assertRegex(token, r"^ds_[A-Za-z0-9_-]{43}$")
        text = (self.folder / "tokens").read_text()
        self.assertNotIn(token, text)
        self.assertIn("sha256:" + hashlib.sha256(token.encode()).hexdigest(), text)
        self.assertEqual(stat.S_IMODE((self.folder / "tokens").stat().st_mode), 0o600)
        other = self.check(self.make("registry", "--scope", "score"), 0)
        self.assertNotEqual(other.stdout, result.stdout)
        self.assertEqual(len((self.folder / "tokens").read_text().splitlines()), 2)

    def test_goes_behind_a_last_line_that_has_no_end(self):
        path = self.folder / "tokens"
        path.write_text("# mine")
        path.chmod(0o600)
        self.check(self.make("a", "--scope", "admin"), 0)
        lines = path.read_text().split("\n")
        self.assertEqual(lines[0], "# mine")
        self.assertTrue(lines[1].startswith("a "))
        self.assertEqual(lines[2:], [""])

    def test_what_is_wrong_is_told_and_nothing_is_written(self):
        path = self.folder / "tokens"
        yesterday = (datetime.date.today() - datetime.timedelta(days=1)).isoformat()
        for arguments, word in (
            (["a"], "--scope"),
            (["a", "--scope", "root"], "root"),
            (["a b", "--scope", "score"], '"a b"'),
            (["a\nb admin x", "--scope", "score"], "a\\nb"),
            (["#a", "--scope", "score"], '"#a"'),
            (["", "--scope", "score"], '""'),
            (["a", "--scope", "score", "--expires", "soon"], "--expires"),
            (["a", "--scope", "score", "--expires", "2027-02-30"], "--expires"),
            (["a", "--scope", "score", "--expires", yesterday], "past"),
        ):
            result = self.check(self.make(*arguments), 2)
            self.assertIn(word, result.stderr)
            self.assertEqual(result.stdout, "")
            self.assertFalse(path.exists(), arguments)

    def test_a_file_that_the_engine_would_refuse_is_not_added_to(self):
        path = self.folder / "tokens"
        path.write_text("nonsense\n")
        path.chmod(0o600)
        result = self.make("a", "--scope", "score")
        self.assertIn(result.returncode, (2, 3))
        self.assertIn("tokens", result.stderr)
        self.assertEqual(path.read_text(), "nonsense\n")

    def test_many_at_once_lose_no_line(self):
        command = [engine.DRIFTSEAL, "token", "a", "--scope", "score", "--tokens-file", str(self.folder / "tokens")]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(8)]
        tokens = {process.communicate(timeout=60)[0] for process in running}
        self.assertEqual(len(tokens), 8)
        self.assertEqual(len((self.folder / "tokens").read_text().splitlines()), 8)


class Tokens(TestCase):
    def token(self, name: str, scope: str, *more) -> str:
        result = run("token", name, "--scope", scope, "--tokens-file", self.folder / "tokens", *more)
        return self.check(result, 0).stdout.strip()

    def test_are_asked_for_and_let_do_what_their_scope_says(self):
        score, admin = self.token("team", "score"), self.token("boss", "admin")
        with Engine(self.folder, "--tokens-file", self.folder / "tokens") as one:

            def status(path, token, *flags):
                return one.curl(path, *(["-H", f"Authorization: Bearer {token}"] if token else []), *flags)[0]

            activate = ("--json", '{"detector": "x@1"}')
            self.assertEqual(status("/v1/detectors", None), 401)
            self.assertEqual(status("/v1/detectors", score[:-1] + "x"), 401)
            self.assertEqual(status("/v1/detectors", score), 200)
            self.assertEqual(status("/v1/activate", score, *activate), 403)
            self.assertEqual(status("/v1/activate", admin, *activate), 404, "let in, and there is no such detector")
            for path in ("/health", "/healthz", "/readyz", "/metrics", "/openapi.json"):
                self.assertEqual(status(path, None), 200, path)
            with one.channel() as channel, self.assertRaises(grpc.RpcError) as refused:
                channel.unary_unary("/driftseal.v1.Detectors/List")(b"", timeout=20)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
            metrics = one.curl("/metrics")[1]
            self.assertIn('driftseal_http_refused_total{code="UNAUTHENTICATED"} 2', metrics)
            self.assertIn('driftseal_http_refused_total{code="PERMISSION_DENIED"} 1', metrics)
            self.assertRegex(metrics, r'driftseal_requests_total\{[^}]*code="UNAUTHENTICATED"[^}]*\} 1')
            self.assertEqual(one.stop(), 0)
            self.assertNotIn(score, one.log_path.read_text())
            self.assertEqual({line["code"] for line in one.lines("call")}, {"UNAUTHENTICATED", "PERMISSION_DENIED"})

    def test_are_read_again_on_sighup_and_kept_when_the_file_is_wrong(self):
        first = self.token("a", "score")
        path = self.folder / "tokens"
        with Engine(self.folder, "--tokens-file", path) as one:

            def status(token):
                return one.curl("/v1/detectors", "-H", f"Authorization: Bearer {token}")[0]

            second = self.token("b", "score")
            self.assertEqual((status(first), status(second)), (200, 401))
            one.signal(signal.SIGHUP)
            await_that("the second token", lambda: status(second) == 200)
            good = path.read_text()
            path.write_text("nonsense\n")
            one.signal(signal.SIGHUP)
            error = one.await_line("tokens and certificates stay as they were")
            self.assertIn("tokens", error["error"])
            self.assertEqual((status(first), status(second)), (200, 200))
            path.write_text(good.splitlines()[1] + "\n")  # The first is revoked.
            one.signal(signal.SIGHUP)
            await_that("the end of the first token", lambda: status(first) == 401)
            self.assertEqual(status(second), 200)
            self.assertEqual(one.stop(), 0)

    def test_metrics_can_be_switched_off(self):
        with Engine(self.folder, "--http-metrics=false") as one:
            self.assertEqual(one.curl("/metrics")[0], 404)
            self.assertEqual(one.stop(), 0)


def certificate(folder, name: str, ca: str | None = None):
    """NAME.crt and NAME.key for localhost, signed by the CA of this name or by itself."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)

    new_key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        f"/CN={name}",
        "-keyout",
        f"{name}.key",
    ]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    if ca is None:
        openssl("req", "-x509", *new_key, "-days", "2", "-addext", names, "-out", f"{name}.crt")
    else:
        (folder / "extensions").write_text(f"{names}\nbasicConstraints=CA:FALSE\n")
        openssl("req", *new_key, "-out", f"{name}.csr")
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{ca}.crt",
            "-CAkey",
            f"{ca}.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "extensions",
            "-out",
            f"{name}.crt",
        )
    return folder / f"{name}.crt", folder / f"{name}.key"


class Tls(TestCase):
    def setUp(self):
        super().setUp()
        self.ca, _ = certificate(self.folder, "ca")
        self.server = certificate(self.folder, "server", ca="ca")
        self.flags = ["--tls-cert", self.server[0], "--tls-key", self.server[1]]

    def test_serves_both_and_refuses_clear_text(self):
        with Engine(self.folder, *self.flags) as one:
            self.assertEqual(one.curl("/readyz", "--cacert", self.ca, scheme="https")[0], 200)
            self.assertEqual(one.curl("/readyz")[0] // 100 in (0, 4), True)
            credentials = grpc.ssl_channel_credentials(self.ca.read_bytes())
            with grpc.secure_channel(f"localhost:{one.grpc_port}", credentials) as channel:
                self.assertEqual(engine.health(channel), 1)
            with one.channel() as channel, self.assertRaises(grpc.RpcError):
                engine.health(channel)
            self.assertEqual(one.stop(), 0)

    def test_mutual_tls_wants_a_certificate_of_the_ca(self):
        client = certificate(self.folder, "client", ca="ca")
        stranger = certificate(self.folder, "stranger")
        with Engine(self.folder, *self.flags, "--tls-client-ca", self.ca) as one:

            def status(pair):
                shown = ["--cert", pair[0], "--key", pair[1]] if pair else []
                return one.curl("/v1/detectors", "--cacert", self.ca, *shown, scheme="https")[0]

            self.assertEqual(status(client), 200)
            self.assertEqual(status(stranger), 0)
            self.assertEqual(status(None), 0)
            self.assertEqual(one.stop(), 0)

    def test_a_new_certificate_is_taken_on_sighup(self):
        def serial(port):
            result = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"],
                input="",
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            pem = re.search("-----BEGIN.*?-----END CERTIFICATE-----", result.stdout, re.DOTALL)
            return pem and pem.group()

        with Engine(self.folder, *self.flags) as one:
            before = [serial(one.grpc_port), serial(one.http_port)]
            self.assertTrue(all(before))
            certificate(self.folder, "server", ca="ca")
            one.signal(signal.SIGHUP)
            one.await_line("read tokens and certificates again")
            # gRPC watches the files itself and takes them a moment later.
            await_that("gRPC's new certificate", lambda: serial(one.grpc_port) not in (None, before[0]))
            after = [serial(one.grpc_port), serial(one.http_port)]
            self.assertEqual(after[0], after[1])
            self.assertNotEqual(before[1], after[1])
            (self.folder / "server.key").write_text("no key\n")
            one.signal(signal.SIGHUP)
            one.await_line("tokens and certificates stay as they were")
            self.assertEqual([serial(one.grpc_port), serial(one.http_port)], after)
            self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    engine.main(__name__)
