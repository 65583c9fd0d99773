"""The real engine under attack: starts `driftseal serve`, and asks afterwards whether it is still well."""

import base64
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import grpc
import numpy as np

import reflected

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "client" / "python"))

MIB = 1 << 20
SECONDS = 30  # within which anything that is awaited happens; what never happens fails then


def argument():
    """The program under test, from the command line; unittest does not know the flag."""
    at = sys.argv.index("--driftseal")
    program = str(pathlib.Path(sys.argv[at + 1]).resolve())
    del sys.argv[at : at + 2]
    return program


driftseal = argument()
SCHEMA = json.loads(subprocess.run([driftseal, "schema", "--format", "json"], check=True, capture_output=True).stdout)
COLUMNS = len(SCHEMA["features"])


def make_detector(folder):
    """A small detector of fingerprints, of five of their columns."""
    from driftseal.import_sklearn import export
    from sklearn.ensemble import IsolationForest

    rows = np.random.default_rng(1).normal(size=(200, 5))
    export(
        folder,
        isolation_forest=IsolationForest(n_estimators=10, random_state=1).fit(rows),
        calibration_rows=rows,
        feature_names=[feature["name"] for feature in SCHEMA["features"][:5]],
        schema=SCHEMA,
        name="rows",
        version=1,
    )


def safetensors(seed, values=64):
    data = np.random.default_rng(seed).normal(size=values).astype("<f4").tobytes()
    head = json.dumps({"weight": {"dtype": "F32", "shape": [values], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(head)) + head + data


def write_model(folder, name, seed=0, **meta):
    """A model file and its meta file; returns the meta file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    bytes_ = safetensors(seed)
    (folder / f"{name}.safetensors").write_bytes(bytes_)
    content = {
        "model_name": name,
        "domain": "test",
        "promotion": {"task": "classification", "eligible": True},
        "artifacts": {"model_path": f"{name}.safetensors"},
        "fingerprint": {"model_sha256": hashlib.sha256(bytes_).hexdigest()},
        **meta,
    }
    (folder / f"{name}.meta.json").write_text(json.dumps(content))
    return f"{name}.meta.json"


def wait_for(condition, what, seconds=SECONDS):
    """Polls what no event tells: files, counters, memory of another process."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Engine:
    """A running engine with a folder of its own: root/ (artifacts), detector/, state/."""

    def __init__(self, *flags, token=None, folder=None, environment=None):
        self.own = folder is None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="driftseal-hostile-")) if self.own else folder
        self.root, self.detector = self.folder / "root", self.folder / "detector"
        self.root.mkdir(exist_ok=True)
        if not self.detector.exists():
            make_detector(self.detector)
        ports = self.folder / "ports.json"
        ports.unlink(missing_ok=True)
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [
                driftseal,
                "serve",
                "--grpc-listen",
                "127.0.0.1:0",
                "--http-listen",
                "127.0.0.1:0",
                "--port-file",
                ports,
                "--artifact-root",
                self.root,
                "--model-dir",
                self.detector,
                "--state-dir",
                self.folder / "state",
                *map(str, flags),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
        )
        wait_for(lambda: ports.exists() or self.process.poll() is not None, "the port file")
        if self.process.poll() is not None:
            raise AssertionError(f"the engine did not start: {self.said()}")
        found = json.loads(ports.read_text())
        self.grpc_port, self.http_port = found["grpc"], found["http"]
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.channel = self.connect()
        self.api = reflected.Api(self.channel)

    def connect(self, *options):
        return grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}",
            options=(
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                *options,
            ),
        )

    def said(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def status(self, field):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def rss(self):
        """Bytes."""
        return self.status("VmRSS") * 1024

    def peak(self):
        return self.status("VmHWM") * 1024

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rows(self, count=1):
        values = np.random.default_rng(2).normal(size=(count, COLUMNS)).astype("<f4")
        return self.api.message("driftseal.v1.ScoreRequest", rows={"cols": COLUMNS, "float32_le": values.tobytes()})

    def score(self, count=1, channel=None, timeout=SECONDS, metadata=None):
        return self.api.call(
            "driftseal.v1.Scoring",
            "Score",
            self.rows(count),
            channel=channel,
            timeout=timeout,
            metadata=self.metadata if metadata is None else metadata,
        )

    def verify(self, path, **fields):
        """The verdict of a Verify call."""
        request = self.api.message("driftseal.v1.VerifyRequest", path=path, **fields)
        events = list(self.api.call("driftseal.v1.Scoring", "Verify", request, timeout=SECONDS, metadata=self.metadata))
        return events[-1].verdict

    def check(self, channel=None):
        """Health says SERVING and a row is scored."""
        if self.process.poll() is not None:
            raise AssertionError(f"the engine died: exit code {self.process.returncode}\n{self.said()}")
        health = (channel or self.channel).unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=SECONDS)
        if health != b"\x08\x01":
            raise AssertionError(f"health is {health!r}")
        response = self.score(channel=channel)
        if len(response.combined) != 1 or not np.isfinite(response.combined[0]):
            raise AssertionError(f"one row was scored as {response}")

    def settle(self, descriptors, spare=10):
        """Waits until no more descriptors are open than before, but for those that come late: of the channel of the
        tests, of threads that poll."""
        wait_for(
            lambda: self.descriptors() <= descriptors + spare,
            lambda: f"{descriptors + spare} descriptors, there are {self.descriptors()}",
        )

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.channel.close()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("the engine did not end after SIGTERM") from None
        code = self.process.wait()
        self.log.close()
        said = self.said()
        if self.own:
            shutil.rmtree(self.folder)
        if code != 0:
            raise AssertionError(f"the engine ended with {code}: {said}")


class Case(unittest.TestCase):
    """Tests of one engine, which must be well after each of them."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.engine = Engine(*cls.flags)
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.check()

    def setUp(self):
        self.before = self.engine.descriptors()

    def tearDown(self):
        self.engine.check()
        self.engine.settle(self.before)

    def assert_code(self, code, call):
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call()
            if hasattr(answer, "__next__"):
                list(answer)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception


def token_line(client, scopes, expires=""):
    """A new token and its line of the tokens file."""
    token = "ds_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    digest = hashlib.sha256(token.encode()).hexdigest()
    return token, f"{client} {scopes} sha256:{digest} {expires}".rstrip() + "\n"


def main():
    unittest.main(module="__main__")
