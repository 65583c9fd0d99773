"""The processes of the benchmark: the engine, the empty service, and the load generator that answers in JSON."""

import json, os, pathlib, signal, statistics, subprocess, threading, time

HERE = pathlib.Path(__file__).resolve().parent
CORES = sorted(os.sched_getaffinity(0))
SECONDS = 60  # within which a server starts or ends


class BenchError(Exception):
    pass


class Server:
    """A server in a process of its own, from the time it listens."""

    def __init__(self, command, port_file, log, core=None):
        port_file.unlink(missing_ok=True)
        self.log, self.ended = log, False
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        if core is not None:
            os.sched_setaffinity(self.process.pid, {core})
        end = time.monotonic() + SECONDS
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise BenchError(f"{command[0]} {command[1]} does not serve: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        self.ports = json.loads(port_file.read_text())
        self.address, self.pid = f"127.0.0.1:{self.ports['grpc']}", self.process.pid

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.ended = True

    def stop(self):
        if self.ended:
            return
        self.ended = True
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise BenchError(f"{self.log}: the server did not end after SIGTERM") from None
        if code != 0:
            raise BenchError(f"the server ended with {code}: {self.log.read_text(errors='replace')[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class MemoryWatch:
    """Resident memory of a process, twice a second."""

    def __init__(self, pid):
        self.pid, self.samples, self.over = pid, [], threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        began = time.monotonic()
        while True:
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    self.samples.append((time.monotonic() - began, int(line.split()[1]) * 1024))
            if self.over.wait(0.5):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def summary(self):
        """The slope is that of the last two thirds: what a server allocates once it has allocated by then."""
        late = [(t, rss) for t, rss in self.samples if t >= self.samples[-1][0] / 3]
        slope = statistics.linear_regression(*zip(*late)).slope if len(late) > 2 else 0.0
        return {
            "first_mb": self.samples[0][1] / 1e6,
            "last_mb": self.samples[-1][1] / 1e6,
            "peak_mb": max(rss for _, rss in self.samples) / 1e6,
            "slope_mb_per_minute": slope * 60 / 1e6,
        }


class Load:
    """The load generator."""

    def __init__(self, program):
        self.program = program

    def ask(self, command, *arguments, core=None, **options):
        words = [str(self.program), command, *map(str, arguments)]
        for name, value in options.items():
            words += [
                "--" + name.replace("_", "-"),
                *(map(str, value) if isinstance(value, (list, tuple)) else [str(value)]),
            ]
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=pin)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
        return json.loads(done.stdout)

    def served(self, command, server, **options):
        """A measurement of a server; an answer that is wrong, or a call that failed, ends the run."""
        result = self.ask(command, address=server.address, server_pid=server.pid, **options)
        if result["wrong"] or result["failed"]:
            raise BenchError(f"{command} {options}: {result['wrong']} wrong answers, failed calls: {result['failed']}")
        return result


def median(values):
    return statistics.median(values)
