"""What the kernels are held to on a CPU, and whether a run met it."""
import dataclasses

import process


@dataclasses.dataclass(frozen=True)
class Case:
    """A model whose kernel is compared with libraries, one thread each."""

    kernel: str
    features: int
    trees: int | None
    vectors: int | None
    libraries: tuple | None  # None: all there are
    at_least: dict           # library -> how many times its rate

    def __str__(self):
        size = f"{self.trees} trees" if self.kernel == "forest" else f"{self.vectors} support vectors"
        return f"{self.kernel}, {size}, {self.features} features"


SVM_TARGETS = {"scikit-learn": 85, "ONNX Runtime": 25, "NumPy GEMM + exp": 7.5}
CASES = (
    Case("forest", 32, 200, None, None, {"scikit-learn": 20, "tl2cgen": 28, "ONNX Runtime": 75}),
    Case("forest", 128, 200, None, ("scikit-learn",), {"scikit-learn": 12}),
    Case("forest", 32, 500, None, ("scikit-learn",), {"scikit-learn": 12}),
    Case("svm", 32, None, 449, None, SVM_TARGETS),
    Case("svm", 32, None, 1024, None, SVM_TARGETS),
)
ENSEMBLE = 50            # times scikit-learn, all cores each
AVX2_OF_AVX512 = 0.4
ONE_ROW_P99 = 60         # µs, whole ensemble


def _entry(name, target, measured, met, unit="×"):
    return {"name": name, "target": target, "measured": measured, "unit": unit, "met": bool(met)}


def _speedup(comparison, library, at_least, name):
    entries = comparison["entries"]
    ours, theirs = entries[comparison["best_isa"]], entries[library]
    ratio = ours["rows_per_second"] / theirs["rows_per_second"]
    entry = _entry(f"{name}, against {library}", at_least, ratio, ratio >= at_least)
    if "rows_per_cpu_second" in theirs:
        entry["measured_cpu"] = ours["rows_per_cpu_second"] / theirs["rows_per_cpu_second"]
    return entry


def judge(result):
    out = []
    for case, comparison in zip(CASES, result["peers"]):
        out += [_speedup(comparison, library, least, str(case)) for library, least in case.at_least.items()]
    for comparison in result["peers"]:
        if comparison["kernel"] == "ensemble" and comparison["threads"] == len(process.CORES):
            out.append(_speedup(comparison, "scikit-learn", ENSEMBLE, f"ensemble, {comparison['threads']} cores"))
    for comparison in result["instruction_sets"]:
        entries = comparison["entries"]
        if comparison["kernel"] == "transpose" or not {"avx2", "avx3"} <= entries.keys():
            continue
        ratio, by_cpu = (entries["avx2"][key] / entries["avx3"][key]
                         for key in ("rows_per_second", "rows_per_cpu_second"))
        out.append(_entry(f"{comparison['kernel']}, AVX2 against AVX-512", AVX2_OF_AVX512, ratio,
                          ratio >= AVX2_OF_AVX512) | {"measured_cpu": by_cpu})
    p99 = result["latency"]["ensemble"]["median"]["p99"]
    out.append(_entry("ensemble, one row a call, p99", ONE_ROW_P99, p99, p99 <= ONE_ROW_P99, "µs"))
    return out
