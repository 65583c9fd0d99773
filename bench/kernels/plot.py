"""One picture of a run: speed against peers, instruction sets, shares of limits, latency, and cost against sizes."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import ticker

COLOURS = {"forest": "#2a6f4e", "svm": "#b5532a", "autoencoder": "#3b5b92", "mahalanobis": "#8a6bb0",
           "neighbours": "#a8892c", "ensemble": "#333333", "transpose": "#999999"}
ISA_SHADES = {"avx3": 1.0, "avx2": 0.75, "sse4": 0.55, "ssse3": 0.4, "scalar": 0.25}
PER_ROW = "ns a row"


def short_title(comparison):
    members = comparison["shape"]["members"]
    kernel = comparison["kernel"]
    cores = f", {comparison['threads']} cores" if comparison["threads"] > 1 else ""
    if kernel == "forest":
        return f"forest, {members['forest']['trees']} trees, {comparison['features']} features"
    if kernel == "svm":
        return f"SVM, {members['svm']['vectors']} vectors, {comparison['features']} features"
    return kernel + cores


def draw_peers(axes, result):
    """How many times each library's rate ours is."""
    bars = []
    for comparison in result["peers"]:
        ours = comparison["entries"][comparison["best_isa"]]["rows_per_second"]
        for name, entry in comparison["entries"].items():
            if "variant" in entry:
                label = f"{short_title(comparison)} / {name}"
                bars.append((label, ours / entry["rows_per_second"], COLOURS[comparison["kernel"]]))
    bars.reverse()
    axes.barh([label for label, _, _ in bars], [value for _, value, _ in bars], color=[c for _, _, c in bars])
    for at, (_, value, _) in enumerate(bars):
        axes.text(value * 1.05, at, f"{value:.3g}×", va="center", fontsize=8)
    axes.set(xscale="log", xlim=(0.8, max(value for _, value, _ in bars) * 2.2), title="Times the peer's rate")
    axes.axvline(1, color="black", lw=0.8)
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.tick_params(axis="y", labelsize=8)
    axes.margins(y=0.01)


def draw_isas(axes, result):
    comparisons = [c for c in result["instruction_sets"] if c["kernel"] != "transpose"]
    isas = list(comparisons[0]["entries"])
    width = 0.8 / len(isas)
    for i, isa in enumerate(isas):
        key = "rows_per_cpu_second"
        rates = [c["entries"][isa][key] / c["entries"][c["best_isa"]][key] for c in comparisons]
        axes.bar([x + (i - (len(isas) - 1) / 2) * width for x in range(len(comparisons))], rates, width, label=isa,
                 color="#2a6f4e", alpha=ISA_SHADES.get(isa, 0.3))
    axes.axhline(0.4, color="#b5532a", lw=0.9, ls="--")
    axes.set_xticks(range(len(comparisons)), [c["kernel"] for c in comparisons], fontsize=8, rotation=20)
    axes.set(title="Forced instruction sets, rate by processor time relative to the best", ylim=(0, 1.12))
    axes.legend(ncol=len(isas), fontsize=7, frameon=False, loc="upper center", columnspacing=0.8, handlelength=1.2)


def draw_fractions(axes, result):
    best = result["peers"][0]["best_isa"]
    entries = [e for e in result["fractions"] if e["isa"] == best and e["kernel"] != "transpose"][::-1]
    labels = [f"{e['kernel']}, {e['model']} ({e['limit']})" for e in entries]
    axes.barh(range(len(entries)), [e["fraction"] for e in entries], color=[COLOURS[e["kernel"]] for e in entries])
    axes.set_yticks(range(len(entries)), labels, fontsize=8)
    axes.set(title="Share of the limit (in brackets), one thread", xlim=(0, 1.1))
    for at, entry in enumerate(entries):
        axes.text(entry["fraction"] + 0.01, at, f"{entry['fraction']:.2f}", va="center", fontsize=8)


def draw_latency(axes, result):
    shares = ("p50", "p90", "p99", "p999")
    for kernel, entry in result["latency"].items():
        axes.plot(range(len(shares)), [entry["median"][share] for share in shares], "o-", ms=3.5,
                  color=COLOURS[kernel], label=kernel)
    axes.set_xticks(range(len(shares)), ["p50", "p90", "p99", "p99.9"])
    axes.set(title="One row a call, µs", yscale="log")
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.legend(fontsize=7, frameon=False)


def draw_scaling(axes, result, axis, title):
    lines = {}
    for point in result["scaling"]:
        if point["axis"] == axis:
            lines.setdefault((point["kernel"], point["name"]), []).append(point)
    for (kernel, name), points in lines.items():
        ours = name == "driftseal"
        axes.plot([p["size"] for p in points], [p["cpu_ns_per_row"] for p in points], "o-" if ours else "s--", ms=3.5,
                  color=COLOURS[kernel], alpha=1 if ours else 0.55, label=kernel if ours else f"{kernel}, {name}")
    axes.set(title=title, xscale="log", yscale="log", ylabel=PER_ROW)
    if axis != "rows":
        sizes = sorted({p["size"] for points in lines.values() for p in points})
        axes.set_xticks(sizes, [f"{size}" for size in sizes])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend above the lines
    axes.legend(fontsize=7, frameon=False, ncol=2, loc="upper left")


def draw_threads(axes, result):
    points = [p for p in result["scaling"] if p["axis"] == "threads"]
    kernels = list(dict.fromkeys(p["kernel"] for p in points))
    threads = sorted({p["size"] for p in points})
    for kernel in kernels:
        by_size = {p["size"]: p["ns_per_row"] for p in points if p["kernel"] == kernel}
        axes.plot(threads, [by_size[threads[0]] / by_size[t] for t in threads], "o-", ms=3.5, color=COLOURS[kernel],
                  label=kernel)
    axes.plot(threads, threads, color="#bbbbbb", lw=0.8, ls="--")
    axes.set_xticks(threads)
    axes.set(title="Threads: times the rate of one", xlabel="threads")
    axes.legend(fontsize=7, frameon=False, loc="upper left")


def draw(result, paths):
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none",
                         "axes.titlesize": 10, "axes.titleweight": "bold", "svg.hashsalt": "driftseal"})
    figure = plt.figure(figsize=(15, 17), layout="constrained")
    rows = figure.subfigures(4, 1, height_ratios=(1.9, 1, 1, 1))  # each with margins of its own
    first = rows[0].subplots(1, 2, width_ratios=(2, 1))
    draw_peers(first[0], result)
    draw_latency(first[1], result)
    second = rows[1].subplots(1, 2)
    draw_isas(second[0], result)
    draw_fractions(second[1], result)
    third = rows[2].subplots(1, 2)
    draw_scaling(third[0], result, "rows", "Rows a call, 32 features")
    draw_scaling(third[1], result, "features", "Features (forest 200 trees, SVM 512 vectors)")
    fourth = rows[3].subplots(1, 3)
    draw_scaling(fourth[0], result, "trees", "Trees, 32 features")
    draw_scaling(fourth[1], result, "vectors", "Support vectors, 32 features")
    draw_threads(fourth[2], result)
    machine = result["machine"]
    figure.suptitle(f"DriftSeal's kernels, {machine['processor']}, {machine['cores']} cores, {machine['date'][:10]}")
    for path in paths:
        figure.savefig(path, dpi=110)
