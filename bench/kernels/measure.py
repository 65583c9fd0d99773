"""Checks, then times: our kernels and their peers in turn, so that a slow minute of the machine hits all of them."""
import math, os, statistics, sys, time

import numpy as np

import bounds, models, peers, process

MEMBERS = tuple(name for name, _ in peers.MEMBERS)  # in the order of kernels/ensemble/ensemble.h


def median(runs, key):
    return statistics.median(run["rows"] / run[key] for run in runs)


class Side:
    """Our program and the peers with the same model and rows, on the same number of threads."""

    def __init__(self, settings, threads):
        self.settings, self.threads = settings, threads
        self.ours = process.ours(settings.program, threads)
        self.peers = None
        self.target = {isa["name"]: isa["target"] for isa in self.ours.ask("machine")["isas"]}
        self.best_isa = next(iter(self.target))
        self.scratch = settings.directory / f"scores-{os.getpid()}-{threads}.bin"

    def load(self, model, rows, with_peers=True):
        self.model = model
        self.shape = self.ours.ask("load", model=str(model.arrays), rows=str(rows))
        if with_peers:
            self.peers = self.peers or process.peers(self.threads, self.settings.directory)
            self.peers.ask("load", estimators=str(model.path / "estimators.joblib"), rows=str(rows))
        self.rows, self.references = models.read_rows(rows), {}

    def close(self):
        for side in (self.ours, self.peers):
            if side is not None:
                side.close()
        self.scratch.unlink(missing_ok=True)

    def reference(self, kernel, count):
        if (kernel, count) not in self.references:
            members = MEMBERS if kernel == "ensemble" else (kernel,)
            parts = []
            for member in members:
                self.ours.ask("reference", kernel=member, count=count, output=str(self.scratch))
                parts.append(np.fromfile(self.scratch))
            self.references[kernel, count] = np.stack(parts)
        return self.references[kernel, count]

    def check(self, name, kernel, count, dtype, bound):
        """Stops where scores in the scratch file are not the reference's; returns the largest error of the bound."""
        scores = np.fromfile(self.scratch, dtype)  # before the reference takes the file
        reference = self.reference(kernel, count)
        if scores.size != reference.size:
            raise process.BenchError(f"{name}: {scores.size} scores of {kernel}, expected {reference.size}")
        worst = 0.0
        members = MEMBERS if kernel == "ensemble" else (kernel,)
        for member, got, expected in zip(members, scores.reshape(reference.shape), reference):
            share = np.abs(got - expected) / bound(member, self.model, self.rows[:expected.size], expected)
            row = int(np.argmax(np.where(np.isnan(share), np.inf, share)))
            if not share[row] <= 1:
                raise process.BenchError(
                    f"{name} scores row {row} of {self.model.name} {member} {got[row]!r}, the double reference "
                    f"{expected[row]!r}: {share[row]:.3g} times the bound. Nothing is timed.")
            worst = max(worst, float(share[row]))
        return worst

    def check_ours(self, kernel, isa, count, batch=None):
        answer = self.ours.ask("score", kernel=kernel, isa=isa, threads=self.threads, count=count,
                               batch=batch or count, output=str(self.scratch))
        if answer["target"] != self.target[isa]:
            raise process.BenchError(f"{kernel} was forced to {isa} ({self.target[isa]}), {answer['target']} ran")
        return self.check(f"our {kernel} ({isa})", kernel, count, np.float32, bounds.ours)

    def check_peer(self, library, kernel, variant, batch, count):
        self.peers.ask("score", kernel=kernel, variant=variant, batch=batch, count=count, output=str(self.scratch))
        return self.check(f"{library} ({variant})", kernel, count, np.float64, bounds.peer)

    def variants(self, kernel, library):
        """Those to try; a quick run takes the one that is usually the fastest."""
        names = [variant.__name__ for variant in peers.PEERS[kernel][library]
                 if self.threads > 1 or not getattr(variant, "own_processes", False)]
        return names[:1] if self.settings.quick else names

    def timer_ours(self, kernel, isa, count, batch=None):
        """A function that times one repetition."""
        request = dict(kernel=kernel, isa=isa, threads=self.threads, count=count, batch=batch or count)
        first = self.ours.ask("time", **request)
        request["passes"] = max(1, math.ceil(self.settings.seconds * count / first["rows"] / first["seconds"]))

        def run():
            answer = self.ours.ask("time", **request)
            if answer["target"] != self.target[isa]:
                raise process.BenchError(f"{kernel} was forced to {isa}, {answer['target']} ran")
            return answer
        return run

    def timer_peer(self, kernel, tuned, count):
        passes = max(1, math.ceil(self.settings.seconds * tuned["rows_per_second"] / count))
        request = dict(kernel=kernel, variant=tuned["variant"], batch=tuned["batch"], count=count, passes=passes)
        return lambda: self.peers.ask("time", **request)

    def compare(self, kernel, count, libraries=None, isas=None):
        """Ours on each instruction set of `isas` and the fastest variant of each library on the first `count` rows."""
        checked = min(count, self.settings.checked)
        entries, timers = {}, {}
        for isa in isas or [self.best_isa]:
            # A transposition alone has no scores; those of every kernel begin with one.
            error = self.check_ours(kernel, isa, checked) if kernel != "transpose" else 0.0
            entries[isa] = {"isa": isa, "target": self.target[isa], "largest_error_of_bound": error}
            timers[isa] = self.timer_ours(kernel, isa, count)
        for library in peers.PEERS.get(kernel, ()) if libraries is None else libraries:
            tuned = self.peers.ask("tune", kernel=kernel, variants=self.variants(kernel, library), count=count)
            error = self.check_peer(library, kernel, tuned["variant"], min(tuned["batch"], checked), checked)
            entries[library] = {**tuned, "largest_error_of_bound": error}
            del entries[library]["rows_per_second"]
            timers[library] = self.timer_peer(kernel, tuned, count)
        runs = interleave(timers, self.settings.repetitions)
        for name, entry in entries.items():
            entry |= {"rows_per_second": median(runs[name], "seconds"), "runs": runs[name]}
            # Processes that a peer starts are not in its own time.
            if not getattr(getattr(peers, entry.get("variant", ""), None), "own_processes", False):
                entry["rows_per_cpu_second"] = median(runs[name], "cpu_seconds")
        return {"kernel": kernel, "model": self.model.name, "features": self.model.features, "shape": self.shape,
                "threads": self.threads, "rows": count, "best_isa": next(iter(entries)), "entries": entries}


def interleave(timers, repetitions):
    runs = {name: [] for name in timers}
    for _ in range(repetitions):
        for name, timer in timers.items():
            runs[name].append(timer())
    return runs


def ratio(comparison, library, key="rows_per_second"):
    """How many times the library's rate ours is."""
    entries = comparison["entries"]
    return entries[comparison["best_isa"]][key] / entries[library][key]


class Stopwatch:
    def __init__(self):
        self.start = time.monotonic()

    def __call__(self, text):
        """Says what begins; returns the seconds since the start."""
        seconds = time.monotonic() - self.start
        print(f"[{seconds:5.0f} s] {text}", file=sys.stderr, flush=True)
        return seconds


def middle(answers, keys):
    return {key: statistics.median(answer[key] for answer in answers) for key in keys}
