"""The limits of this machine (bench_limits.h), and how near the kernels come to them."""
import statistics

import measure

NAMES = ("fma", "gather", "load_l1", "load_l2", "select", "byte_dot", "copy")


def measure_limits(one, everyone, settings):
    """Rates by instruction set on one thread, and of the best one on all cores."""
    sides = [(one, isa) for isa in one.target if isa != "scalar"]
    if everyone is not one:
        sides.append((everyone, one.best_isa))
    timers = {}
    for side, isa in sides:
        for name in NAMES:
            if name == "copy" and isa != side.best_isa:
                continue  # The C library's: the same for every instruction set.
            timers[side.threads, isa, name] = lambda side=side, isa=isa, name=name: side.ours.ask(
                "limit", isa=isa, threads=side.threads, name=name, seconds=settings.seconds / 2)
    out = []
    for (threads, isa, name), runs in measure.interleave(timers, settings.repetitions).items():
        if any(run["target"] != one.target[isa] for run in runs):
            raise measure.process.BenchError(f"limit {name}: forced to {isa}, another ran")
        out.append({"name": name, "isa": isa, "threads": threads, "unit": runs[0]["unit"],
                    "per_second": statistics.median(run["per_second"] for run in runs),
                    "per_cpu_second": statistics.median(run["per_cpu_second"] for run in runs)})
    return out


def fractions(measured, *sections):
    """Of every kernel on one thread: the least time that its work takes at the measured rates, as a share of what it
    took. The largest of these bounds is the limit; processor time on both sides, which other programs disturb least."""
    rates = {(entry["isa"], entry["name"]): entry["per_cpu_second"] for entry in measured if entry["threads"] == 1}
    out, seen = [], set()
    for comparison in (comparison for section in sections for comparison in section):
        work = comparison["shape"]["work"].get(comparison["kernel"])
        if work is None or comparison["threads"] != 1:
            continue
        for isa in comparison["entries"]:
            key = comparison["kernel"], comparison["model"], isa
            bounds = {name: amount / rates[isa, name] for name, amount in work.items() if (isa, name) in rates}
            if not bounds or key in seen:
                continue
            seen.add(key)
            limit = max(bounds, key=bounds.get)
            rate = comparison["entries"][isa]["rows_per_cpu_second"]
            out.append({"kernel": key[0], "model": key[1], "isa": isa, "limit": limit, "work_per_row": work[limit],
                        "rows_per_second_at_limit": 1 / bounds[limit], "rows_per_second": rate,
                        "fraction": rate * bounds[limit]})
    return out
