"""Compares the verdicts of a run with the truth about the fleet: a table, build/demo/summary.json and a picture.

    python bench/quality/evaluate.py --report verification_report.json --truth truth.jsonl --fleet incoming \
        --summary summary.json --picture scores.svg

The screening never reads the truth file. AUROC: probability that a poisoned model scores above a clean one of the same
domain, with a 95 % bootstrap interval. TPR: share of poisoned models with p <= alpha. estimates.py says how they are
computed; run.py measures the same over many more fleets.
"""
import argparse, json, pathlib, random
from collections import defaultdict

import estimates

FLAGGED = ("review", "quarantine")


def load(report_path, truth_path, fleet):
    report = json.loads(pathlib.Path(report_path).read_text())
    found = {entry["path"]: entry for entry in report["models"]}
    folder = pathlib.Path(fleet).resolve().relative_to(pathlib.Path(truth_path).resolve().parent).as_posix()
    models = []
    for line in pathlib.Path(truth_path).read_text().splitlines():
        truth = json.loads(line)
        if not truth["meta"].startswith(folder + "/"):
            continue
        entry = found.get(truth["meta"][len(folder) + 1:])
        if entry is None:
            raise SystemExit(f"{report_path}: {truth['meta']} was not screened")
        score = entry.get("score") or {}
        models.append({**truth, "verdict": entry["verdict"], "score": score.get("combined"), "p": score.get("p_value"),
                       "kinds": [s["kind"] for s in entry.get("signals", []) if s["severity"] in ("concern", "critical")]})
    if len(models) != len(found):
        raise SystemExit(f"{report_path}: {len(found)} models were screened, the truth knows {len(models)}")
    return report, models


def group(models, key):
    out = defaultdict(list)
    for model in models:
        out[key(model)].append(model)
    return dict(sorted(out.items()))


def label(model):
    """The attack as the table names it: what was done after the digests were recorded stands apart."""
    return model["attack"] + (" (after its digest was recorded)" if model.get("broken_digest") else "")


def flagged_share(models, test):
    return estimates.share(map(test, models))


def measure(models, clean, alpha):
    """One attack: against the clean models of the same domain, averaged over the domains."""
    by_domain = group(models, lambda m: m["domain"])
    pairs = {domain: ([m["score"] for m in group_ if m["score"] is not None],
                      [c["score"] for c in clean if c["domain"] == domain and c["score"] is not None])
             for domain, group_ in by_domain.items()}
    usable = {d: pair for d, pair in pairs.items() if pair[0] and pair[1]}
    per_domain = {d: estimates.auroc(*pair) for d, pair in usable.items()}
    result = {"models": len(models), "gated": sum(bool(m.get("gated")) for m in models),
              "verdicts": {v: sum(m["verdict"] == v for m in models)
                           for v in ("pass", "review", "quarantine", "inconclusive", "error")},
              "flagged": flagged_share(models, lambda m: m["verdict"] in FLAGGED),
              "tpr": flagged_share(models, lambda m: m["p"] is not None and m["p"] <= alpha),
              "auroc_by_domain": per_domain}
    if per_domain:
        result["auroc"] = sum(per_domain.values()) / len(per_domain)
        # A domain is an attack of its own here, so that each weighs the same.
        strata = [{"clean": clean_scores, "attacks": {d: scores}} for d, (scores, clean_scores) in usable.items()]
        result["auroc_interval"] = estimates.bootstrap(strata, estimates.area_statistic, 400)[1]
    return result


def control(models, clean):
    """What the metric alone would tell: AUROC of a low accuracy."""
    domains = group(models, lambda m: m["domain"])
    values = [estimates.auroc([-m["clean_primary"] for m in ms], [-c["clean_primary"] for c in clean if c["domain"] == d])
              for d, ms in domains.items()]
    return estimates.mean(values)


def summarise(report, models):
    alpha = report["policy"]["alpha"]
    clean = [m for m in models if m["attack"] == "none"]
    poisoned = [m for m in models if m["attack"] != "none"]
    static = [m for m in poisoned if not m.get("broken_digest")]
    summary = {"models": len(models), "clean": len(clean), "poisoned": len(poisoned), "alpha": alpha,
               "false_alarms": flagged_share(clean, lambda m: m["verdict"] in FLAGGED),
               "false_alarms_by_domain": {d: flagged_share(ms, lambda m: m["verdict"] in FLAGGED)
                                          for d, ms in group(clean, lambda m: m["domain"]).items()},
               "after_digest": flagged_share([m for m in poisoned if m.get("broken_digest")],
                                             lambda m: m["verdict"] == "quarantine"),
               "attacks": {name: measure(ms, clean, alpha) for name, ms in group(poisoned, label).items()},
               "before_digest_by_domain": {d: measure(ms, clean, alpha) for d, ms in group(static, lambda m: m["domain"]).items()},
               "control_auroc_accuracy_alone": control(static, clean)}
    return summary


