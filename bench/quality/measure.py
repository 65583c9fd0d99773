"""From models with their truth and what the screening said of them to the figures: nothing here runs or reads anything.

A record: family, task, seed, part (plan.py), label (the attack; none), works (fleets.py), attack, shift, variant,
clean_primary; verdict, score, p, view, out_of_range, not_run. Areas and thresholds are taken within one family and
seed, since scores of two detectors have no common scale; then averaged, each attack weighing the same.
"""
import random
from collections import defaultdict

import estimates
import plan

ALPHAS = (0.01, 0.05)
MOST_ALARMS = 0.01  # the realised false alarm rate at which plants are counted


def grouped(records, key):
    found = defaultdict(list)
    for record in records:
        found[key(record)].append(record)
    return dict(sorted(found.items()))


def alarm(record, alpha):
    """As docs/verdict.md has it: what is marked out of the calibrated range instead is none."""
    return record["p"] is not None and record["p"] <= alpha and not record["out_of_range"]


def is_clean(record):
    return record["attack"] == "none"


def strata(records, view, plants, value=lambda record: record["score"]):
    """Scores by family and seed: those of the clean test models, and of `plants` by attack. Models that are not judged
    in `view` have no score in it."""
    judged = [record for record in records if record["view"] == view and record["score"] is not None]
    found = []
    for _, models in grouped(judged, lambda record: (record["family"], record["seed"])).items():
        clean = [value(record) for record in models if record["part"] == "clean"]
        attacks = grouped([record for record in models if plants(record)], lambda record: record["label"])
        found.append({"clean": clean, "attacks": {name: [value(r) for r in rs] for name, rs in attacks.items()}})
    return found


def detection(records, view, plants, rounds):
    """How well the plants that work are found among the clean test models."""
    chosen = [record for record in records if plants(record) and not is_clean(record)]
    working = lambda record: plants(record) and record["works"]
    scores = strata(records, view, working)
    spread = {"auroc": estimates.area_statistic, "tpr_at_realised": estimates.detected_statistic(MOST_ALARMS)}
    attacks = {}
    for name, models in grouped(chosen, lambda record: record["label"]).items():
        good = [record for record in models if record["works"]]
        attacks[name] = {"plants": len(models), "working": len(good),
                         "unscored": sum(r["view"] != view or r["score"] is None for r in good),
                         "flagged_of_failed": estimates.share([alarm(r, 0.05) for r in models if not r["works"]])}
        for alpha in ALPHAS:
            attacks[name][f"tpr_{alpha:g}"] = estimates.share([alarm(r, alpha) for r in good])
    found = {"attacks": attacks, "mean": {}}
    for key, statistic in spread.items():
        values = estimates.attack_means(scores, statistic)
        each, over_all = estimates.bootstrap(scores, statistic, rounds)
        for name, value in values.items():
            attacks[name][key] = {"value": value, "low": each[name][0], "high": each[name][1]}
        if values:
            found["mean"][key] = {"value": estimates.mean(values.values()), "low": over_all[0], "high": over_all[1],
                                  "attacks": len(values)}
    good = [record for record in chosen if record["works"]]
    for alpha in ALPHAS:
        key = f"tpr_{alpha:g}"
        found["mean"][key] = estimates.mean(a[key]["share"] for a in attacks.values())
        found[key] = estimates.share([alarm(record, alpha) for record in good])
    return found


def alarms(records):
    """Of models that nobody poisoned."""
    found = {"models": len(records)}
    for alpha in ALPHAS:
        found[f"alarms_{alpha:g}"] = told = estimates.share([alarm(record, alpha) for record in records])
        told["inside"] = told["low"] <= alpha <= told["high"]
    found["out_of_range"] = estimates.share([record["out_of_range"] for record in records])
    found["inconclusive"] = estimates.share([record["verdict"] == "inconclusive" for record in records])
    found["not_run"] = estimates.share([record["not_run"] for record in records])
    return found


def by(records, key):
    return {name: alarms(models) for name, models in grouped(records, lambda record: record[key]).items()}


