"""What the project set out to reach, beside what was measured. A line that this run cannot tell says why."""


BENIGN = ("fine-tuned", "pruned", "pruned-raw", "int8", "fp16")


def scope(figures, *names):
    """The first of the names that was measured: a domain of two widths stands before one of them."""
    return next((name for name in names if name in figures), None)


def line(what, target, value, met, where, text=None):
    """met: True, False, or None where nothing was measured."""
    return {"what": what, "target": target, "value": value, "met": met, "where": where,
            "text": text or ("not measured" if value is None else f"{value:.3f}")}


def with_interval(entry):
    return "not measured" if entry is None else f"{entry['value']:.3f} ({entry['low']:.3f}–{entry['high']:.3f})"


def share_text(entry):
    if entry["share"] is None:
        return "not measured"
    bounds = f"{100 * entry['low']:.1f}–{100 * entry['high']:.1f} %"
    return f"{100 * entry['share']:.1f} % ({entry['count']}/{entry['of']}, {bounds})"


def at_least(what, target, entry, where):
    value = None if entry is None else entry["value"]
    return line(what, f"≥ {target:g}", value, None if value is None else value >= target, where, with_interval(entry))


def area_lines(figures):
    lines = []
    for names, target in ((("fashion-cnn", "fashion-cnn-8"), 0.985), (("digits-mlp", "digits-mlp-48"), 0.97)):
        name = scope(figures, *names)
        what = f"mean AUROC over attacks, {names[0]}"
        if name is None:
            lines.append(line(what, f"≥ {target:g}", None, None, None))
            continue
        clean, mixed = (figures[name][key]["mean"].get("auroc") for key in ("detection", "mixed"))
        lines.append(at_least(what, target, clean, name))
        loss = clean["value"] - mixed["value"] if clean and mixed else None
        what = f"the same with 5 % unknown poisoned models in the fit, {names[0]}"
        lines.append(line(what, "at most 0.02 less", loss,
                          None if loss is None else loss <= 0.02, name,
                          None if loss is None else f"{with_interval(mixed)}, {loss:+.3f} less"))
    return lines


def cnn_lines(figures):
    name = scope(figures, "fashion-cnn", "fashion-cnn-8")
    told = figures[name] if name else None
    tpr = told["detection"]["mean"].get("tpr_at_realised") if told else None
    low = told["rates"]["0.01"]["mean"].get("auroc") if told else None
    return [at_least("TPR at a realised FPR ≤ 1 %, working plants, fashion-cnn", 0.88, tpr, name),
            at_least("AUROC at 1 % poisoned rows (working plants), fashion-cnn", 0.88, low, name)]


def alarm_lines(figures):
    told, lines = figures["all"], []
    for alpha in ("0.01", "0.05"):
        entry = told["clean"][f"alarms_{alpha}"]
        lines.append(line(f"clean false alarms at α = {100 * float(alpha):g} %, in-recipe",
                          "interval holds α", entry["share"], entry["inside"] if entry["of"] else None, "all",
                          share_text(entry)))
    shifted = told["all_shifts"]["alarms_0.05"]
    kept = told["under_shift"]["kept"]
    out = share_text(told["all_shifts"]["out_of_range"])
    kept_text = "no working plants" if kept is None else f"{100 * kept:.0f} % of the TPR kept"
    text = f"{share_text(shifted)} alarms, {kept_text}; out of range {out}"
    lines.append(line("the same under recipe shift, α = 5 %", "≤ 10 % alarms, ≥ 90 % of the TPR kept", shifted["share"],
                      None if kept is None else shifted["share"] <= 0.10 and kept >= 0.90, "all", text))
    parts = [told["variants"][name]["alarms_0.05"] for name in BENIGN if name in told["variants"]]
    worst = max((entry["share"] for entry in parts), default=None)
    count, of = sum(entry["count"] for entry in parts), sum(entry["of"] for entry in parts)
    lines.append(line("benign fine-tuned, pruned, quantised, α = 5 %", "≤ 10 % alarms", count / of if of else None,
                      count <= 0.10 * of if of else None, "all",
                      f"{100 * count / of:.1f} % ({count}/{of}), the worst kind {100 * worst:.1f} %" if of else None))
    return lines


def cost_lines(cost):
    name = next((name for name in cost if name.startswith("fashion-cnn")), None)
    lines = []
    for key, what, most in (("files_ms", "weights-only fingerprint", 3),
                            ("behaviour_ms", "full behavioural fingerprint", 400)):
        value = cost[name][key] if name else None
        text = None if value is None else f"{value:.1f} ms of wall clock, {cost[name]['threads']} threads"
        lines.append(line(f"{what}, small CNN, a model", f"≤ {most} ms", value,
                          None if value is None else value <= most, name, text))
    return lines


def done(figures, cost):
    adaptive = figures["all"]["adaptive"]["mean"].get("auroc")
    lines = area_lines(figures) + cnn_lines(figures) + alarm_lines(figures)
    lines.append(at_least("adaptive attacker, AUROC", 0.85, adaptive, "all"))
    lines += cost_lines(cost)
    lines.append(line("behaviour hash, CPU against GPU", "equal for every model", None, None, None,
                      "not part of this benchmark: it runs models on the CPU"))
    return lines
