"""What callers wait: at half the load there can be, and when three times as much is offered as can be scored.

Open loop: requests are due at times drawn beforehand and their latency counts from there, whatever happened to those
before them. The generator is one more process on the same cores, so that what it does to be on time is part of it all.
"""

from process import MemoryWatch, median

# Name, backend, rows a request, what is told of each row, in flight when the peak is measured (the best counts: of too
# many some are refused, and asking again takes what scoring needs). The generator works on the server's cores: only
# where scoring is dear against sending is nearly all of them the server's at three times the peak, so that dear shapes
# tell what the server does and cheap ones what the machine can carry.
SHAPES = (
    ("512 rows in double precision", "reference", 512, "scores", (2, 4)),
    ("512 rows, with drivers", "auto", 512, "drivers", (4, 8)),
    ("512 rows", "auto", 512, "scores", (8, 16)),
    ("one row", "auto", 1, "scores", (64, 256)),
)
HALF, MOST, OVER = 0.5, 0.8, 3.0


def open_loop(bench, server, rows, detail, rate, seconds, seed=1):
    return bench.load.served(
        "unary", server, rows=rows, detail=detail, rate=rate, seconds=seconds, connections=2, seed=seed
    )


def half_load(bench):
    """One-row requests at 50 % of the rate that 64 in flight reach; the empty service at the same rate beside it."""
    runs = []
    for repetition in range(bench.repetitions):
        peak = bench.load.served("unary", bench.engine, in_flight=64, seconds=bench.seconds, connections=2)
        rate = HALF * peak["requests_per_second"]
        pair = {
            name: open_loop(bench, server, 1, "scores", rate, 2 * bench.seconds, seed=repetition + 1)
            for name, server in (("echo", bench.echo), ("score", bench.engine))
        }
        runs.append({"peak_per_second": peak["requests_per_second"], **pair})
    at = lambda name, quantile: median(run[name]["latency_us"][quantile] for run in runs)
    return {
        "peak_per_second": median(run["peak_per_second"] for run in runs),
        "score_p50_us": at("score", "p50"),
        "score_p99_us": at("score", "p99"),
        "score_p999_us": at("score", "p999"),
        "echo_p99_us": at("echo", "p99"),
        "late_p99_us": median(run["score"]["late_us"]["p99"] for run in runs),
        "refused": sum((run["score"]["refused_us"] or {"count": 0})["count"] for run in runs),
        "runs": runs,
    }


def overload(bench, engine, rows, detail, in_flight):
    """Peak, 80 % of it, three times of it for a minute, and the peak again: a machine that others use is not the same
    before and after."""
    seconds = 10 if bench.quick else 60

    def closed():
        runs = [
            bench.load.served(
                "unary", engine, rows=rows, detail=detail, in_flight=most, seconds=2 * bench.seconds, connections=2
            )
            for most in in_flight
        ]
        return max(runs, key=lambda run: run["requests_per_second"])

    before = closed()
    most = open_loop(bench, engine, rows, detail, MOST * before["requests_per_second"], seconds / 3)
    with MemoryWatch(engine.pid) as memory:
        over = open_loop(bench, engine, rows, detail, OVER * before["requests_per_second"], seconds)
    after = closed()
    peak = median([before["requests_per_second"], after["requests_per_second"]])
    refused = over["refused_us"] or {"count": 0, "p99": float("nan")}
    since_sent = over["refused_since_sent_us"] or {"p99": float("nan")}
    return {
        "rows": rows,
        "detail": detail,
        "peak_per_second": peak,
        "offered_per_second": OVER * before["requests_per_second"],
        "sent_share": 1 - over["unsent"] / max(1, over["unsent"] + over["late_us"]["count"]),
        "goodput_per_second": over["requests_per_second"],
        "goodput_ratio": over["requests_per_second"] / peak,
        "refused": refused["count"],
        "refused_p99_us": refused["p99"],
        "refused_since_sent_p99_us": since_sent["p99"],
        "late_p99_us": over["late_us"]["p99"],
        "p99_us": over["latency_us"]["p99"],
        "p99_at_80_us": most["latency_us"]["p99"],
        "p99_ratio": over["latency_us"]["p99"] / most["latency_us"]["p99"],
        "seconds": seconds,
        "memory": memory.summary(),
        "client_cores": over["client_cpu_seconds"] / over["seconds"],
        "server_cores": over["server_cpu_seconds"] / over["seconds"],
        "runs": {"before": before, "most": most, "over": over, "after": after},
    }


def overloads(bench):
    engines = {"auto": bench.engine}
    engines["reference"] = bench.start("double", bench.root, bench.detector, flags=("--backend", "reference"))
    return {name: overload(bench, engines[backend], *shape) for name, backend, *shape in SHAPES}
