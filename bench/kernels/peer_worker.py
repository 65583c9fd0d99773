"""Answers requests about the peers, one JSON object a line, as driftseal-kernel-bench answers them for our kernels.

    {"op": "load", "estimators": FILE, "rows": FILE or null}            estimators.joblib is our own (models.py)
    {"op": "prepare", "variants": [V, ...]}                             converts and compiles what is not in the cache
    {"op": "tune", "kernel": K, "variants": [V, ...], "count": N}       the fastest of the variants and its best batch
    {"op": "score", "kernel": K, "variant": V, "count": N, "batch": B, "output": FILE}
    {"op": "time", "kernel": K, "variant": V, "count": N, "batch": B, "passes": N}

The threads of the libraries are set from outside (process.py): most read the environment when they are imported.
"""
import concurrent.futures, json, multiprocessing, os, sys, time, traceback

import joblib
import numpy as np

import models, peers

THREADS = int(os.environ["DRIFTSEAL_BENCH_THREADS"])
TRIES = 2  # of each batch size; the faster one counts


def prepare_files(job):
    estimators, variant = job
    getattr(peers, variant).files(joblib.load(estimators))


class Worker:
    def load(self, estimators, rows):
        self.file, self.estimators = estimators, joblib.load(estimators)
        self.rows = models.read_rows(rows) if rows else ()
        self.made, self.prepared = {}, {}
        return {"rows": len(self.rows)}

    def prepare(self, variants):
        """What takes a peer minutes and then lies in the cache, on as many cores as this process has."""
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(mp_context=context) as pool:
            list(pool.map(prepare_files, [(self.file, v) for v in variants if hasattr(getattr(peers, v), "files")]))
        return {}

    def peer(self, kernel, variant):
        if variant not in self.made:
            kind = next(k for kinds in peers.PEERS[kernel].values() for k in kinds if k.__name__ == variant)
            self.made[variant] = kind(self.estimators, THREADS)
            if hasattr(kind, "prepare_processes"):
                self.made[variant].prepare_processes(self.file, self.rows)
        return self.made[variant]

    def batches(self, kernel, variant, count, batch):
        key = variant, count, batch
        if key not in self.prepared:
            peer = self.peer(kernel, variant)
            self.prepared[key] = [peer.prepare(np.ascontiguousarray(self.rows[i:min(i + batch, count)]))
                                  for i in range(0, count, batch)]
        return self.prepared[key]

    def score(self, kernel, variant, count, batch, output):
        peer = self.peer(kernel, variant)
        parts = [np.asarray(peer.score(rows), np.float64) for rows in self.batches(kernel, variant, count, batch)]
        if kernel == "ensemble":  # member after member within each batch
            parts = np.concatenate([part.reshape(len(self.estimators), -1) for part in parts], axis=1).ravel()
            parts = [parts]
        np.concatenate(parts).tofile(output)
        return {}

    def time(self, kernel, variant, count, batch, passes):
        peer, batches = self.peer(kernel, variant), self.batches(kernel, variant, count, batch)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(passes):
            for rows in batches:
                peer.score(rows)
        return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
                "rows": count * passes}

    def tune(self, kernel, variants, count):
        tried = []
        for variant in variants:
            sizes = [batch for batch in self.peer(kernel, variant).batches if batch <= count] or [count]
            for batch in sizes:
                self.batches(kernel, variant, count, batch)
                seconds = min(self.time(kernel, variant, count, batch, 1)["seconds"] for _ in range(TRIES))
                tried.append({"variant": variant, "batch": batch, "rows_per_second": count / seconds})
        best = max(tried, key=lambda entry: entry["rows_per_second"])
        return {**best, "tried": tried}


def main():
    worker = Worker()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Libraries that print do not disturb the protocol.
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("op"))(**request)
        except Exception as error:  # Whatever a library throws is the answer.
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
