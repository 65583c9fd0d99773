"""Ten thousand artifacts: VerifyStream against verify_all, and a stream that outlives the engine."""

import collections, json, subprocess, sys, threading, time

from process import HERE, BenchError, MemoryWatch, median


def generate(folder, models, seed):
    script = HERE.parent / "score_all" / "generate.py"
    done = subprocess.run(
        [sys.executable, script, "--output", folder, "--models", str(models), "--seed", str(seed)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise BenchError(f"{script}: {done.stderr}")


def fit(bench, reference, detector):
    done = subprocess.run([bench.program, "fit", reference, "--model-dir", detector], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"fit: {done.stderr}")


def command_line(bench, root, detector):
    """verify_all as a whole process; its entries by path."""
    report = bench.directory / "verify_all.json"
    words = [
        bench.program,
        "verify_all",
        root,
        "--root",
        root,
        "--model-dir",
        detector,
        "--output-path",
        report,
        "--restart",
    ]
    began = time.perf_counter()
    done = subprocess.run(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):  # 1: some models are to be reviewed, as alpha promises.
        raise BenchError(f"verify_all: {done.stderr}")
    entries = json.loads(report.read_text())["models"]
    for entry in entries:
        entry.get("score", {}).pop("q_value", None)  # Of the fleet as a whole: a stream has no end to adjust for.
    return seconds, {entry["path"]: entry for entry in entries}


def verify(bench):
    """The same folder, in turn, stored verdicts and all; every entry compared."""
    root, detector = bench.fleet()
    runs, different = [], 0
    with bench.start("verify", root, detector) as server:
        for repetition in range(bench.repetitions):
            seconds, wanted = command_line(bench, root, detector)
            output = bench.directory / "verdicts.jsonl"
            with MemoryWatch(server.pid) as memory:
                streamed = bench.load.ask(
                    "verify",
                    address=server.address,
                    server_pid=server.pid,
                    run=f"bench {repetition}",
                    window=256,
                    output=output,
                )
            bench.require(not streamed["failed"], f"VerifyStream: {streamed['failed']}")
            with open(output, encoding="utf-8") as lines:
                entries = [json.loads(line) for line in lines]
            got = {entry["path"]: entry for entry in entries}
            different += sum(got.get(path) != entry for path, entry in wanted.items()) + len(got.keys() - wanted.keys())
            runs.append(
                {
                    "verify_all_per_second": len(wanted) / seconds,
                    "artifacts": len(wanted),
                    "stream": streamed,
                    "memory": memory.summary(),
                }
            )
    return {
        "artifacts": runs[0]["artifacts"],
        "stream_per_second": median(r["stream"]["artifacts_per_second"] for r in runs),
        "verify_all_per_second": median(r["verify_all_per_second"] for r in runs),
        "ratio": median(r["stream"]["artifacts_per_second"] / r["verify_all_per_second"] for r in runs),
        "missing": sum(r["stream"]["missing"] for r in runs),
        "duplicates": sum(r["stream"]["duplicates"] for r in runs),
        "different": different,
        "runs": runs,
    }


class Streaming:
    """The Python SDK's verify_stream on a thread."""

    def __init__(self, address, paths, run):
        self.answers, self.error = [], None
        self.thread = threading.Thread(target=self._work, args=(address, paths, run))
        self.thread.start()

    def _work(self, address, paths, run):
        import driftseal

        try:
            with driftseal.Client(address) as client:
                for answer in client.verify_stream(paths, run=run, report_entry=True):
                    self.answers.append(answer)
        except Exception as error:  # Told by the thread that joins.
            self.error = error


def crash(bench):
    """kill -9 in the middle of a stream, twice, and a restart on the same port: each artifact is answered once, and
    what was answered before is what a second client finds stored under the same run."""
    import driftseal

    root, detector = bench.fleet()
    server = bench.start("crash", root, detector)
    with driftseal.Client(server.address) as client:
        paths = [artifact.path for artifact in client.list_artifacts()]
    stream = Streaming(server.address, paths, "crash")
    kills, answered_at_kills = 2, []
    for kill in range(1, kills + 1):
        while len(stream.answers) < kill * len(paths) // (kills + 2) and stream.thread.is_alive():
            time.sleep(0.001)
        server.kill()
        answered_at_kills.append(len(stream.answers))
        server = bench.start("crash", root, detector, port=server.ports["grpc"])
    stream.thread.join()
    if stream.error:
        raise BenchError(f"the stream did not outlive the engine: {stream.error}")
    times = collections.Counter(answer.id for answer in stream.answers)
    again = Streaming(server.address, paths, "crash")
    again.thread.join()
    if again.error:
        raise BenchError(f"the second client: {again.error}")
    first = {answer.id: answer.verdict and answer.verdict.report_entry for answer in stream.answers}
    server.stop()
    return {
        "artifacts": len(paths),
        "kills": kills,
        "answered_at_kills": answered_at_kills,
        "missing": len(set(paths) - times.keys()),
        "duplicates": sum(count - 1 for count in times.values()),
        "not_stored": sum(not answer.stored_before for answer in again.answers),
        "changed": sum(
            first.get(answer.id) != (answer.verdict and answer.verdict.report_entry) for answer in again.answers
        ),
        "errors": sum(answer.error is not None for answer in stream.answers + again.answers),
    }
