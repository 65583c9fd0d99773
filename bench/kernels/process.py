"""Programs that answer one JSON object a line: ours, and peer_worker.py with the peers."""
import json, os, pathlib, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))
# Every library's own word for how many threads it may use.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class BenchError(Exception):
    pass


class Process:
    """`cores`: what it may run on. One thread stays on one core, the same for all that are compared."""

    def __init__(self, name, command, cores, environment=None, log=None):
        self.name = name
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, env={**os.environ, **(environment or {})}, preexec_fn=lambda: os.sched_setaffinity(0, cores))

    def ask(self, op, **request):
        try:
            self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchError(f"{self.name} died at {op} {request}, exit code {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"{self.name}: {op} {request}: {answer['error']}\n{answer.get('trace', '')}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cores_for(threads):
    return CORES[-1:] if threads == 1 else CORES[:threads]


def ours(program, threads):
    return Process(pathlib.Path(program).name, [program], cores_for(threads))


def peers(threads, cache):
    # The ensemble splits rows over threads or processes of its own: libraries beneath it use one each.
    environment = {variable: "1" for variable in THREAD_VARIABLES}
    environment |= {"DRIFTSEAL_BENCH_THREADS": str(threads), "DRIFTSEAL_BENCH_CACHE": str(cache)}
    with open(pathlib.Path(cache) / "peers.log", "a") as log:  # what the libraries have to say; errors are answers
        return Process("peers", [sys.executable, "-W", "ignore", HERE / "peer_worker.py"], cores_for(threads),
                       environment, log)
