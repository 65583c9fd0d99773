"""Cost of a row against the number of rows, features, trees, support vectors and threads."""
import measure, process

FULL = {"rows": (1, 4, 16, 64, 256, 1024, 16_384, 65_536, 1_000_000, 10_000_000),
        "features": (8, 32, 128, 512, 1024), "trees": (50, 100, 200, 500, 1000),
        "vectors": (64, 256, 1024, 4096, 16_384)}
QUICK = {"rows": (1, 64, 1024, 16_384, 1_000_000), "features": (8, 128), "trees": (50, 200),
         "vectors": (64, 1024)}
LARGE_ROWS = 1_000_000   # in memory at once: 128 MB, beyond the caches; ten million are these ten times over
SMALL_ROWS = 65_536      # scored in calls of fewer
CHECKED = 256


class Scaling:
    def __init__(self, bench):
        self.bench, self.settings, self.store = bench, bench.settings, bench.store
        self.sizes = QUICK if self.settings.quick else FULL
        self.points = []

    def measure(self, axis, kernel, timers, side):
        """Timers by size and name; appends nanoseconds a row."""
        repetitions = max(3, self.settings.repetitions // 2)
        for (size, name), runs in measure.interleave(timers, repetitions).items():
            self.points.append({"axis": axis, "kernel": kernel, "name": name, "size": size,
                                "threads": size if axis == "threads" else side.threads, "features": side.model.features,
                                "ns_per_row": 1e9 / measure.median(runs, "seconds"),
                                "cpu_ns_per_row": 1e9 / measure.median(runs, "cpu_seconds")})

    def ours(self, side, kernel, count, batch=None):
        side.check_ours(kernel, side.best_isa, CHECKED, batch=batch and min(batch, CHECKED))
        return side.timer_ours(kernel, side.best_isa, count, batch)

    def rows(self):
        side = self.bench.one
        self.bench.watch("scaling: rows")
        large = [size for size in self.sizes["rows"] if size > SMALL_ROWS]
        for sizes, held in (([size for size in self.sizes["rows"] if size <= SMALL_ROWS], SMALL_ROWS),
                            (large, LARGE_ROWS)):
            side.load(self.bench.ensemble(), self.store.rows(held, 32), with_peers=False)
            for kernel in ("forest", "svm", "ensemble") if held == SMALL_ROWS else ("forest", "svm"):
                # Small calls go over many rows; at one row a call fewer will do.
                timers = {(size, "driftseal"): self.ours(side, kernel, max(size, min(held, 4096 * min(size, 16))),
                                                         batch=min(size, held)) for size in sizes}
                self.measure("rows", kernel, timers, side)

    def models(self, axis, kernel, make, library=None, count=8192):
        """One model a size, loaded in turn: sizes are not interleaved, ours and the library at one size are."""
        side = self.bench.one
        for size in self.sizes[axis]:
            self.bench.watch(f"scaling: {axis}, {kernel}, {size}")
            model = make(size)
            side.load(model, self.store.rows(count, model.features), with_peers=library is not None)
            timers = {(size, "driftseal"): self.ours(side, kernel, count)}
            if library is not None:
                tuned = side.peers.ask("tune", kernel=kernel, variants=side.variants(kernel, library), count=count)
                side.check_peer(library, kernel, tuned["variant"], min(tuned["batch"], CHECKED), CHECKED)
                timers[size, library] = side.timer_peer(kernel, tuned, count)
            self.measure(axis, kernel, timers, side)

    def threads(self):
        """Processor time a row tells what sharing caches and memory costs; time by the clock, what threads bring."""
        self.bench.watch("scaling: threads")
        for side in {self.bench.one, self.bench.all}:
            self.bench.load(side, self.bench.ensemble(), with_peers=False)
        sides = dict.fromkeys((self.bench.one, self.bench.all))
        for kernel in ("forest", "svm", "autoencoder", "mahalanobis", "neighbours", "ensemble"):
            timers = {(side.threads, "driftseal"): self.ours(side, kernel, self.settings.rows) for side in sides}
            self.measure("threads", kernel, timers, self.bench.one)

    def all(self):
        self.rows()
        self.models("features", "forest", lambda n: self.store.model(n, trees=200), "scikit-learn")
        self.models("features", "svm", lambda n: self.store.synthetic_svm(n, 512), "NumPy in place")
        self.models("trees", "forest", lambda n: self.store.model(32, trees=n), "scikit-learn")
        self.models("vectors", "svm", lambda n: self.store.synthetic_svm(32, n), "NumPy in place")
        self.threads()
        return self.points


def measure_scaling(bench):
    return Scaling(bench).all()
