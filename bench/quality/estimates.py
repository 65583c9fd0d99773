"""Shares, areas and intervals: the one place that evaluate.py and run.py take their figures from.

AUROC: probability that a poisoned model scores above a clean one, ties counted half (Mann-Whitney). Intervals of
shares: Clopper-Pearson (1934), exact. Intervals of areas: percentile bootstrap within each stratum (Efron 1979), a
stratum being the models that one detector judges: scores of two detectors are never compared. (Not named statistics.py:
programs in this folder would then find it in place of Python's own.)
"""
import math

import numpy

ROUNDS = 1000


def clopper_pearson(k, n, level=0.95):
    """The exact interval of a binomial share k/n, by bisection on the binomial tail; (0, 1) of nothing."""
    if not 0 <= k <= n:
        raise ValueError(f"expected 0 <= k <= n, got k = {k}, n = {n}")
    if n == 0:
        return 0.0, 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(n + 1)]

    def tail(p, ks):  # 0 < p < 1
        return sum(math.exp(logs[i] + i * math.log(p) + (n - i) * math.log1p(-p)) for i in ks)

    def solve(function):  # function rises in p
        low, high = 0.0, 1.0
        for _ in range(60):
            mid = (low + high) / 2
            low, high = (mid, high) if function(mid) < 0 else (low, mid)
        return (low + high) / 2

    half = (1 - level) / 2
    lower = 0.0 if k == 0 else solve(lambda p: tail(p, range(k, n + 1)) - half)
    upper = 1.0 if k == n else solve(lambda p: half - tail(p, range(0, k + 1)))
    return lower, upper


def share(hits, level=0.95):
    """`hits`: booleans. Count, share and Clopper-Pearson interval; the share of nothing is None."""
    hits = [bool(hit) for hit in hits]
    low, high = clopper_pearson(sum(hits), len(hits), level)
    return {"count": sum(hits), "of": len(hits), "share": sum(hits) / len(hits) if hits else None,
            "low": low, "high": high}


def auroc(poisoned, clean):
    """None where one side is empty."""
    if len(poisoned) == 0 or len(clean) == 0:
        return None
    return _area(numpy.asarray(poisoned, float), numpy.sort(numpy.asarray(clean, float)))


def _area(poisoned, sorted_clean):
    below = numpy.searchsorted(sorted_clean, poisoned, "left")
    not_above = numpy.searchsorted(sorted_clean, poisoned, "right")
    return float((below + not_above).sum() / (2 * len(poisoned) * len(sorted_clean)))


def threshold(clean, most):
    """The score that at most the share `most` of clean models exceed: an alarm is a score above it. With fewer than
    1/most clean models that is the largest."""
    if len(clean) == 0:
        return None
    ordered = numpy.sort(numpy.asarray(clean, float))[::-1]
    return float(ordered[min(int(math.floor(most * len(ordered) + 1e-9)), len(ordered) - 1)])


def mean(values):
    values = [value for value in values if value is not None]
    return float(sum(values) / len(values)) if values else None


def attack_means(strata, statistic):
    """`strata`: list of {"clean": scores, "attacks": {name: scores}}. Per attack the mean of statistic(poisoned, sorted
    clean) over the strata that have it, each weighted by its plants; returns {name: value}."""
    sums = {}
    for stratum in strata:
        clean = numpy.sort(numpy.asarray(stratum["clean"], float))
        for name, scores in stratum["attacks"].items():
            if len(scores) and len(clean):
                total, weight = sums.get(name, (0.0, 0))
                value = statistic(numpy.asarray(scores, float), clean)
                sums[name] = (total + len(scores) * value, weight + len(scores))
    return {name: total / weight for name, (total, weight) in sums.items()}


def area_statistic(poisoned, sorted_clean):
    return _area(poisoned, sorted_clean)


def detected_statistic(most):
    """Share of poisoned models above the threshold that at most `most` of the clean ones exceed."""
    def statistic(poisoned, sorted_clean):
        return float((poisoned > threshold(sorted_clean, most)).mean())
    return statistic


def bootstrap(strata, statistic, rounds=ROUNDS, seed=1, level=0.95):
    """Intervals of attack_means and of their mean over attacks: ({name: (low, high)}, (low, high)); clean models and
    plants of each stratum are drawn anew, the clean ones once for all attacks of a round."""
    generator, each, over_all = numpy.random.default_rng(seed), {}, []
    strata = [{"clean": numpy.asarray(s["clean"], float),
               "attacks": {n: numpy.asarray(v, float) for n, v in s["attacks"].items() if len(v)}} for s in strata]
    strata = [s for s in strata if len(s["clean"]) and s["attacks"]]
    if not strata:
        return {}, None
    for _ in range(rounds):
        drawn = [{"clean": generator.choice(s["clean"], len(s["clean"])),
                  "attacks": {n: generator.choice(v, len(v)) for n, v in s["attacks"].items()}} for s in strata]
        values = attack_means(drawn, statistic)
        for name, value in values.items():
            each.setdefault(name, []).append(value)
        over_all.append(sum(values.values()) / len(values))
    return {name: interval(values, level) for name, values in each.items()}, interval(over_all, level)


def interval(values, level=0.95):
    half = (1 - level) / 2
    low, high = numpy.quantile(values, [half, 1 - half])
    return float(low), float(high)
