"""Data sets of the parity test: rows to fit on, and rows to score (fresh ones, some of those fitted on, far ones)."""
import numpy as np
from sklearn import datasets

SCORED = 120


def _split(rows, seed):
    rng = np.random.default_rng(seed)
    rows = np.ascontiguousarray(rows[rng.permutation(len(rows))], np.float64)
    cut = 2 * len(rows) // 3
    fit, fresh = rows[:cut][:700], rows[cut:][:SCORED]
    spread = np.std(fit, axis=0)
    spread[spread == 0] = 1e-3
    known = fit[:20]
    far = known + rng.standard_normal(known.shape) * spread * rng.choice([3, 10, 100], (len(known), 1))
    return fit, np.concatenate([fresh, known, far, np.zeros((1, fit.shape[1]))])


def california_like():
    """Columns of unlike kinds and units: incomes, ages, long tails, counts up to 1e5, coordinates."""
    rng = np.random.default_rng(5)
    n = 1000
    rooms, occupancy = rng.lognormal(1.6, 0.3, n), rng.lognormal(1, 0.6, n)
    return np.stack([rng.gamma(2.5, 1.5, n), rng.integers(1, 53, n), rooms, rooms * rng.uniform(0.15, 0.3, n),
                     np.round(rng.lognormal(7, 0.8, n)), occupancy, rng.uniform(32, 42, n),
                     rng.uniform(-124, -114, n)], 1)


def heavy_tailed():
    return np.random.default_rng(6).standard_t(1.5, (900, 12))


def beyond_float32():
    """Values whose differences float32 cannot hold: timestamps, cents on large sums, fractions."""
    rng = np.random.default_rng(7)
    n = 600
    return np.stack([1.7e9 + rng.uniform(0, 5, n), 16777216 + rng.integers(0, 9, n), 1 + rng.uniform(0, 1e-9, n),
                     rng.uniform(0, 1, n) / 3, rng.uniform(-1, 1, n) * 1e-40], 1)


def duplicated():
    """Few distinct rows, each many times, and a column that never varies."""
    rng = np.random.default_rng(8)
    distinct = np.round(rng.normal(0, 2, (15, 6)), 1)
    rows = distinct[rng.integers(0, 15, 400)]
    rows[:, 3] = 7.1
    return rows


def one_column():
    return np.random.default_rng(9).lognormal(0, 1, (400, 1))


def wide():
    rng = np.random.default_rng(10)
    return rng.standard_normal((300, 20)) @ rng.standard_normal((20, 300)) + 0.1 * rng.standard_normal((300, 300))


def few_rows():
    return np.random.default_rng(11).normal(size=(9, 4))


SETS = {
    "breast_cancer": lambda: datasets.load_breast_cancer().data,
    "wine": lambda: datasets.load_wine().data,
    "digits": lambda: datasets.load_digits().data,
    "diabetes": lambda: datasets.load_diabetes().data,
    "california_like": california_like,
    "heavy_tailed": heavy_tailed,
    "beyond_float32": beyond_float32,
    "duplicated": duplicated,
    "one_column": one_column,
    "wide": wide,
    "few_rows": few_rows,
}


def load(name):
    """(rows to fit on, rows to score)"""
    return _split(SETS[name](), len(name))
