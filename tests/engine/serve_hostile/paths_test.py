#!/usr/bin/env python3
"""Paths that lead out of the artifact root, in every field and route that takes one: nothing outside is read, told or
written.

Usage: paths_test.py --driftseal PROGRAM [unittest's arguments]
"""

import hashlib
import http.client
import json
import os
import shutil
import urllib.parse

import grpc

import engine

MARK = "OUTSIDE-OF-THE-ROOT"
# Every field of a request that names a file or folder; test_no_field_is_forgotten holds this against the contract.
FIELDS = {
    ("Scoring", "Score", "fingerprints"),
    ("Scoring", "ScoreStream", "request.fingerprints"),
    ("Scoring", "Verify", "path"),
    ("Scoring", "VerifyStream", "request.path"),
    ("Scoring", "ListArtifacts", "folder"),
    ("Detectors", "Fit", "folder"),
    ("Detectors", "Fit", "paths"),
    ("Detectors", "Load", "folder"),
    ("Integrity", "Backfill", "path"),
    ("Predictions", "Sanitize", "predictions_path"),
    ("Predictions", "Sanitize", "output_path"),
    ("Predictions", "RetrainPlan", "meta_path"),
    ("Predictions", "ScoreModel", "meta_path"),
}
NAMES_OF_PATHS = ("path", "paths", "folder", "folders", "fingerprints", "directory", "file", "files", "root")
FILES = {"folder": "", "predictions_path": "predictions.csv", "output_path": "written.csv"}


def set_field(message, field, value):
    *above, last = field.split(".")
    for name in above:
        message = getattr(message, name)
    if isinstance(getattr(message, last), str):
        setattr(message, last, value)
    else:
        getattr(message, last).append(value)


