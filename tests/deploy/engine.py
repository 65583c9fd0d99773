"""Starts the real engine as a process, the way an operator does, and calls it with curl and gRPC."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIFTSEAL = ""  # Set by main() of each test.


def run(*arguments, environment=None, folder=None, stdin=None) -> subprocess.CompletedProcess:
    """driftseal with these arguments, to its end."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTSEAL_")} | (environment or {})
    return subprocess.run(
        [DRIFTSEAL, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=surroundings,
        cwd=folder,
        input=stdin,
    )


def await_that(what: str, condition, seconds: float = 30):
    """Returns the first true value of `condition`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {seconds} s")


class Engine:
    """A running `driftseal serve` on free ports, with a folder of its own."""

    def __init__(self, folder, *flags, environment=None, log_format="json"):
        self.folder = pathlib.Path(folder)
        self.port_file = self.folder / "ports.json"
        self.log_path = self.folder / "log"
        (self.folder / "models").mkdir(exist_ok=True)
        arguments = [
            DRIFTSEAL,
            "serve",
            "--port-file",
            self.port_file,
            "--artifact-root",
            self.folder / "models",
            "--state-dir",
            self.folder / "state",
            "--model-dir",
            self.folder / "detector",
            "--grpc-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
            "--log-format",
            log_format,
        ]
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTSEAL_")} | (environment or {})
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*map(str, arguments), *map(str, flags)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=surroundings,
                cwd=folder,
            )

    def __enter__(self):
        await_that("the port file", lambda: self.port_file.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.log_path.read_text()}")
        ports = json.loads(self.port_file.read_text())
        self.grpc_port, self.http_port = ports["grpc"], ports["http"]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def signal(self, number: int):
        self.process.send_signal(number)

    def end(self, seconds: float = 30) -> int:
        """Its exit code; negative where a signal ended it."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.end()

    def lines(self, message: str | None = None) -> list[dict]:
        """Lines of the log, which all are JSON; those with this message."""
        text = self.log_path.read_text()
        parsed = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in parsed if message in (None, line["message"])]

    def await_line(self, message: str, count: int = 1) -> dict:
        return await_that(message, lambda: self.lines(message)[count - 1 : count])[0]

    def curl(self, path: str, *flags, scheme: str = "http") -> tuple[int, str]:
        """Status (0: no connection) and body."""
        command = [
            "curl",
            "-sS",
            "--max-time",
            "20",
            "-w",
            "\n%{http_code}",
            *map(str, flags),
            f"{scheme}://localhost:{self.http_port}{path}",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        body, _, status = result.stdout.rpartition("\n")
        return int(status), body

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")


def health(channel: grpc.Channel) -> int:
    """1: SERVING, 2: NOT_SERVING. HealthCheckRequest is empty, HealthCheckResponse has the status as field 1."""
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    answer = call(b"", timeout=20)
    return answer[1] if answer else 0


def verify(channel: grpc.Channel, path: str):
    """The stream of VerifyEvent; an event begins with 0x0a for progress and 0x12 for the verdict."""
    request = b"\x0a" + bytes([len(path)]) + path.encode()
    return channel.unary_stream("/driftseal.v1.Scoring/Verify")(request, timeout=60)


def large_model(path: pathlib.Path, mebibytes: int):
    """A safetensors file of zeros that takes no room on disk and takes time to hash."""
    size = mebibytes << 20
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with open(path, "wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.truncate(8 + len(header) + size)


class TestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def check(self, result: subprocess.CompletedProcess, code: int):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result


def main(module: str):
    import argparse
    import sys

    parser = argparse.ArgumentParser()
    parser.add_argument("--driftseal", required=True)
    arguments, rest = parser.parse_known_args()
    global DRIFTSEAL  # pylint: disable=global-statement
    DRIFTSEAL = arguments.driftseal
    sys.modules["engine"].DRIFTSEAL = DRIFTSEAL
    unittest.main(module, argv=[sys.argv[0], *rest])
