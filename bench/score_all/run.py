"""Measures `driftseal score_all` against a straightforward Python program, in one run on one fleet.

    python bench/score_all/run.py --program build/bin/driftseal --models 100000 --sample 2000 --repetitions 3

Writes the fleet (once), fits both on the same reference, reads every file once so that the page cache is warm, lets
check.py compare what both found, then times them in turn. The Python program runs on a sample of whole folders, since
its rate does not depend on how many follow; score_all runs on the same sample and on the whole fleet. The time of
score_all is that of the whole process; the Python program is spared its imports and its fit. Both times stand in the
table: of the clock, and of the processors, which other work on the machine changes less.
"""
import argparse, json, os, pathlib, platform, statistics, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
SHARD = 500  # As generate.py writes them.
MEMORY_LIMIT = 300 * 10**6
SPEEDUP = 15
CORES = len(os.sched_getaffinity(0))
BASELINES = {  # Name -> options of baseline.py. The first is the one that counts.
    "python": [],
    f"python, {CORES} processes": ["--processes", str(CORES)],
    "python, scored in batches": ["--batch"],
    f"python, {CORES} processes, in batches": ["--processes", str(CORES), "--batch"],
}


def run(command, accepted=(0,)):
    """Wall and CPU seconds, peak resident memory and output of a process and what it waited for.

    A child's peak is at least what this process had when it forked, so this one imports nothing large."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accepted:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{output}")
    measured = {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss * 1024}
    return measured, output


class Bench:
    def __init__(self, arguments):
        self.program, self.directory = arguments.program.resolve(), arguments.directory
        self.models = arguments.models
        self.fleet, self.reference = self.directory / "fleet", self.directory / "reference"
        self.detector, self.reports = self.directory / "detector", self.directory / "reports"
        self.reports.mkdir(parents=True, exist_ok=True)
        shards = -(-arguments.sample // SHARD)
        self.folders = [self.fleet / f"{shard:05d}" for shard in range(shards)]
        self.sample = min(shards * SHARD, self.models)

    def generate(self, folder, models, seed):
        command = [sys.executable, HERE / "generate.py", "--output", folder, "--models", models, "--seed", seed]
        print(run(command)[1], end="", flush=True)

    def fit(self):
        usage, _ = run([self.program, "fit", self.reference, "--model-dir", self.detector])
        print(f"driftseal fit: {usage['seconds']:.1f} s")

    def warm(self):
        files = size = 0
        for folder in (self.fleet, self.reference):
            for parent, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(parent, name), "rb") as file:
                        size += len(file.read())
                    files += 1
        print(f"page cache: {files} files, {size / 1e6:.0f} MB read")

    def score_all(self, paths, report):
        command = [self.program, "score_all", *paths, "--root", self.fleet, "--model-dir", self.detector,
                   "--output-path", self.reports / report, "--restart"]
        usage, _ = run(command, accepted=(0, 1))  # 1: some models are to be reviewed, as α promises.
        models = self.models if paths == [self.fleet] else self.sample
        return {"models": models, **usage}

    def baseline(self, name):
        _, output = run([sys.executable, HERE / "baseline.py", "--reference", self.reference, "--report",
                         self.reports / "baseline.json", *BASELINES[name], *self.folders])
        return json.loads(output)

    def check(self):
        self.baseline("python")
        self.score_all(self.folders, "sample.json")
        print(run([sys.executable, HERE / "check.py", "--report", self.reports / "sample.json", "--baseline",
                   self.reports / "baseline.json"])[1], end="")

    def measure(self, repetitions):
        """Every program in turn, so that a slow minute of the machine falls on all of them."""
        runs = {}
        for repetition in range(repetitions):
            for name in BASELINES:
                runs.setdefault(name, []).append(self.baseline(name))
            runs.setdefault("score_all", []).append(self.score_all(self.folders, "sample.json"))
            runs.setdefault("score_all, whole fleet", []).append(self.score_all([self.fleet], "fleet.json"))
            last = ", ".join(f"{name} {r[-1]['models'] / r[-1]['seconds']:.0f}/s" for name, r in runs.items())
            print(f"repetition {repetition + 1} of {repetitions}: {last}", flush=True)
        return runs


def summarise(runs):
    """Medians over the repetitions; of the memory, the largest."""
    rows = {}
    for name, measured in runs.items():
        models = measured[0]["models"]
        rows[name] = {
            "models": models,
            "models_per_second": statistics.median(models / r["seconds"] for r in measured),
            "models_per_cpu_second": statistics.median(models / r["cpu_seconds"] for r in measured),
            "peak_bytes": max(r["peak_bytes"] for r in measured),
            "runs": measured,
        }
    for row in rows.values():
        row["times_python"] = row["models_per_second"] / rows["python"]["models_per_second"]
        row["times_python_cpu"] = row["models_per_cpu_second"] / rows["python"]["models_per_cpu_second"]
    return rows


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {"processor": model, "cores": CORES, "system": platform.platform(), "python": platform.python_version(),
            "load_average": os.getloadavg()}


def print_table(rows):
    print(f"\n{'':34}{'models':>8}{'models/s':>10}{'× python':>10}{'models/CPU s':>14}{'× python':>10}{'peak MB':>9}")
    for name, row in rows.items():
        print(f"{name:34}{row['models']:8}{row['models_per_second']:10.0f}{row['times_python']:10.1f}"
              f"{row['models_per_cpu_second']:14.0f}{row['times_python_cpu']:10.1f}{row['peak_bytes'] / 1e6:9.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/bin/driftseal"))
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("build/bench/score_all"))
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--reference-models", type=int, default=400)
    parser.add_argument("--sample", type=int, default=2000, help="models that the Python program is timed on")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/bench/score_all.json"))
    arguments = parser.parse_args()
    bench = Bench(arguments)
    bench.generate(bench.fleet, bench.models, 1)
    bench.generate(bench.reference, arguments.reference_models, 2)
    bench.fit()
    bench.warm()
    bench.check()
    rows = summarise(bench.measure(arguments.repetitions))
    print_table(rows)
    whole = rows["score_all, whole fleet"]
    limits = {"times_python": SPEEDUP, "peak_bytes": MEMORY_LIMIT}
    summary = {"format": "driftseal-bench/1", "machine": machine(), "limits": limits, "rows": rows}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(summary, indent=2) + "\n")
    fast, small = whole["times_python"] >= SPEEDUP, whole["peak_bytes"] <= MEMORY_LIMIT
    print(f"\nscore_all on {whole['models']} models: {whole['times_python']:.1f} times as many a second as the Python "
          f"program (at least {SPEEDUP} expected), {whole['peak_bytes'] / 1e6:.0f} MB at most (expected: no more than "
          f"{MEMORY_LIMIT / 1e6:.0f} MB); figures: {arguments.output}")
    return 0 if fast and small else 1


if __name__ == "__main__":
    sys.exit(main())
