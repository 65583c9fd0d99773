"""Rates of scoring: Score against the empty service, ScoreStream against scoring in process, HTTP, reloads."""

from process import median

IN_FLIGHT = (1, 8, 64)
STREAM_ROWS = 256
IN_PROCESS_ROWS = (256, 1024, 4096)  # Rows a call: the best of them is what the stream is held against.


def cpu_us(result):
    """Processor time of both processes a request, µs."""
    return (
        (result["client_cpu_seconds"] + result["server_cpu_seconds"])
        / max(1, result["requests_per_second"] * result["seconds"])
        * 1e6
    )


def unary(bench):
    """Requests of one row. Echo and engine take turns; the ratio is that of each pair of neighbours."""
    runs = {in_flight: {"echo": [], "score": []} for in_flight in IN_FLIGHT}
    for _ in range(bench.repetitions):
        for in_flight, both in runs.items():
            for name, server in (("echo", bench.echo), ("score", bench.engine)):
                both[name].append(
                    bench.load.served(
                        "unary", server, in_flight=in_flight, seconds=bench.seconds, connections=min(2, in_flight)
                    )
                )
    out = {}
    for in_flight, both in runs.items():
        pairs = list(zip(both["echo"], both["score"]))
        out[in_flight] = {
            "echo_per_second": median(echo["requests_per_second"] for echo, _ in pairs),
            "score_per_second": median(score["requests_per_second"] for _, score in pairs),
            "ratio": median(score["requests_per_second"] / echo["requests_per_second"] for echo, score in pairs),
            "cpu_ratio": median(cpu_us(echo) / cpu_us(score) for echo, score in pairs),
            "echo_cpu_us": median(cpu_us(echo) for echo, _ in pairs),
            "score_cpu_us": median(cpu_us(score) for _, score in pairs),
            "echo_p99_us": median(echo["latency_us"]["p99"] for echo, _ in pairs),
            "score_p50_us": median(score["latency_us"]["p50"] for _, score in pairs),
            "score_p99_us": median(score["latency_us"]["p99"] for _, score in pairs),
            "runs": both,
        }
    return out


def stream(bench):
    """Messages of 256 rows on two streams against ScoreBatch with all cores at its best size."""
    runs = {"stream": [], **{rows: [] for rows in IN_PROCESS_ROWS}}
    for _ in range(bench.repetitions):
        for rows in IN_PROCESS_ROWS:
            runs[rows].append(bench.load.ask("in-process", model_dir=bench.detector, rows=rows, seconds=bench.seconds))
        runs["stream"].append(
            bench.load.served("stream", bench.engine, rows=STREAM_ROWS, seconds=bench.seconds, connections=2, window=16)
        )
    rate = {name: median(run["rows_per_second"] for run in all_) for name, all_ in runs.items()}
    best = max(IN_PROCESS_ROWS, key=rate.get)
    ratio = lambda rows: median(s["rows_per_second"] / i["rows_per_second"] for s, i in zip(runs["stream"], runs[rows]))
    return {
        "rows_per_second": rate["stream"],
        "in_process": {rows: rate[rows] for rows in IN_PROCESS_ROWS},
        "best_rows_a_call": best,
        "ratio": ratio(best),
        "ratio_same_size": ratio(STREAM_ROWS),
        "p99_us": median(run["latency_us"]["p99"] for run in runs["stream"]),
        "server_cpu_us_a_row": median(
            r["server_cpu_seconds"] / r["rows_per_second"] / r["seconds"] * 1e6 for r in runs["stream"]
        ),
        "client_cpu_us_a_row": median(
            r["client_cpu_seconds"] / r["rows_per_second"] / r["seconds"] * 1e6 for r in runs["stream"]
        ),
        "in_process_cpu_us_a_row": median(
            r["cpu_seconds"] / r["rows_per_second"] / r["seconds"] * 1e6 for r in runs[best]
        ),
        "runs": {str(name): all_ for name, all_ in runs.items()},
    }


def http(bench):
    """POST /v1/score of one row, as JSON."""
    out = {}
    for connections in (1, 16):
        runs = []
        for _ in range(bench.repetitions):
            run = bench.load.ask(
                "http",
                port=bench.engine.ports["http"],
                server_pid=bench.engine.pid,
                connections=connections,
                seconds=bench.seconds,
            )
            bench.require(not run["failed"], f"HTTP: {run['failed']}")
            runs.append(run)
        out[connections] = {
            "per_second": median(run["requests_per_second"] for run in runs),
            "p50_us": median(run["latency_us"]["p50"] for run in runs),
            "p99_us": median(run["latency_us"]["p99"] for run in runs),
            "runs": runs,
        }
    return out


def reload(bench):
    """100 times the other version, with 32 requests of 8 rows in flight all the while; each answer's rows must all have
    the scores of the one version that it names."""
    result = bench.load.ask(
        "reload",
        address=bench.engine.address,
        server_pid=bench.engine.pid,
        rows=8,
        in_flight=32,
        connections=2,
        load="second",
        activate=("bench@1", "bench@2"),
        times=100,
        pause=0.01 if bench.quick else 0.05,
    )
    bench.require(all(result["answers"].values()), f"not every version answered: {result['answers']}")
    return {
        "activations": result["activations"],
        "failed": sum(result["failed"].values()),
        "wrong": result["wrong"],
        "refused": (result["refused_us"] or {"count": 0})["count"],
        "per_second": result["requests_per_second"],
        "p99_us": result["latency_us"]["p99"],
        "max_us": result["latency_us"]["max"],
        "activation_p50_us": result["activation_us"]["p50"],
        "answers": result["answers"],
        "messages": result["failed"],
    }
