"""The figures as tables, and what they are held to."""


class Target:
    def __init__(self, measure, wanted, measured, met):
        self.measure, self.wanted, self.measured, self.met = measure, wanted, measured, bool(met)

    def as_dict(self):
        return {"measure": self.measure, "wanted": self.wanted, "measured": self.measured, "met": self.met}


def milliseconds(us):
    return f"{us / 1000:.2f} ms"


def judge(result):
    """The table of docs/benchmarks.md: what the engine is held to, and what it came to."""
    batch_limit = result["batch_wait_us"]
    out = []
    for in_flight, row in result["unary"].items():
        out.append(
            Target(
                f"Score of one row against an empty service, {in_flight} in flight",
                "≥ 85 %",
                f"{row['ratio']:.0%}",
                row["ratio"] >= 0.85,
            )
        )
    stream = result["stream"]
    for name, ratio in (("in the same calls", "ratio_same_size"), ("at its best size of call", "ratio")):
        measure = f"ScoreStream of 256-row messages against the same rows in process {name}"
        out.append(Target(measure, "≥ 80 %", f"{stream[ratio]:.0%}", stream[ratio] >= 0.8))
    half = result["half_load"]
    limit = batch_limit + 2000
    out.append(
        Target(
            "p99 of Score at 50 % load",
            f"≤ {milliseconds(limit)}",
            milliseconds(half["score_p99_us"]),
            half["score_p99_us"] <= limit,
        )
    )
    for name, row in result["overload"].items():
        # What it would have grown by in the time of the measurement; a heap that breathes is flat.
        grown = row["memory"]["slope_mb_per_minute"] * row["seconds"] / 60
        bound = max(2.0, 0.05 * row["memory"]["peak_mb"])
        out += [
            Target(
                f"{name}, 3× for {row['seconds']} s: goodput against the peak",
                "≥ 95 %",
                f"{row['goodput_ratio']:.0%}",
                row["goodput_ratio"] >= 0.95,
            ),
            Target(
                f"{name}: refused within, p99",
                "< 5 ms",
                milliseconds(row["refused_p99_us"]) if row["refused"] else "none refused",
                row["refused"] and row["refused_p99_us"] < 5000,
            ),
            Target(
                f"{name}: admitted p99 against that at 80 %",
                "≤ 1.5×",
                f"{row['p99_ratio']:.2f}×",
                row["p99_ratio"] <= 1.5,
            ),
            Target(f"{name}: memory flat", f"≤ {bound:.1f} MB", f"{grown:+.1f} MB", grown <= bound),
        ]
    verify = result["verify"]
    exact = not (verify["missing"] or verify["duplicates"] or verify["different"])
    out.append(
        Target(
            f"{verify['artifacts']} artifacts through VerifyStream",
            "0 lost, 0 twice, 0 other than verify_all's",
            f"{verify['missing']}, {verify['duplicates']}, {verify['different']}",
            exact,
        )
    )
    again = result["reload"]
    bad = again["failed"] + again["wrong"] + again["refused"]
    out.append(
        Target(
            f"{again['activations']} reloads under full load",
            "0 failed",
            str(bad),
            bad == 0 and again["activations"] == 100,
        )
    )
    crash = result["crash"]
    wrong = [crash[name] for name in ("missing", "duplicates", "not_stored", "changed", "errors")]
    out.append(
        Target(
            f"kill -9 and restart, {crash['kills']} times in a stream",
            "0 lost, twice, not stored, changed, errors",
            ", ".join(map(str, wrong)),
            not any(wrong),
        )
    )
    return out


