"""Measures the scoring kernels: against the limits of this machine and against their peers, in one run.

    build/bench/venv/bin/python bench/kernels/run.py --program build/bin/driftseal-kernel-bench [--quick]

Everything that is timed has been compared with the double reference before, in this run; a wrong score ends it with an
error. What is compared is timed in turn, several times over, and medians count. docs/benchmarks.md says what each
section is; the tables go to the terminal, everything to build/bench/kernels.json and a plot beside it.
"""
import argparse, datetime, json, os, pathlib, platform, sys

import limits, measure, models, peers, plot, process, report, scaling, targets

FORMAT = "driftseal-kernel-bench/1"
KERNELS = ("forest", "svm", "autoencoder", "mahalanobis", "neighbours")
LATENCY_CALLS = 20_000


class Settings:
    def __init__(self, arguments):
        self.program, self.directory = arguments.program.resolve(), arguments.directory.resolve()
        self.quick = arguments.quick
        self.repetitions = 3 if self.quick else 7
        self.seconds = 0.02 if self.quick else 0.1  # of one repetition, at least
        self.rows = 16_384 if self.quick else 65_536
        self.checked = 1_024 if self.quick else 4_096  # rows compared with the double reference
        self.directory.mkdir(parents=True, exist_ok=True)


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.processor())
    return {"processor": model, "cores": len(process.CORES), "system": platform.platform(),
            "load_average": os.getloadavg(), "date": datetime.datetime.now(datetime.timezone.utc).isoformat()}


class Bench:
    def __init__(self, settings):
        self.settings, self.store = settings, models.Store(settings.directory)
        self.watch = measure.Stopwatch()
        self.one = measure.Side(settings, 1)
        self.all = measure.Side(settings, len(process.CORES)) if len(process.CORES) > 1 else self.one

    def ensemble(self):
        return self.store.model(32, trees=200, vectors=449, others=("autoencoder", "mahalanobis", "neighbours"))

    def load(self, side, model, with_peers=True):
        side.load(model, self.store.rows(self.settings.rows, model.features), with_peers)

    def prepare(self, kernel, libraries):
        """Conversions and compilations on all cores, in a process of their own."""
        worker = process.peers(len(process.CORES), self.settings.directory)
        worker.ask("load", estimators=str(self.one.model.path / "estimators.joblib"), rows=None)
        worker.ask("prepare", variants=[
            variant for library in libraries or peers.PEERS[kernel] for variant in self.one.variants(kernel, library)])
        worker.close()

    def versus_peers(self):
        """The cases of the targets, then every kernel with its peers, one thread each; the ensemble on all cores."""
        out = []
        for case in targets.CASES:
            self.watch(f"against peers: {case}")
            self.load(self.one, self.store.model(case.features, trees=case.trees, vectors=case.vectors))
            self.prepare(case.kernel, case.libraries)
            out.append(self.one.compare(case.kernel, self.settings.rows, case.libraries))
        self.load(self.one, self.ensemble())
        for kernel in (*KERNELS[2:], "ensemble"):
            self.watch(f"against peers: {kernel}")
            self.prepare(kernel, None)
            out.append(self.one.compare(kernel, min(self.settings.rows, 16_384)))
        if self.all is not self.one:
            self.watch("against peers: ensemble, all cores")
            self.load(self.all, self.ensemble())
            out.append(self.all.compare("ensemble", min(self.settings.rows, 32_768)))
        return out

    def instruction_sets(self):
        """Every kernel forced to each instruction set in turn, one thread."""
        out = []
        self.load(self.one, self.ensemble(), with_peers=False)
        for kernel in (*KERNELS, "ensemble", "transpose"):
            self.watch(f"instruction sets: {kernel}")
            isas = [isa for isa in self.one.target if not (self.settings.quick and isa == "scalar")]
            out.append(self.one.compare(kernel, 4_096, libraries=(), isas=isas))
        return out

    def latency(self):
        """Calls of one row, each with a row that was not scored before in that run of calls."""
        self.watch("one row a call")
        self.load(self.one, self.ensemble(), with_peers=False)
        timers = {}
        for kernel in (*KERNELS, "ensemble"):
            self.one.check_ours(kernel, self.one.best_isa, 256, batch=1)
            timers[kernel] = lambda kernel=kernel: self.one.ours.ask(
                "latency", kernel=kernel, isa=self.one.best_isa, threads=1,
                calls=min(LATENCY_CALLS, self.settings.rows))
        runs = measure.interleave(timers, self.settings.repetitions)
        return {kernel: {"isa": self.one.best_isa, "target": self.one.target[self.one.best_isa],
                         "median": measure.middle(answers, ("p50", "p90", "p99", "p999")), "runs": answers}
                for kernel, answers in runs.items()}

    def run(self):
        result = {"format": FORMAT, "machine": machine(), "quick": self.settings.quick,
                  "repetitions": self.settings.repetitions}
        self.watch("limits of this machine")
        result["limits"] = limits.measure_limits(self.one, self.all, self.settings)
        result["peers"] = self.versus_peers()
        result["instruction_sets"] = self.instruction_sets()
        result["fractions"] = limits.fractions(result["limits"], result["peers"], result["instruction_sets"])
        result["latency"] = self.latency()
        result["scaling"] = scaling.measure_scaling(self)
        result["targets"] = targets.judge(result)
        result["machine"]["load_average_at_end"] = os.getloadavg()
        result["seconds"] = self.watch("done")
        return result

    def close(self):
        for side in {self.one, self.all}:
            side.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/bin/driftseal-kernel-bench"))
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("build/bench/kernels"),
                        help="fitted models, rows and compiled peers, kept for the next run")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/bench/kernels.json"))
    parser.add_argument("--quick", action="store_true", help="fewer rows, sizes and repetitions")
    arguments = parser.parse_args()
    bench = Bench(Settings(arguments))
    try:
        result = bench.run()
    except process.BenchError as error:
        print(f"kernel benchmark: {error}", file=sys.stderr)
        return 1
    finally:
        bench.close()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    plots = [arguments.output.with_suffix(ending) for ending in (".svg", ".png")]
    plot.draw(result, plots)
    report.print_all(result)
    print(f"\nFigures: {arguments.output}, {', '.join(map(str, plots))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
