"""Imports a detector trained in scikit-learn.

    from driftseal.import_sklearn import export
    export("detector/", scaler=scaler, isolation_forest=forest, one_class_svm=svm, autoencoder=mlp,
           feature_names=["amount", "age"], calibration_rows=held_out)

    driftseal score rows.csv --model-dir detector/ --format json

docs/import-sklearn.md says what is supported and what each score is.
"""
from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn

from . import calibration, detector_files, rows, sklearn_members
from .sklearn_members import UnsupportedEstimator

__all__ = ["Exported", "UnsupportedEstimator", "export", "main"]

GLOBAL_FAMILY = "*"
# Role in export(): the member's name in the format, and what converts it.
MEMBERS = {"isolation_forest": ("forest", sklearn_members.isolation_forest),
           "one_class_svm": ("svm", sklearn_members.one_class_svm),
           "autoencoder": ("autoencoder", sklearn_members.autoencoder)}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    directory: str
    members: tuple[str, ...]
    columns: int
    calibrated_on: int  # 0: uncalibrated, no p-values

    def __str__(self) -> str:
        state = (f"calibrated on {self.calibrated_on} rows" if self.calibrated_on
                 else "uncalibrated: scores, but no p-values (give calibration_rows)")
        return f"{self.directory}: {', '.join(self.members)} over {self.columns} columns, {state}"


def export(directory: str | os.PathLike[str], *, scaler: Any = None, isolation_forest: Any = None,
           one_class_svm: Any = None, autoencoder: Any = None, feature_names: Any = None, calibration_rows: Any = None,
           name: str = "imported", version: int = 1, schema: Any = None, family: str | None = None) -> Exported:
    """Writes fitted estimators as a detector of the engine.

    scaler            StandardScaler whose output the members were fitted on; None: they were fitted on the rows as
                      they are
    isolation_forest  IsolationForest; its score is -score_samples()
    one_class_svm     OneClassSVM with kernel='rbf', fitted on dense rows; -decision_function()
    autoencoder       MLPRegressor fitted with its input as target; mean((x - predict(x))**2) over the scaled columns
    feature_names     the columns of the rows, in the order of fitting; None: feature_names_in_, else x0, x1, ...
    calibration_rows  rows x columns, not scaled, that nothing here was fitted on; None: no p-values
    name, version     of the detector
    schema            dict or path of JSON (`driftseal schema --format json`) with name, version, digest and features,
                      of which feature_names are some: the rows are DriftSeal's fingerprints. None: the rows are
                      feature_names and nothing else
    family            with a schema, key of the models that the detector is for; None: all, which gives no p-values

    UnsupportedEstimator names the estimator and the parameter, ValueError the argument; then nothing is written.
    """
    given = {"scaler": scaler, "isolation_forest": isolation_forest, "one_class_svm": one_class_svm,
             "autoencoder": autoencoder}
    given = {role: estimator for role, estimator in given.items() if estimator is not None}
    columns = _columns(given)
    names = rows.feature_names(feature_names, given, columns)
    row_schema = rows.schema(schema, names)
    features = rows.positions(names, row_schema["features"])
    order = np.argsort(features)  # the detector's columns are those of the schema, ascending

    members = {member: convert(given[role], order) for role, (member, convert) in MEMBERS.items() if role in given}
    centre, scale = sklearn_members.standard_scaler(scaler, columns)
    normalisers, scores = dict.fromkeys(members), np.zeros(0)
    if calibration_rows is not None:
        scaled = (rows.calibration_rows(calibration_rows, names) - centre) / scale
        normalisers, scores = calibration.calibrate(members, scaled)

    arrays = {"columns.feature": features[order].astype(np.int32), "columns.centre": centre[order],
              "columns.scale": scale[order], "constants.feature": np.zeros(0, np.int32),
              "constants.value": np.zeros(0), "calibration": scores}
    for member, content in members.items():
        arrays.update({f"{member}.{key}": array for key, array in content.arrays.items()})
    if family is None:
        family = rows.ROWS if schema is None else GLOBAL_FAMILY
    detector = {"key": rows.text("family", family), "fitted_on": _fitted_on(given),
                "scaling": {"kind": "standard", "clip": None},
                "members": {member: dict(content.fields, normaliser=_normaliser_json(normalisers[member]))
                            for member, content in members.items()}}
    state = {"name": rows.text("name", name), "version": rows.whole_number("version", version), "seed": 0,
             "origin": f"scikit-learn {sklearn.__version__}", "schema": row_schema, "small_families": []}
    is_global = family == GLOBAL_FAMILY
    state.update({"families": [], "global": detector} if is_global else {"families": [detector], "global": None})
    prefix = "global." if is_global else "family.0."
    detector_files.write(directory, state, {prefix + key: array for key, array in arrays.items()})
    return Exported(os.fspath(directory), tuple(members), columns, len(scores))