def print_table(title, heads, rows):
    """Columns as wide as they need to be, the first to the left."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    print(f"\n{title}")
    for row in [heads, *rows]:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:])]
        print("  ".join([f"  {row[0]:{widths[0]}}", *cells]))


def print_unary(result):
    rows = [
        [
            in_flight,
            f"{row['echo_per_second']:.0f}",
            f"{row['score_per_second']:.0f}",
            f"{row['ratio']:.0%}",
            f"{row['echo_cpu_us']:.1f}",
            f"{row['score_cpu_us']:.1f}",
            f"{row['cpu_ratio']:.0%}",
            f"{row['score_p50_us']:.0f}",
            f"{row['score_p99_us']:.0f}",
        ]
        for in_flight, row in result["unary"].items()
    ]
    heads = ["in flight", "empty/s", "engine/s", "ratio", "empty CPU µs", "engine CPU µs", "ratio", "p50 µs", "p99 µs"]
    print_table("Score of one row against an empty service; CPU of both processes, a request", heads, rows)


def print_rows(result):
    stream = result["stream"]
    rows = [[f"in process, {n} a call", f"{rate / 1e6:.2f}", ""] for n, rate in stream["in_process"].items()]
    rows[-1][2] = f"{stream['in_process_cpu_us_a_row']:.2f}"
    both = f"{stream['server_cpu_us_a_row']:.2f} + {stream['client_cpu_us_a_row']:.2f}"
    rows.append(["ScoreStream, 256 a message", f"{stream['rows_per_second'] / 1e6:.2f}", both])
    print_table("Rows scored; CPU of the server + of the client", ["", "M rows/s", "CPU µs a row"], rows)


def print_waiting(result):
    half = result["half_load"]
    us = lambda row, name: f"{row[name]:.0f}"
    rows = [
        ["Score at 50 %", us(half, "score_p50_us"), us(half, "score_p99_us"), f"{half['peak_per_second'] / 2:.0f}"],
        ["empty service, the same", "", us(half, "echo_p99_us"), f"{half['peak_per_second'] / 2:.0f}"],
        ["generator's own lateness", "", us(half, "late_p99_us"), ""],
    ]
    for connections, row in result["http"].items():
        name = f"HTTP, {connections} connections"
        rows.append([name, us(row, "p50_us"), us(row, "p99_us"), us(row, "per_second")])
    print_table("One row a request, µs", ["", "p50", "p99", "requests/s"], rows)


def print_overload(result):
    rows = [
        [
            name,
            f"{row['peak_per_second']:.0f}",
            f"{row['offered_per_second']:.0f}",
            f"{row['sent_share']:.0%}",
            f"{row['goodput_per_second']:.0f}",
            f"{row['refused_p99_us'] / 1000:.2f}",
            f"{row['refused_since_sent_p99_us'] / 1000:.2f}",
            f"{row['p99_at_80_us'] / 1000:.2f}",
            f"{row['p99_us'] / 1000:.2f}",
            f"{row['memory']['peak_mb']:.0f}",
            f"{row['client_cores']:.2f}",
        ]
        for name, row in result["overload"].items()
    ]
    heads = ["", "peak/s", "offered/s", "sent", "goodput/s", "refused ms", "since sent ms"]
    heads += ["80 % ms", "admitted ms", "RSS MB", "client cores"]
    print_table("Three times the peak; p99 of waiting for a refusal and for an answer", heads, rows)


def print_artifacts(result):
    verify, again, crash = result["verify"], result["reload"], result["crash"]
    print(
        f"\nVerifyStream {verify['stream_per_second']:.0f} artifacts/s, verify_all {verify['verify_all_per_second']:.0f}"
        f"\nReloads: {again['per_second']:.0f} requests/s meanwhile, p99 {again['p99_us']:.0f} µs, longest "
        f"{again['max_us']:.0f} µs; an activation {again['activation_p50_us']:.0f} µs"
        f"\nKilled after {crash['answered_at_kills']} of {crash['artifacts']} verdicts"
    )


def print_targets(targets):
    rows = [[t.measure, t.wanted, t.measured, "met" if t.met else "NOT MET"] for t in targets]
    print_table("What the engine is held to", ["", "wanted", "measured", ""], rows)


def print_all(result, targets):
    machine = result["machine"]
    load = f"load {machine['load_average'][0]:.1f} at the start, {machine['load_average_at_end'][0]:.1f} at the end"
    print(f"\n{machine['processor']}, {machine['cores']} cores, {machine['system']}; {load}")
    print(f"Medians of {result['repetitions']}, {result['seconds']:.0f} s")
    print_unary(result)
    print_rows(result)
    print_waiting(result)
    print_overload(result)
    print_artifacts(result)
    print_targets(targets)