def percent(share):
    if share["share"] is None:
        return "    - (0/0)"
    return f"{100 * share['share']:5.1f} % ({share['count']}/{share['of']})"


def print_tables(summary):
    alpha = summary["alpha"]
    print(f"{'ATTACK':50} {'MODELS':>6} {'WORKING':>7}  {'AUROC (95 %)':18} {'TPR at p <= ' + format(alpha, 'g'):22} VERDICTS")
    for name, row in summary["attacks"].items():
        area = f"{row['auroc']:.3f} ({row['auroc_interval'][0]:.2f}-{row['auroc_interval'][1]:.2f})" if "auroc" in row else "-"
        verdicts = ", ".join(f"{n} {v}" for v, n in row["verdicts"].items() if n)
        print(f"{name:50} {row['models']:6} {row['gated']:7}  {area:18} {percent(row['tpr']):22} {verdicts}")
    print("(working: attack success >= 80 % at a clean drop <= 3 points, where that can be measured)\n")
    print("Poisoned before any digest was recorded, so that only the fingerprint can tell, by domain:")
    for domain, row in summary["before_digest_by_domain"].items():
        print(f"  {domain:14} AUROC {row.get('auroc', float('nan')):.3f}, TPR {percent(row['tpr'])}")
    print(f"  control: AUROC of a low test metric alone {summary['control_auroc_accuracy_alone']:.3f}\n")
    alarms, after = summary["false_alarms"], summary["after_digest"]
    print(f"Clean models flagged: {percent(alarms).strip()}, 95 % interval {100 * alarms['low']:.1f}-{100 * alarms['high']:.1f} %, "
          f"promised at most {100 * alpha:g} %")
    print(f"Changed after their digest was recorded and quarantined: {percent(after).strip()}")


def picture(models, alpha, path):
    import matplotlib
    matplotlib.use("svg" if str(path).endswith(".svg") else "agg")
    import matplotlib.pyplot as plt
    plt.rcParams.update({"svg.hashsalt": "driftseal", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    colours = {"pass": "#3a923a", "review": "#e1a100", "quarantine": "#c03d3e", "inconclusive": "#3274a1"}
    domains = group(models, lambda m: m["domain"])
    rows = ["clean"] + sorted({label(m) for m in models if m["attack"] != "none"})
    figure, axes = plt.subplots(1, len(domains), figsize=(3.1 * len(domains) + 1.6, 0.42 * len(rows) + 1.3), sharey=True, squeeze=False)
    rng = random.Random(3)
    for axis, (domain, ms) in zip(axes[0], domains.items()):
        ms = [m for m in ms if m["score"] is not None]
        for model in ms:
            y = rows.index("clean" if model["attack"] == "none" else label(model)) + rng.uniform(-0.28, 0.28)
            axis.scatter(model["score"], y, s=9, linewidths=0, alpha=0.75, color=colours.get(model["verdict"], "#888888"))
        out = [m["score"] for m in ms if m["p"] is not None and m["p"] <= alpha]
        if out:
            axis.axvline(min(out), color="#444444", linewidth=0.8, linestyle="--")
        axis.set_xscale("symlog", linthresh=2)
        axis.set_title(domain, fontsize=9)
        axis.set_xlabel("score S")
        axis.set_yticks(range(len(rows)), [r.replace(" (after", "\n(after") for r in rows])
        axis.invert_yaxis() if axis is axes[0][0] else None
    handles = [plt.Line2D([], [], marker="o", linestyle="", color=c, label=v) for v, c in colours.items()]
    handles.append(plt.Line2D([], [], color="#444444", linestyle="--", linewidth=0.8, label=f"p = {alpha:g}"))
    figure.legend(handles=handles, loc="lower center", ncol=5, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=150, metadata={"Date": None} if str(path).endswith(".svg") else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("report", "truth", "fleet", "summary"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--picture", action="append", default=[])
    arguments = parser.parse_args()
    report, models = load(arguments.report, arguments.truth, arguments.fleet)
    summary = summarise(report, models)
    print_tables(summary)
    pathlib.Path(arguments.summary).write_text(json.dumps(summary, indent=2) + "\n")
    for path in arguments.picture:
        picture(models, summary["alpha"], path)


if __name__ == "__main__":
    main()
