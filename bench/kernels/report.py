"""The tables of a run."""


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def short(number):
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g} "


def print_limits(result):
    heading("Limits of this machine (a second of processor time)")
    by_isa = {}
    for entry in result["limits"]:
        by_isa.setdefault((entry["isa"], entry["threads"]), {})[entry["name"]] = entry
    names = list(dict.fromkeys(entry["name"] for entry in result["limits"]))
    units = {entry["name"]: entry["unit"] for entry in result["limits"]}
    print(f"{'':20}" + "".join(f"{name:>12}" for name in names))
    print(f"{'':20}" + "".join(f"{units[name]:>12}" for name in names))
    for (isa, threads), rates in by_isa.items():
        # Several threads: what they do together by the clock.
        key = "per_cpu_second" if threads == 1 else "per_second"
        cells = [short(rates[name][key]) if name in rates else "" for name in names]
        print(f"{isa + (f', {threads} threads' if threads > 1 else ''):20}" + "".join(f"{cell:>12}" for cell in cells))


def print_fractions(result):
    heading("Kernels as a share of their limit, one thread")
    print(f"{'kernel':13}{'model':20}{'isa':7}{'limit':>9}{'at limit':>11}{'rows/s':>10}{'share':>8}")
    for entry in result["fractions"]:
        print(f"{entry['kernel']:13}{entry['model']:20}{entry['isa']:7}{entry['limit']:>9}"
              f"{short(entry['rows_per_second_at_limit']):>11}{short(entry['rows_per_second']):>10}"
              f"{entry['fraction']:8.2f}")


def print_comparison(comparison):
    best = comparison["entries"][comparison["best_isa"]]
    print(f"{comparison['kernel']}, {comparison['model']}, {comparison['threads']} thread(s), "
          f"{comparison['rows']} rows")
    for name, entry in comparison["entries"].items():
        ratio = best["rows_per_second"] / entry["rows_per_second"]
        how = f"{entry['variant']}, batch {entry['batch']}" if "variant" in entry else f"target {entry['target']}"
        cpu = f"{'':10}"
        if "rows_per_cpu_second" in entry:
            cpu = f"{best['rows_per_cpu_second'] / entry['rows_per_cpu_second']:10.2f}"
        print(f"  {name:20}{short(entry['rows_per_second']):>10}{ratio:10.2f}{cpu}"
              f"{entry['largest_error_of_bound']:11.2g}  {how}")


def print_comparisons(title, comparisons):
    heading(title)
    print(f"  {'':20}{'rows/s':>10}{'ours ×':>10}{'by CPU':>10}{'error':>11}  (largest, as a share of the bound)")
    for comparison in comparisons:
        print_comparison(comparison)


def print_latency(result):
    heading("One row a call, µs")
    print(f"{'':14}{'p50':>9}{'p90':>9}{'p99':>9}{'p99.9':>9}  calls")
    for kernel, entry in result["latency"].items():
        cells = "".join(f"{entry['median'][key]:9.2f}" for key in ("p50", "p90", "p99", "p999"))
        print(f"{kernel:14}{cells}  {entry['runs'][0]['calls']} with {entry['runs'][0]['distinct_rows']} distinct rows")


def print_scaling(result):
    heading("Nanoseconds a row (of processor time)")
    lines = {}
    for point in result["scaling"]:
        lines.setdefault((point["axis"], point["kernel"], point["name"]), []).append(point)
    for (axis, kernel, name), points in lines.items():
        key = "ns_per_row" if axis == "threads" else "cpu_ns_per_row"
        cells = "  ".join(f"{point['size']}: {point[key]:.4g}" for point in points)
        print(f"{kernel + ' against ' + axis:28}{name:16}{cells}")


def print_targets(result):
    heading("Targets on a CPU")
    print(f"{'':66}{'target':>9}{'measured':>10}{'by CPU':>8}  met")
    for entry in result["targets"]:
        sign = "≤" if entry["unit"] == "µs" else "≥"
        cpu = f"{entry['measured_cpu']:8.2f}" if "measured_cpu" in entry else f"{'':8}"
        print(f"{entry['name']:66}{sign} {entry['target']:<4}{entry['unit']:3}{entry['measured']:10.2f}{cpu}  "
              f"{'yes' if entry['met'] else 'NO'}")


def print_all(result):
    machine = result["machine"]
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; load "
          f"{machine['load_average'][0]:.1f} at the start, {machine['load_average_at_end'][0]:.1f} at the end; {result['repetitions']} repetitions, "
          f"{result['seconds']:.0f} s")
    print_limits(result)
    print_fractions(result)
    print_comparisons("Against peers, medians of repetitions in turn", result["peers"])
    print_comparisons("Each instruction set, forced", result["instruction_sets"])
    print_latency(result)
    print_scaling(result)
    print_targets(result)
