"""A running `driftseal serve`, and small models for it to look at."""
import csv
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

import command  # noqa: F401 - finds the package
from driftseal.detector_files import safetensors
from driftseal.import_sklearn import export

SECONDS = 60  # within which everything happens that is awaited


class Engine:
    """Listens on a free port, which it keeps over restarts. `folder` holds its state, and perhaps a detector/."""

    def __init__(self, driftseal, folder, root, *flags):
        self.driftseal, self.folder, self.root, self.flags = driftseal, folder, root, flags
        self.ports = folder / "ports.json"
        self.port = 0
        self.process = None

    def start(self):
        self.ports.unlink(missing_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.driftseal, "serve", "--grpc-listen", f"127.0.0.1:{self.port}", "--http-listen", "",
                 "--port-file", self.ports, "--artifact-root", self.root, "--model-dir", self.folder / "detector",
                 "--state-dir", self.folder / "state", *map(str, self.flags)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "HOME": str(self.folder)})
        end = time.monotonic() + SECONDS
        while not self.ports.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the engine did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)  # a file, of which no event tells
        self.port = json.loads(self.ports.read_text())["grpc"]
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def kill(self):
        self.process.kill()
        self.process.wait(SECONDS)

    def stop(self):
        """By SIGTERM. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


def tensors(rng):
    return {"fc1.weight": rng.normal(size=(8, 6)).astype(np.float32), "fc1.bias": rng.normal(size=8).astype(np.float32),
            "fc2.weight": rng.normal(size=(3, 8)).astype(np.float32), "fc2.bias": rng.normal(size=3).astype(np.float32)}


def write_models(folder, count, first=0, **changes):
    """Models of one family with their meta files, without the care that driftseal.meta takes. Returns their names.

    changes: of the meta file's top level, as functions of the place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for place in range(first, first + count):
        rng = np.random.default_rng(place)
        content = safetensors(tensors(rng))
        (folder / f"m{place}.safetensors").write_bytes(content)
        document = {"model_name": f"m{place}", "domain": "vision",
                    "artifacts": {"model_path": f"m{place}.safetensors"},
                    "promotion": {"task": "classification", "primary_metric": "accuracy", "eligible": place % 2 == 0,
                                  "primary": 0.8 + 0.1 * float(rng.random()), "baseline": 0.5},
                    "training": {"samples": 1000, "parameters": 83},
                    "fingerprint": {"model_sha256": hashlib.sha256(content).hexdigest()}}
        document.update({key: change(place) for key, change in changes.items()})
        (folder / f"m{place}.meta.json").write_text(json.dumps(document))
        names.append(f"m{place}.meta.json")
    return names


def make_row_detector(folder, version=1, columns=("a", "b", "c"), seed=1):
    """A detector of rows, named "rows"."""
    rows = np.random.default_rng(seed).normal(size=(300, len(columns)))
    scaler = StandardScaler().fit(rows[:200])
    forest = IsolationForest(n_estimators=20, random_state=seed).fit(scaler.transform(rows[:200]))
    export(folder, scaler=scaler, isolation_forest=forest, feature_names=list(columns), calibration_rows=rows[200:],
           name="rows", version=version)


def make_model_detector(driftseal, models, folder):
    """A detector of the fingerprints of one family's models, half of which calibrate; named "driftseal"."""
    run = lambda *arguments: subprocess.run([driftseal, *map(str, arguments)], capture_output=True, text=True,
                                            timeout=SECONDS, check=True).stdout
    table = list(csv.DictReader(run("fingerprint", models).splitlines()))
    features = [name for name in table[0] if name not in ("path", "family")]
    values = np.array([[float(row[name] or "nan") for name in features] for row in table])
    used = np.isfinite(values).all(axis=0) & (np.ptp(np.nan_to_num(values), axis=0) > 1e-6)
    names, values = [name for name, use in zip(features, used) if use], values[:, used]
    half = len(values) // 2
    scaler = StandardScaler().fit(values[:half])
    forest = IsolationForest(n_estimators=30, random_state=1).fit(scaler.transform(values[:half]))
    schema = folder.with_name(folder.name + ".schema.json")
    schema.write_text(run("schema", "--format", "json"))
    export(folder, scaler=scaler, isolation_forest=forest, feature_names=names, calibration_rows=values[half:],
           name="driftseal", schema=schema, family=table[0]["family"])


def certificates(folder):
    """A CA, a server's and a client's certificate, made with openssl. Returns a function of their paths."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True, timeout=SECONDS)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test CA")
    for name, alternatives in (("server", "DNS:localhost,IP:127.0.0.1"), ("client", "DNS:client")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={alternatives}")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return lambda name: pathlib.Path(folder) / name
