"""The rows that a detector reads: names of their columns, their place in a schema, and rows to calibrate with."""
from __future__ import annotations

import collections
import csv
import hashlib
import json
import pathlib
from typing import Any

import numpy as np

from .sklearn_members import UnsupportedEstimator

MOST_FEATURES = 1 << 20  # of the engine
ROWS = "rows"  # name of the schema, and key of the one family, of a detector for rows of a CSV


def text(argument: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{argument}: expected a text that is not empty, got {value!r}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{argument}: {value!r} is not Unicode text") from None
    return str(value)


def whole_number(argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 1 << 31:
        raise ValueError(f"{argument}: expected a whole number from 0 to 2^31 - 1, got {value!r}")
    return int(value)


def feature_names(given: Any, estimators: dict[str, Any], columns: int) -> list[str]:
    """The columns' names, checked against those that the estimators (by role) were fitted with."""
    known = {role: [str(name) for name in estimator.feature_names_in_]
             for role, estimator in estimators.items() if hasattr(estimator, "feature_names_in_")}
    if len({tuple(names) for names in known.values()}) > 1:
        raise UnsupportedEstimator(f"feature_names_in_ differs between {' and '.join(known)}")
    fitted = next(iter(known.values()), None)
    if isinstance(given, str):
        raise ValueError("feature_names: expected a list of names, got one text")
    names = (fitted or [f"x{i}" for i in range(columns)]) if given is None else list(given)
    names = [text("feature_names", name) for name in names]
    if len(names) != columns or columns > MOST_FEATURES:
        raise ValueError(f"feature_names: {len(names)} names, but the estimators read {columns} columns "
                         f"(at most {MOST_FEATURES})")
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"feature_names: {', '.join(twice[:5])}: expected each name once")
    place = {name: i for i, name in enumerate(fitted or [])}
    for i, name in enumerate(names):
        if place.get(name, i) != i:
            raise ValueError(f"feature_names: {name} is column {i} there, but column {place[name]} in what the "
                             "estimators were fitted on (feature_names_in_)")
    return names


def schema(given: Any, names: list[str]) -> dict[str, Any]:
    """Which rows the detector reads: those of the schema that is given, or just the columns of the estimators."""
    if given is None:
        digest = hashlib.sha256("\n".join(names).encode("utf-8")).hexdigest()
        return {"name": ROWS, "version": 1, "digest": digest, "features": names}
    if not isinstance(given, dict):
        given = json.loads(pathlib.Path(given).read_text(encoding="utf-8"))
    for key in ("name", "version", "digest", "features"):
        if not isinstance(given, dict) or key not in given:
            raise ValueError(f"schema: {key} is missing, expected name, version, digest and features")
    if not isinstance(given["features"], (list, tuple)):
        raise ValueError("schema: features: expected a list")
    features = [feature.get("name") if isinstance(feature, dict) else feature for feature in given["features"]]
    return {"name": text("schema: name", given["name"]), "version": whole_number("schema: version", given["version"]),
            "digest": text("schema: digest", given["digest"]),
            "features": [text("schema: features", feature) for feature in features]}


def positions(names: list[str], features: list[str]) -> np.ndarray:
    where = {feature: i for i, feature in enumerate(features)}
    strangers = [name for name in names if name not in where]
    if strangers:
        raise ValueError(f"feature_names: {', '.join(strangers[:5])}: not in the schema")
    return np.array([where[name] for name in names])


def calibration_rows(given: Any, names: list[str]) -> np.ndarray:
    columns = [str(column) for column in getattr(given, "columns", ())]
    if columns and columns != names and set(columns) == set(names):
        raise ValueError("calibration_rows: its columns stand in another order than feature_names")
    values = np.asarray(given, np.float64)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(f"calibration_rows: shape {values.shape}, expected rows x {len(names)}")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"calibration_rows: row {row}, column {names[column]}: expected a finite number, "
                         f"got {values[row, column]}")
    return values


def read_csv(path: str, names: list[str] | None) -> tuple[list[str], np.ndarray]:
    """Header and numbers of a CSV, in the order of `names` where they are given."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        missing = [name for name in names or header[:1] or ["header"] if name not in header]
        if missing:
            raise ValueError(f"{path}: column {missing[0]} is missing in the header")
        names = names or header
        picked = [header.index(name) for name in names]
        values = []
        for cells in filter(None, lines):
            try:
                values.append([float(cells[i]) for i in picked])
            except (ValueError, IndexError):
                raise ValueError(f"{path}: line {lines.line_num}: expected a number in each of the {len(picked)} "
                                 "columns") from None
    return names, np.array(values, np.float64).reshape(len(values), len(picked))
