"""Measures the engine as its clients see it: server and load generator in processes of their own, in one run.

    build/venv/bin/python bench/serve/run.py [--quick]

Served scores have been compared with those in process before anything is timed, every answer is checked while it is,
and what is compared is timed in turn, several times over; medians count. docs/benchmarks.md says what each section is;
the tables go to the terminal, everything to build/bench/serve.json.
"""

import argparse, datetime, json, os, pathlib, platform, shutil, sys, time

import artifacts, latency, report, scoring
from process import CORES, BenchError, Load, Server

FORMAT = "driftseal-serve-bench/1"
BATCH_WAIT_US = 500
SOURCE = pathlib.Path(__file__).resolve().parents[2]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {
        "processor": model,
        "cores": len(CORES),
        "system": platform.platform(),
        "load_average": os.getloadavg(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    }


class Bench:
    def __init__(self, arguments):
        self.program, self.quick = arguments.program.resolve(), arguments.quick
        self.directory = arguments.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.load = Load(arguments.load.resolve())
        self.repetitions, self.seconds = (3, 1.0) if self.quick else (5, 3.0)
        self.models = 2_000 if self.quick else 10_000
        self.replay = self.program.parent / "driftseal-replay"
        self.detector, self.root = self.directory / "detector", self.directory / "root"
        self.began = time.monotonic()
        self.servers = []

    def say(self, what):
        print(f"[{time.monotonic() - self.began:4.0f} s] {what}", flush=True)

    @staticmethod
    def require(condition, message):
        if not condition:
            raise BenchError(message)

    def start(self, name, root, detector, port=0, flags=()):
        """An engine whose state outlives it where its port is given: that is a restart."""
        state = self.directory / f"state-{name}"
        if port == 0:
            shutil.rmtree(state, ignore_errors=True)
        port_file = self.directory / f"{name}.ports"
        server = Server(
            [
                self.program,
                "serve",
                "--grpc-listen",
                f"127.0.0.1:{port}",
                "--http-listen",
                "127.0.0.1:0",
                "--port-file",
                port_file,
                "--artifact-root",
                root,
                "--model-dir",
                detector,
                "--state-dir",
                state,
                "--batch-wait-us",
                BATCH_WAIT_US,
                *flags,
            ],
            port_file,
            self.directory / f"{name}.log",
        )
        self.servers.append(server)
        return server

    def prepare(self):
        self.say("detectors of five members, fitted on 4,096 rows of 32 columns")
        for version, folder in ((1, self.detector), (2, self.root / "second")):
            self.load.ask("fit", output=folder, detector_version=version, replay=self.replay)
        port_file = self.directory / "echo.ports"
        self.echo = Server(
            [self.load.program, "echo", "--port-file", port_file], port_file, self.directory / "echo.log"
        )
        self.servers.append(self.echo)
        self.engine = self.start("scoring", self.root, self.detector)
        self.load.ask("check", address=self.engine.address, model_dir=self.detector)

    def fleet(self):
        """The artifacts and the detector of them, made once."""
        fleet, reference, detector = (
            self.directory / name for name in (f"fleet-{self.models}", "reference", "fleet-detector")
        )
        artifacts.generate(fleet, self.models, 1)
        artifacts.generate(reference, 400, 2)
        if not (detector / "detector_state.json").exists():
            artifacts.fit(self, reference, detector)
        return fleet, detector

    SECTIONS = (
        ("unary", scoring.unary),
        ("stream", scoring.stream),
        ("http", scoring.http),
        ("half_load", latency.half_load),
        ("overload", latency.overloads),
        ("reload", scoring.reload),
        ("verify", artifacts.verify),
        ("crash", artifacts.crash),
    )

    def run(self, only):
        result = {
            "format": FORMAT,
            "machine": machine(),
            "quick": self.quick,
            "repetitions": self.repetitions,
            "batch_wait_us": BATCH_WAIT_US,
        }
        self.prepare()
        for name, measure in self.SECTIONS:
            if only and name not in only:
                continue
            self.say(name)
            result[name] = measure(self)
        result["machine"]["load_average_at_end"] = os.getloadavg()
        result["seconds"] = time.monotonic() - self.began
        return result

    def close(self):
        for server in self.servers:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/bin/driftseal"))
    parser.add_argument("--load", type=pathlib.Path, default=pathlib.Path("build/bin/driftseal-serve-bench"))
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("build/bench/serve"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/bench/serve.json"))
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer artifacts, shorter repetitions")
    parser.add_argument(
        "--only", nargs="*", choices=[name for name, _ in Bench.SECTIONS], help="these sections, without a verdict"
    )
    arguments = parser.parse_args()
    sys.path.insert(0, str(SOURCE / "client" / "python"))
    bench = Bench(arguments)
    try:
        result = bench.run(arguments.only)
    except BenchError as error:
        print(f"benchmark of the engine: {error}", file=sys.stderr)
        return 1
    finally:
        bench.close()
    if arguments.only:
        print(json.dumps({name: result[name] for name in arguments.only}, indent=1))
        return 0
    targets = report.judge(result)
    result["targets"] = [target.as_dict() for target in targets]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    report.print_all(result, targets)
    print(f"\nFigures: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
