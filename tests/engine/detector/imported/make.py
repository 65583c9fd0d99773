#!/usr/bin/env python3
"""Writes a detector that was trained in scikit-learn, in the format of docs/formats/detector.md, with rows and their scores.

Usage: make.py FOLDER   (with scikit-learn 1.9, NumPy 2, safetensors 0.8)

FOLDER gets detector_state.json, detector.safetensors and cases.json.
"""
import hashlib
import json
import pathlib
import sys

import numpy as np
import sklearn
from safetensors.numpy import save
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "kernels" / "fixtures"))
from make import forest_arrays  # noqa: E402

FEATURES, COLUMNS = 8, [0, 1, 2, 4, 5, 6]  # the detector leaves out two columns of the schema


def main():
    rng = np.random.default_rng(11)
    scales = 10.0 ** rng.integers(-3, 4, size=FEATURES)
    fit = 5 + scales * (rng.normal(size=(200, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES)))
    test = np.concatenate([5 + scales * rng.normal(size=(20, FEATURES)), fit[:5], 5 + 30 * scales * rng.normal(size=(5, FEATURES))])
    fit, test = fit.astype(np.float32).astype(np.float64), test.astype(np.float32).astype(np.float64)

    scaler = StandardScaler().fit(fit[:, COLUMNS])
    x, y = scaler.transform(fit[:, COLUMNS]), scaler.transform(test[:, COLUMNS])
    forest = IsolationForest(n_estimators=25, max_samples=64, max_features=0.7, random_state=1).fit(x)
    svm = OneClassSVM(kernel="rbf", gamma="scale", nu=0.1).fit(x)
    mlp = MLPRegressor(hidden_layer_sizes=(4, 2, 4), activation="tanh", max_iter=400, random_state=2).fit(x, x)

    arrays = {"columns.feature": np.array(COLUMNS, np.int32), "columns.centre": scaler.mean_, "columns.scale": scaler.scale_,
              "constants.feature": np.zeros(0, np.int32), "constants.value": np.zeros(0), "calibration": np.zeros(0),
              "svm.vectors": svm.support_vectors_, "svm.alpha": svm.dual_coef_[0]}
    for name, values in forest_arrays(forest).items():
        arrays[f"forest.{name}"] = values.astype(np.float32 if name in ("threshold", "path") else np.int32)
    for layer, (weights, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_)):
        arrays |= {f"autoencoder.{layer}.weight": weights.T, f"autoencoder.{layer}.bias": bias}

    folder = pathlib.Path(sys.argv[1])
    data = save({f"global.{name}": np.ascontiguousarray(array) for name, array in arrays.items()})
    (folder / "detector.safetensors").write_bytes(data)
    state = {
        "format": "driftseal-detector", "format_version": 1, "name": "imported", "version": 1, "seed": 0,
        "origin": f"scikit-learn {sklearn.__version__}",
        "schema": {"name": "test", "version": 1, "digest": "00", "features": [f"f{i}" for i in range(FEATURES)]},
        "arrays": {"file": "detector.safetensors", "sha256": hashlib.sha256(data).hexdigest()},
        "families": [], "small_families": [],
        "global": {
            "key": "*", "fitted_on": len(fit), "scaling": {"kind": "standard", "clip": None},
            "members": {
                "autoencoder": {"activations": ["tanh", "tanh", "tanh", "identity"], "normaliser": None},
                "forest": {"sample_size": int(forest.max_samples_), "normaliser": None},
                "svm": {"gamma": float(svm._gamma), "rho": float(-svm.intercept_[0]), "normaliser": None},
            },
        },
    }
    (folder / "detector_state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    cases = {"rows": test.tolist(), "autoencoder": np.mean((y - mlp.predict(y)) ** 2, axis=1).tolist(),
             "forest": (-forest.score_samples(y)).tolist(), "svm": (-svm.decision_function(y)).tolist()}
    (folder / "cases.json").write_text(json.dumps(cases) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