def _columns(given: dict[str, Any]) -> int:
    if not any(role in given for role in MEMBERS):
        raise ValueError(f"nothing to score with: expected at least one of {', '.join(MEMBERS)}")
    for role, estimator in given.items():
        sklearn_members.check(role, estimator)
    columns = {role: int(estimator.n_features_in_) for role, estimator in given.items()}
    if len(set(columns.values())) > 1:
        counts = ", ".join(f"{role} {count}" for role, count in columns.items())
        raise UnsupportedEstimator(f"n_features_in_ differs: {counts}; all must read the same columns")
    return next(iter(columns.values()))


def _fitted_on(given: dict[str, Any]) -> int:
    """How many rows the fit saw, where scikit-learn keeps that; else 0."""
    if "one_class_svm" in given:
        return int(given["one_class_svm"].shape_fit_[0])
    if "scaler" in given:
        return int(np.max(given["scaler"].n_samples_seen_))
    return int(getattr(given.get("isolation_forest"), "_n_samples", 0))


def _normaliser_json(normaliser: tuple[float, float] | None) -> dict[str, float] | None:
    return None if normaliser is None else {"median": normaliser[0], "spread": normaliser[1]}


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="driftseal_import_sklearn", description=__doc__.splitlines()[0],
        epilog="Loading a joblib or pickle file RUNS CODE that stands in it. Give --trust only for files that you made "
               "yourself; otherwise call export() where the estimators were fitted.")
    parser.add_argument("directory", help="folder to write the detector to")
    parser.add_argument("--trust", action="store_true",
                        help="the joblib files below are mine: load them, and run what is in them")
    for role, expected in sklearn_members.CLASSES.items():
        parser.add_argument("--" + role.replace("_", "-"), metavar="FILE", help=f"joblib file, {expected.__name__}")
    parser.add_argument("--feature-names", metavar="A,B,...", help="columns in the order of fitting")
    parser.add_argument("--calibration-rows", metavar="CSV",
                        help="rows that nothing was fitted on; without them no p-values")
    parser.add_argument("--name", default="imported", help="of the detector [imported]")
    parser.add_argument("--version", type=int, default=1, help="of the detector [1]")
    parser.add_argument("--schema", metavar="JSON",
                        help="output of `driftseal schema --format json`, for a detector of fingerprints")
    parser.add_argument("--family", metavar="KEY", help="with --schema: the family that the detector is for [all]")
    arguments = parser.parse_args(argv)
    if not arguments.trust:
        parser.error("joblib files run code when they are loaded: expected --trust, for files that you made yourself")
    return arguments


def _load_and_export(arguments: argparse.Namespace) -> Exported:
    import joblib  # only here: nothing else opens such a file

    files = {role: getattr(arguments, role) for role in sklearn_members.CLASSES}
    estimators = {role: joblib.load(file) for role, file in files.items() if file}
    names = arguments.feature_names.split(",") if arguments.feature_names else None
    values = None
    if arguments.calibration_rows:
        fitted = next((list(e.feature_names_in_) for e in estimators.values() if hasattr(e, "feature_names_in_")), None)
        names, values = rows.read_csv(arguments.calibration_rows, names or fitted)
    return export(arguments.directory, **estimators, feature_names=names, calibration_rows=values, name=arguments.name,
                  version=arguments.version, schema=arguments.schema, family=arguments.family)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    try:
        print(_load_and_export(arguments))
    except Exception as problem:  # a joblib file can raise anything
        print(f"driftseal_import_sklearn: {type(problem).__name__}: {problem}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
