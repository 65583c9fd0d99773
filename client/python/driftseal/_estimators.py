"""What a scikit-learn estimator learned, as arrays with names. Looks at attributes; imports nothing, runs nothing."""
from __future__ import annotations

from typing import Any, Dict, Set

import numpy as np
import numpy.typing as npt

DEPTH_LIMIT = 16
# Of sklearn.tree's Tree, which keeps its arrays behind properties.
_TREE = ("children_left", "children_right", "feature", "threshold", "impurity", "n_node_samples",
         "weighted_n_node_samples", "value")


def fitted_arrays(estimator: Any) -> Dict[str, npt.NDArray[Any]]:
    """Arrays and numbers of all fitted attributes (those that end in "_"), and of estimators within.

    ValueError where estimators are nested deeper than makes sense.
    """
    arrays: Dict[str, npt.NDArray[Any]] = {}
    _collect(estimator, "", 0, set(), arrays)
    return arrays


def _collect(value: Any, place: str, depth: int, path: Set[int], arrays: Dict[str, npt.NDArray[Any]]) -> None:
    if depth > DEPTH_LIMIT:
        raise ValueError(f"{place}: expected at most {DEPTH_LIMIT} levels of estimators")
    if id(value) in path:
        return
    inside = {*path, id(value)}
    if isinstance(value, (bool, int, float, np.generic)):
        _keep(np.asarray(value), place, arrays)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        _keep(value, place, arrays)
    elif isinstance(value, (list, tuple, np.ndarray)):
        items = value.ravel() if isinstance(value, np.ndarray) else value
        for index, item in enumerate(items):
            _collect(item, f"{place}.{index}", depth + 1, inside, arrays)
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            _collect(value[key], f"{place}.{key}", depth + 1, inside, arrays)
    elif type(value).__name__ == "Tree" and hasattr(value, "children_left"):
        for name in _TREE:
            if hasattr(value, name):
                _keep(np.asarray(getattr(value, name)), f"{place}.{name}", arrays)
    elif hasattr(value, "toarray") and hasattr(value, "indptr"):  # a sparse matrix
        for name in ("data", "indices", "indptr"):
            _keep(np.asarray(getattr(value, name)), f"{place}.{name}", arrays)
    elif hasattr(value, "get_params"):
        for name in sorted(vars(value)):
            # A pipeline's fitted steps stand in "steps".
            if (name.endswith("_") and not name.endswith("__")) or name == "steps":
                _collect(getattr(value, name), f"{place}.{name}" if place else name, depth + 1, inside, arrays)


def _keep(array: npt.NDArray[Any], place: str, arrays: Dict[str, npt.NDArray[Any]]) -> None:
    """Numbers; texts (names of classes and columns) are no weights."""
    if array.dtype.kind not in "fiub":
        return
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    arrays[place] = array