def kept_under_shift(records):
    """TPR of the same attacks under shifted recipes and under the usual one; working plants, alpha = 5 %."""
    names = {record["label"] for record in records if record["part"] == "shifted-attacks"}
    usual = [r for r in records if r["part"] in ("development", "held-out") and r["label"] in names and r["works"]]
    shifted = [r for r in records if r["part"] == "shifted-attacks" and r["works"]]
    rate = lambda models: estimates.mean(
        estimates.share([alarm(r, 0.05) for r in of_attack])["share"]
        for of_attack in grouped(models, lambda r: r["label"]).values())
    before, after = rate(usual), rate(shifted)
    return {"usual": before, "shifted": after, "kept": after / before if before and after is not None else None,
            "shifted_plants": estimates.share([alarm(r, 0.05) for r in shifted]),
            "failed_plants": sum(r["part"] == "shifted-attacks" and not r["works"] for r in records),
            "by_shift": {name: estimates.share([alarm(r, 0.05) for r in models])
                         for name, models in grouped(shifted, lambda r: r["shift"]).items()}}


def controls(records, seed=1):
    """What must not work: a low accuracy as the score, and the product's score with shuffled labels."""
    plants = lambda record: record["part"] in ("development", "held-out") and record["works"]
    accuracy = estimates.attack_means(strata(records, "behaviour", plants, lambda r: -r["clean_primary"]),
                                      estimates.area_statistic)
    generator, shuffled = random.Random(seed), []
    for stratum in strata(records, "behaviour", plants):
        pool = stratum["clean"] + [score for scores in stratum["attacks"].values() for score in scores]
        generator.shuffle(pool)
        take = lambda count: [pool.pop() for _ in range(count)]
        shuffled.append({"clean": take(len(stratum["clean"])),
                         "attacks": {name: take(len(scores)) for name, scores in stratum["attacks"].items()}})
    return {"accuracy_auroc": estimates.mean(accuracy.values()),
            "shuffled_auroc": estimates.mean(estimates.attack_means(shuffled, estimates.area_statistic).values())}


def part_in(*names):
    return lambda record: record["part"] in names


def scope_figures(screens, rounds):
    """`screens`: {"behaviour" (all), "mixed", "files": records} of one scope."""
    full = screens["behaviour"]
    found = {"detection": detection(full, "behaviour", part_in("development", "held-out"), rounds),
             "development": detection(full, "behaviour", part_in("development"), rounds)["mean"],
             "held_out": detection(full, "behaviour", part_in("held-out"), rounds)["mean"],
             "adaptive": detection(full, "behaviour", part_in("adaptive"), rounds),
             "rates": {f"{rate:g}": detection(full, "behaviour", part_in(f"rate-{rate:g}"), rounds)
                       for rate in plan.RATES},
             "training": {name: detection(full, "behaviour", part_in(name), rounds)["mean"]
                          for name in ("conservative", "aggressive")},
             "clean": alarms([r for r in full if r["part"] == "clean"]),
             "shifts": by([r for r in full if r["part"] == "shifts"], "shift"),
             "all_shifts": alarms([r for r in full if r["part"] == "shifts"]),
             "variants": by([r for r in full if r["part"] == "variants"], "variant"),
             "all_variants": alarms([r for r in full if r["part"] == "variants"]),
             "under_shift": kept_under_shift(full),
             "controls": controls(full)}
    for name, view in (("mixed", "behaviour"), ("files", "files")):
        records = screens[name]
        found[name] = detection(records, view, part_in("development", "held-out"), rounds)
        found[name]["clean"] = alarms([r for r in records if r["part"] == "clean"])
    found["mixed"]["rate_0.01"] = detection(screens["mixed"], "behaviour", part_in("rate-0.01"), rounds)["mean"]
    return found


def scopes(families):
    """{name: families}: each family, each domain that has several, and all."""
    found = {family.name: [family.name] for family in families}
    for domain, members in grouped(families, lambda family: family.domain).items():
        if len(members) > 1:
            found[domain] = [family.name for family in members]
    found["all"] = [family.name for family in families]
    return found


def figures(screens, families, rounds=estimates.ROUNDS):
    found = {}
    for name, members in scopes(families).items():
        found[name] = scope_figures({kind: [r for r in records if r["family"] in members]
                                     for kind, records in screens.items()}, rounds)
    return found