class Paths(engine.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.outside = cls.engine.folder / "outside"
        engine.write_model(cls.outside, "model", seed=99, domain=MARK, model_name=MARK)
        (cls.outside / "predictions.csv").write_text("y_true,y_pred\n" + "0,1\n" * 100)
        shutil.copytree(cls.engine.detector, cls.outside / "detector")
        state = json.loads((cls.outside / "detector/detector_state.json").read_text())
        (cls.outside / "detector/detector_state.json").write_text(json.dumps({**state, "name": MARK}))
        for file in ("detector_state.json", "detector.safetensors"):
            os.link(cls.outside / "detector" / file, cls.outside / file)
        cls.digest = hashlib.sha256((cls.outside / "model.safetensors").read_bytes()).hexdigest()
        inside = cls.engine.root
        engine.write_model(inside, "good")
        (inside / "predictions.csv").write_text("y_true,y_pred\n" + "0,1\n" * 100)
        (inside / "link").symlink_to(cls.outside)
        (inside / "relative").symlink_to("../outside")
        for name in ("model.meta.json", "model.safetensors", "predictions.csv"):
            (inside / f"link-{name}").symlink_to(cls.outside / name)
        (inside / "a").mkdir()
        os.mkfifo(inside / "pipe.safetensors")
        os.mkfifo(inside / "pipe.meta.json")
        cls.state = {path: path.stat().st_mtime_ns for path in (cls.outside, *cls.outside.rglob("*"))}

    def tearDown(self):
        now = {path: path.stat().st_mtime_ns for path in (self.outside, *self.outside.rglob("*"))}
        self.assertEqual(now, self.state, "something outside was written")
        super().tearDown()

    def escapes(self, file):
        """Ways to a file outside, by their kind."""
        out = os.path.relpath(self.outside / file, self.engine.root)
        quoted = urllib.parse.quote(out, safe="")
        return [
            "../" + out,
            out,
            "a/../" + out,
            "./" + out,
            "//" + out,
            str(self.outside / file),
            "link/" + file,
            "relative/" + file,
            "link-" + (file or "model.meta.json"),
            "a/../link/" + file,
            out + "/",
            out + "\0",
            "good.meta.json\0/../../" + out,
            out.replace("/", "\\"),
            quoted,
            quoted.replace("%2F", "/").replace(".", "%2e"),
            f"file://{self.outside / file}",
            f"/proc/self/cwd/{out}",
            f"/proc/{self.engine.process.pid}/root{self.outside / file}",
            "/proc/self/environ",
            "/dev/zero",
            "/etc/passwd",
            "..",
            "../",
            "a/../..",
            "~root",
            "../" * 5000,
            "a" * 5000,
            "a/" * 3000 + "b",
        ]

    def assert_untold(self, said, *harmless):
        """Nothing of what lies outside is in the answer."""
        for text in harmless:
            said = said.replace(text, "")
        for secret in (MARK, self.digest, "root:", "PATH="):
            self.assertEqual(said.count(secret), 0, f"{secret} is told")

    def call(self, service, name, field, value):
        """What the engine says, as text; errors too."""
        request = self.engine.api.message(self.engine.api.method("driftseal.v1." + service, name).input_type.full_name)
        if (service, name) == ("Predictions", "Sanitize") and field == "output_path":
            request.predictions_path = "predictions.csv"
        if name in ("Verify", "VerifyStream"):
            verify = request if name == "Verify" else request.request
            verify.want_report_entry = True
        if name == "Sanitize":
            request.overwrite = True
        set_field(request, field, value)
        method = self.engine.api.method("driftseal.v1." + service, name)
        given = iter([request]) if method.client_streaming else request
        try:
            answer = self.engine.api.call("driftseal.v1." + service, name, given, timeout=engine.SECONDS)
            answers = list(answer) if method.server_streaming else [answer]
            if name == "Fit":
                watch = self.engine.api.message("driftseal.v1.WatchOperationRequest", name=answers[0].name)
                answers += self.engine.api.call(
                    "driftseal.v1.Detectors", "WatchOperation", watch, timeout=engine.SECONDS
                )
            return " ".join(map(str, answers)), grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.assertNotIn(
                error.code(),
                (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED),
                (field, value, error.details()),
            )
            return f"{error.details()} {error.trailing_metadata()}", error.code()

    def test_no_field_is_forgotten(self):
        found = set()

        def look(message, service, method, prefix):
            for field in message.fields:
                if field.type == field.TYPE_MESSAGE and field.message_type.file.package == message.file.package:
                    look(field.message_type, service, method, f"{prefix}{field.name}.")
                elif field.type == field.TYPE_STRING and any(part in NAMES_OF_PATHS for part in field.name.split("_")):
                    found.add((service, method, prefix + field.name))

        for service, name in self.engine.api.methods():
            look(self.engine.api.method(service, name).input_type, service.rsplit(".", 1)[1], name, "")
        self.assertEqual(found, FIELDS)

    def test_every_field(self):
        for service, name, field in sorted(FIELDS):
            file = FILES.get(field, "model.meta.json")
            files = [file, "model.safetensors"] if file == "model.meta.json" else [file]
            for value in (value for file in files for value in self.escapes(file)):
                with self.subTest(method=name, field=field, value=value[:100]):
                    said, code = self.call(service, name, field, value)
                    self.assert_untold(said, value)
                    if field == "output_path" and (
                        value[0] == "/" or "../" in value or value.startswith(("link/", "relative/"))
                    ):
                        self.assertNotEqual(code, grpc.StatusCode.OK)

    def test_pipes_do_not_hold_a_worker(self):
        for _ in range(20):
            for name in ("pipe.safetensors", "pipe.meta.json"):
                self.call("Scoring", "Verify", "path", name)
        self.assertEqual(self.engine.verify("good.meta.json").path, "good.meta.json")

    def test_meta_files_that_point_outside(self):
        out = os.path.relpath(self.outside / "model.safetensors", self.engine.root)
        for i, path in enumerate(
            (
                out,
                str(self.outside / "model.safetensors"),
                "link/model.safetensors",
                "link-model.safetensors",
                "pipe.safetensors",
                "/dev/zero",
                "a/../" + out,
            )
        ):
            for artifacts in (
                {"model_path": path},
                {"model_path": "good.safetensors", "predictions_path": path},
                {"model_path": "good.safetensors", "related_paths": [path]},
            ):
                with self.subTest(artifacts):
                    name = engine.write_model(self.engine.root / "pointing", f"m{i}", artifacts=artifacts)
                    said, _ = self.call("Scoring", "Verify", "path", f"pointing/{name}")
                    self.assert_untold(said)
                    said, _ = self.call("Integrity", "Backfill", "path", f"pointing/{name}")
                    self.assertNotIn(self.digest, (self.engine.root / "pointing" / name).read_text())

    def test_names_that_are_no_paths(self):
        """Names of detectors, operations and runs reach the disk too."""
        api, evil = self.engine.api, ["../../outside/x", "..", ".", "a/b", "/x", "x\0y", "x" * 300, "a\\b", "a\nb"]
        for name in evil:
            calls = {
                "Fit": ("FitRequest", {"folder": "", "name": name}),
                "Activate": ("ActivateRequest", {"detector": name + "@1"}),
                "RollBack": ("RollBackRequest", {"name": name}),
                "Get": ("GetDetectorRequest", {"detector": name + "@1"}),
                "GetOperation": ("GetOperationRequest", {"name": name}),
                "CancelOperation": ("CancelOperationRequest", {"name": name}),
            }
            for method, (message, fields) in calls.items():
                with self.subTest(method=method, name=name), self.assertRaises(grpc.RpcError) as caught:
                    api.call(
                        "driftseal.v1.Detectors",
                        method,
                        api.message("driftseal.v1." + message, **fields),
                        timeout=engine.SECONDS,
                    )
                self.assertIn(caught.exception.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND))
        self.assertEqual(
            sorted(os.listdir(self.engine.folder)), ["detector", "log", "outside", "ports.json", "root", "state"]
        )

    def http(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.http_port, timeout=engine.SECONDS)
        try:
            connection.putrequest(method, target, skip_host=False, skip_accept_encoding=True)
            data = None if body is None else json.dumps(body).encode()
            if data is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def test_every_http_body(self):
        pages = json.loads(self.http("GET", "/openapi.json")[1])["paths"]
        fields = {
            "meta_path": "model.meta.json",
            "path": "model.meta.json",
            "predictions_path": "predictions.csv",
            "folder": "",
        }
        posts = [path for path, page in pages.items() if "post" in page]
        self.assertGreaterEqual(
            set(posts), {"/score", "/v1/score", "/sanitize_predictions", "/retrain_plan", "/v1/verify"}
        )
        for path in posts:
            for field, file in fields.items():
                for value in self.escapes(file)[:16]:
                    with self.subTest(path=path, field=field, value=value[:100]):
                        status, said = self.http("POST", path, {field: value})
                        self.assertLess(status, 500, said)
                        self.assert_untold(said, value)

    def test_http_targets(self):
        out = os.path.relpath(self.outside, self.engine.root)
        quoted = urllib.parse.quote(out, safe="")
        for target in (
            "/../../etc/passwd",
            "/v1/../../etc/passwd",
            "/v1/detectors/..",
            "/v1/detectors/../../outside",
            f"/v1/detectors/{quoted}",
            f"/v1/detectors/{quoted}@1",
            "/v1/detectors/%2e%2e%2f%2e%2e",
            "/v1/operations/..%2f..",
            "/v1/operations/%00",
            "//etc/passwd",
            "/%2fetc%2fpasswd",
            f"/v1/artifacts?folder={quoted}",
            f"/v1/artifacts?folder=link",
            f"/v1/artifacts?folder={urllib.parse.quote(str(self.outside), safe='')}",
            "/v1/artifacts?folder=%2e%2e",
            "/v1/artifacts?folder=..%00",
            "/v1/artifacts?meta_glob=../**",
            "/openapi.json/../../etc/passwd",
            "/health/..%5c..",
            "/v1/detectors/%c0%ae%c0%ae%c0%af",
        ):
            with self.subTest(target):
                status, said = self.http("GET", target)
                self.assertIn(status, (200, 400, 403, 404, 405), said)
                self.assert_untold(said)
                self.assertNotIn("model.meta.json", said)


if __name__ == "__main__":
    engine.main()
