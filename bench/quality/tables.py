"""The tables of a run, in Markdown: for the terminal, and for docs/quality.md, whose figures nobody types."""
from targets import share_text, with_interval


def percent(entry):
    if entry is None or entry.get("share") is None:
        return "–"
    return f"{100 * entry['share']:.1f} % ({entry['count']}/{entry['of']})"


def number(value):
    return "–" if value is None else f"{value:.3f}"


def value_of(entry):
    return number(None if entry is None else entry["value"])


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def done_table(result):
    verdict = {True: "yes", False: "**no**", None: "–"}
    return table(["What", "Target", "Measured", "Models", "Met"],
                 [[line["what"], line["target"], line["text"], line["where"] or "–", verdict[line["met"]]]
                  for line in result["done"]]) + f"\n\nMeasured by `{result['command']}`."


def summary_table(result):
    rows = []
    for name, told in result["figures"].items():
        mean = told["detection"]["mean"]
        rows.append([name, with_interval(mean.get("auroc")), value_of(told["development"].get("auroc")),
                     value_of(told["held_out"].get("auroc")), percent(told["detection"]["tpr_0.01"]),
                     percent(told["detection"]["tpr_0.05"]), with_interval(mean.get("tpr_at_realised")),
                     with_interval(told["mixed"]["mean"].get("auroc")),
                     with_interval(told["files"]["mean"].get("auroc"))])
    return table(["Family", "Mean AUROC", "development", "held out", "TPR at p ≤ 1 %", "TPR at p ≤ 5 %",
                  "TPR at a realised FPR ≤ 1 %", "AUROC, 5 % poisoned reference", "AUROC, files alone"], rows)


def attack_table(detection):
    rows = []
    for name, told in detection["attacks"].items():
        rows.append([name, f"{told['working']}/{told['plants']}", with_interval(told.get("auroc")),
                     percent(told["tpr_0.01"]), percent(told["tpr_0.05"]),
                     value_of(told.get("tpr_at_realised")), percent(told["flagged_of_failed"]),
                     told["unscored"]])
    return table(["Attack", "Working plants", "AUROC", "TPR at p ≤ 1 %", "TPR at p ≤ 5 %",
                  "TPR at a realised FPR ≤ 1 %", "Failed plants flagged (p ≤ 5 %)", "Not judged by behaviour"], rows)


def alarm_row(name, told):
    return [name, told["models"], share_text(told["alarms_0.01"]), share_text(told["alarms_0.05"]),
            percent(told["out_of_range"]), percent(told["inconclusive"]), percent(told["not_run"])]


ALARM_HEAD = ["Clean models", "Number", "p ≤ 1 %", "p ≤ 5 %", "Out of range", "Inconclusive", "Not run"]


def clean_table(result):
    return table(ALARM_HEAD, [alarm_row(name, told["clean"]) for name, told in result["figures"].items()] +
                 [alarm_row(f"{name}, 5 % poisoned reference", told["mixed"]["clean"])
                  for name, told in result["figures"].items() if name == "all"])


def changed_table(told):
    rows = [alarm_row(name, row) for kind in ("shifts", "variants") for name, row in told[kind].items()]
    rows += [alarm_row("all shifts", told["all_shifts"]), alarm_row("all variants", told["all_variants"])]
    return table(ALARM_HEAD, rows)


def shifted_text(told):
    row = told["under_shift"]
    if row["kept"] is None:
        return "No working plants under shifted recipes."
    return (f"Attacks under shifted recipes: {100 * row['shifted']:.1f} % found at p ≤ 5 % (mean over attacks), under "
            f"the usual one {100 * row['usual']:.1f} %, kept {100 * row['kept']:.0f} %; "
            f"{row['failed_plants']} plants failed.")


def rate_table(told):
    return table(["Poisoned rows", "Working plants", "AUROC", "TPR at p ≤ 5 %"],
                 [[f"{100 * float(rate):g} %", f"{sum(a['working'] for a in row['attacks'].values())}/"
                   f"{sum(a['plants'] for a in row['attacks'].values())}", with_interval(row["mean"].get("auroc")),
                   percent(row["tpr_0.05"])] for rate, row in told["rates"].items()] +
                 [[f"all attacks, {name} training", "", with_interval(row.get("auroc")), number(row.get("tpr_0.05"))]
                  for name, row in told["training"].items()])


def control_table(result):
    return table(["Family", "AUROC of a low clean accuracy", "AUROC with shuffled labels"],
                 [[name, number(told["controls"]["accuracy_auroc"]), number(told["controls"]["shuffled_auroc"])]
                  for name, told in result["figures"].items()])


def column_table(result):
    return table(["Columns", "Number", "Mean AUROC"], [[name, row["columns"], with_interval(row)]
                                                       for name, row in result["columns"].items()])


def cost_table(result):
    return table(["Family", "Files alone, ms a model", "With behaviour, ms a model",
                  "Behaviour, ms in the model's process", "Peak memory of a process, MB", "Fit, s"],
                 [[name, f"{row['files_ms']:.1f}", f"{row['behaviour_ms']:.0f}",
                   "–" if row["probe_ms"] is None else f"{row['probe_ms']:.0f}", f"{row['peak_mb']:.0f}",
                   f"{row['fit_s']:.0f}"]
                  for name, row in result["cost"].items()])


def markdown(result):
    told = result["figures"]["all"]
    size = result["size"]
    parts = [f"{size['models']} models of {', '.join(size['families'])}; seeds {size['seeds']}; "
             f"reference {size['reference']}, clean test {size['clean']} a family and seed.",
             "### Targets", done_table(result), "### By family", summary_table(result),
             "### By attack, all families", attack_table(told["detection"]),
             "### The adaptive attacker", attack_table(told["adaptive"]),
             "### Poison rates and training", rate_table(told), "### False alarms", clean_table(result),
             "### Recipe shift and benign changes, all families", changed_table(told), shifted_text(told),
             "### Controls", control_table(result)]
    if result["columns"]:
        parts += ["### Groups of columns (Mahalanobis of this benchmark)", column_table(result)]
    parts += ["### Cost", cost_table(result)]
    for name, figures in result["figures"].items():
        if name != "all":
            parts += [f"### By attack, {name}", attack_table(figures["detection"])]
    return "\n\n".join(parts) + "\n"
