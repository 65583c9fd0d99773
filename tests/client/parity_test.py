#!/usr/bin/env python3
"""Detectors trained in scikit-learn score in the engine as they do there, to 1e-5 (12 digits of scores above 1e7).

Usage: parity_test.py --driftseal PROGRAM [--only TEXT]
"""
import argparse
import pathlib
import sys
import tempfile
import warnings
from dataclasses import dataclass

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import cases
import command
import data
from driftseal.import_sklearn import export

PROMISE = 1e-5
# A mean squared error of rows that are not scaled can be 1e18, where the next double is 256 away and the order of a sum
# decides the last digits: above 1e7 the promise is 12 digits.
DIGITS = 1e-12
MEMBERS = ("forest", "svm", "autoencoder")
WIDTH = 18  # of a column


def fit_forest(settings, rows):
    settings = dict(settings)
    weighted, then = settings.pop("weighted", False), settings.pop("then", {})
    forest = IsolationForest(**{"n_estimators": 60, "random_state": 1, **settings})
    forest.fit(rows, sample_weight=np.linspace(0.1, 2, len(rows)) if weighted else None)
    if forest.warm_start:
        forest.set_params(n_estimators=100, **then).fit(rows[: len(rows) // 2])
    return forest


def fit_autoencoder(settings, rows):
    settings = dict(settings)
    partial = settings.pop("partial", False)
    network = MLPRegressor(**{"hidden_layer_sizes": (10,), "max_iter": 40, "random_state": 1, **settings})
    target = rows if rows.shape[1] > 1 else rows[:, 0]
    for _ in range(5 if partial else 2 if network.warm_start else 1):
        (network.partial_fit if partial else network.fit)(rows, target)
    return network


def at_thresholds(forest, columns):
    """Rows that lie on the trees' thresholds, and on the next double and float32 on either side of them."""
    rng, trees = np.random.default_rng(3), forest.estimators_
    whole = forest._max_features == columns
    rows = np.zeros((400, columns))
    for row in rows:
        index = rng.integers(len(trees))
        tree, features = trees[index].tree_, np.arange(columns) if whole else forest.estimators_features_[index]
        for node in np.flatnonzero(tree.children_left >= 0):
            threshold = tree.threshold[node]
            towards = rng.choice([-np.inf, np.inf])
            row[features[tree.feature[node]]] = rng.choice([
                threshold, np.nextafter(threshold, towards), np.float32(threshold),
                np.nextafter(np.float32(threshold), np.float32(towards))])
    return rows


def train(case):
    """The estimators by the names that export() has for them, the rows to score, and scikit-learn's scores of them."""
    fit, rows = data.load(case.data)
    scaler = None if case.scaler is None else StandardScaler(**case.scaler).fit(fit)
    scale = (lambda values: values) if scaler is None else scaler.transform
    estimators = {"scaler": scaler}

    def fitting_rows(settings):
        settings = dict(settings)
        narrow = settings.pop("narrow", False)
        return settings, scale(fit).astype(np.float32) if narrow else scale(fit)

    if case.forest is not None:
        settings, scaled = fitting_rows(case.forest)
        on_thresholds = settings.pop("at_thresholds", False)
        estimators["isolation_forest"] = fit_forest(settings, scaled)
        if on_thresholds:
            rows = at_thresholds(estimators["isolation_forest"], fit.shape[1])
    if case.svm is not None:
        settings, scaled = fitting_rows(case.svm)
        estimators["one_class_svm"] = OneClassSVM(**{"nu": 0.1, **settings}).fit(scaled)
    if case.autoencoder is not None:
        estimators["autoencoder"] = fit_autoencoder(*fitting_rows(case.autoencoder))
    scaled, expected = scale(rows), {}
    if case.forest is not None:
        expected["forest"] = -estimators["isolation_forest"].score_samples(scaled)
    if case.svm is not None:
        expected["svm"] = -estimators["one_class_svm"].decision_function(scaled)
    if case.autoencoder is not None:
        rebuilt = estimators["autoencoder"].predict(scaled).reshape(scaled.shape)
        expected["autoencoder"] = np.mean((scaled - rebuilt) ** 2, axis=1)
    return estimators, rows, expected


@dataclass(frozen=True)
class Found:
    """Of one member in one case: the largest difference, the largest score, the scores' range, a promise not kept."""

    difference: float
    largest: float
    spread: float
    broken: bool

    def __str__(self):
        far = f" of {self.largest:.0e}" if self.difference > PROMISE else ""
        return f"{self.difference:.1e}{far}{' BROKEN' if self.broken else ''}"


def differences(driftseal, case, folder):
    """What was found of each member, and the number of rows."""
    estimators, rows, expected = train(case)
    export(folder, **estimators)
    command.write_rows(folder / "rows.csv", [f"x{i}" for i in range(rows.shape[1])], rows)
    scored = command.score(driftseal, folder / "rows.csv", folder)
    if set(scored.members) != set(expected):
        raise AssertionError(f"members {sorted(scored.members)}, expected {sorted(expected)}")
    found = {}
    for member, values in expected.items():
        if len(values) != len(rows) or not np.isfinite(values).all():
            raise AssertionError(f"{member}: the case itself is broken, scikit-learn gives no finite score")
        difference = np.abs(scored.members[member] - values)
        broken = not (difference <= np.maximum(PROMISE, DIGITS * np.abs(values))).all()
        found[member] = Found(float(np.max(difference)), float(np.max(np.abs(values))), float(np.ptp(values)), broken)
    return found, len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driftseal", required=True)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # networks that stop before they converge
    print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}: largest difference over all rows")
    print(f"{'DATA':<16}{'SETTINGS':<32}{'ROWS':>5}" + "".join(f"{member:>{WIDTH}}" for member in MEMBERS))
    results, failures = [], 0
    chosen = [case for case in cases.CASES if arguments.only in f"{case.data} {case.note}"]
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found, rows = differences(arguments.driftseal, case, pathlib.Path(folder))
            except Exception as problem:
                print(f"{case.data:<16}{case.note:<32} FAILED: {type(problem).__name__}: {problem}")
                failures += 1
                continue
        results.append(found)
        failures += any(of.broken for of in found.values())
        print(f"{case.data:<16}{case.note:<32}{rows:>5}" +
              "".join(f"{str(found.get(member, '-')):>{WIDTH}}" for member in MEMBERS))
    largest = {member: max((found[member].difference for found in results if member in found
                            and found[member].largest < PROMISE / DIGITS), default=0) for member in MEMBERS}
    print(f"{'largest, of scores below 1e7':<53}" + "".join(f"{largest[member]:>{WIDTH}.1e}" for member in MEMBERS))
    sets = len({case.data for case in chosen})
    print(f"{len(results)} of {len(chosen)} cases on {sets} data sets, {failures} failed")
    # Scores that hardly vary would agree whatever the engine did.
    varied = arguments.only or all(max(found[member].spread for found in results if member in found) > 0.1
                                   for member in MEMBERS)
    return 0 if results and not failures and varied else 1


if __name__ == "__main__":
    sys.exit(main())
