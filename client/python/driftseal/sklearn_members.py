"""What the engine needs of each scikit-learn estimator, as arrays. Nothing is approximated: a setting that the engine
does not have is refused by name."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import check_is_fitted

CLASSES = {"scaler": StandardScaler, "isolation_forest": IsolationForest, "one_class_svm": OneClassSVM,
           "autoencoder": MLPRegressor}
ACTIVATIONS = ("identity", "relu", "tanh", "logistic")
MOST_LAYERS = 64  # of the engine
_LARGEST = float(np.finfo(np.float32).max)


class UnsupportedEstimator(ValueError):
    """Names the estimator and the parameter or attribute that cannot be brought over, and what was expected."""


@dataclass(frozen=True)
class Member:
    """One member of a detector: its fields in the JSON, its arrays, and scikit-learn's own score of scaled rows."""

    fields: dict[str, Any]
    arrays: dict[str, np.ndarray]
    score: Callable[[np.ndarray], np.ndarray]


def check(role: str, estimator: Any) -> None:
    """The class that the role asks for, fitted, and for an SVM the kernel that the engine has."""
    expected = CLASSES[role]
    if not isinstance(estimator, expected):
        hint = "; pass its steps one by one" if hasattr(estimator, "steps") else ""
        raise UnsupportedEstimator(f"{role}: expected a fitted {expected.__name__}, "
                                   f"got {type(estimator).__name__}{hint}")
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise UnsupportedEstimator(f"{role}: this {expected.__name__} is not fitted") from None
    # Here and not in one_class_svm(): with a function as kernel there is not even n_features_in_.
    if role == "one_class_svm" and estimator.kernel != "rbf":
        raise UnsupportedEstimator(f"one_class_svm: OneClassSVM(kernel={estimator.kernel!r}) is not supported, "
                                   "expected kernel='rbf'")


def _dense(role: str, attribute: str, values: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A fitted attribute as finite float64."""
    if hasattr(values, "toarray"):
        raise UnsupportedEstimator(f"{role}: {attribute} is sparse; fit {CLASSES[role].__name__} on dense rows")
    array = np.asarray(values, np.float64)
    if shape is not None and array.shape != shape:
        raise UnsupportedEstimator(f"{role}: {attribute} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise UnsupportedEstimator(f"{role}: {attribute} holds a value that is not finite")
    return array


def standard_scaler(scaler: StandardScaler | None, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of every column; with_mean=False is a centre of 0, with_std=False a scale of 1."""
    centre, scale = np.zeros(columns), np.ones(columns)
    if scaler is not None and scaler.with_mean:
        centre = _dense("scaler", "mean_", scaler.mean_, (columns,))
    if scaler is not None and scaler.with_std:
        scale = _dense("scaler", "scale_", scaler.scale_, (columns,))
        if not (scale > 0).all():
            raise UnsupportedEstimator(f"scaler: scale_[{np.argmin(scale)}] is {scale.min()}, expected more than 0")
    return centre, scale


def average_path_length(n: np.ndarray) -> np.ndarray:
    """c(n) as scikit-learn has it: 2(ln(n−1) + γ) − 2(n−1)/n, with 0 up to 1 and 1 for 2."""
    n = np.asarray(n, np.float64)
    large = np.maximum(n, 3)
    c = 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, c))


def _narrow(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 not above each threshold: decides every float32 as the double does."""
    threshold = np.clip(threshold, -_LARGEST, _LARGEST)  # +inf tells NaN from numbers, and all numbers are below
    narrow = threshold.astype(np.float32)
    above = narrow.astype(np.float64) > threshold
    return np.where(above, np.nextafter(narrow, np.float32(-np.inf)), narrow).astype(np.float32)


def _depths(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Edges from the root to each node."""
    depths = np.zeros(left.size)
    level, depth = np.zeros(1, np.intp), 0
    while level.size:
        depths[level] = depth
        inner = level[left[level] >= 0]
        level, depth = np.concatenate([left[inner], right[inner]]), depth + 1
    return depths


def isolation_forest(estimator: IsolationForest, order: np.ndarray) -> Member:
    # Not max_samples_ and max_features: score_samples() reads these two, which differ after a warm start.
    sample_size, whole = int(estimator._max_samples), estimator._max_features == estimator.n_features_in_
    position = np.argsort(order)  # where a column of the estimator stands in the detector
    parts, roots, walks, nodes = [], [], [], 0
    for index, (grown, features) in enumerate(zip(estimator.estimators_, estimator.estimators_features_)):
        tree = grown.tree_
        # With all features score_samples() hands whole rows to the trees, and does not look at estimators_features_.
        features = np.arange(estimator.n_features_in_) if whole else np.asarray(features)
        if tree.n_features != features.size:
            raise UnsupportedEstimator(f"isolation_forest: estimators_[{index}] reads {tree.n_features} columns, but "
                                       f"gets {features.size}: max_features was changed between fits (warm_start)")
        left, right = tree.children_left, tree.children_right
        leaf = left < 0
        # The engine counts paths in whole 2^-16 (kernels/forest/forest.h), below 256 exact in float32: it moves a score by
        # less than 1e-6.
        path = (_depths(left, right) + average_path_length(tree.n_node_samples)).astype(np.float32)
        path = (np.floor(path.astype(np.float64) * 65536 + 0.5) / 65536).astype(np.float32)
        parts.append({
            "feature": np.where(leaf, -1, position[features[np.where(leaf, 0, tree.feature)]]).astype(np.int32),
            "threshold": np.where(leaf, np.float32(0), _narrow(np.where(leaf, 0, tree.threshold))).astype(np.float32),
            "left": np.where(leaf, -1, left + nodes).astype(np.int32),
            "right": np.where(leaf, -1, right + nodes).astype(np.int32),
            "path": np.where(leaf, path, np.float32(0)).astype(np.float32)})
        roots.append(nodes)
        walks.append((tree, features, path.astype(np.float64)))
        nodes += leaf.size
        if nodes > np.iinfo(np.int32).max:
            raise UnsupportedEstimator(f"isolation_forest: n_estimators={len(estimator.estimators_)}: the trees have "
                                       "more than 2^31 nodes")
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["roots"] = np.array(roots, np.int32)
    norm = len(walks) * float(average_path_length(np.array(sample_size)))

    def score(rows: np.ndarray) -> np.ndarray:
        # score_samples() with the paths as they are written, so that equal rows score equal here and in the engine.
        narrow = np.ascontiguousarray(rows, np.float32)
        total = sum(path[tree.apply(narrow[:, features])] for tree, features, path in walks)
        return np.exp2(-total / norm) if norm > 0 else np.full(len(rows), 0.5)

    return Member({"sample_size": sample_size}, arrays, score)


def one_class_svm(estimator: OneClassSVM, order: np.ndarray) -> Member:
    vectors = _dense("one_class_svm", "support_vectors_", estimator.support_vectors_)
    alpha = _dense("one_class_svm", "dual_coef_", estimator.dual_coef_, (1, len(vectors)))[0]
    intercept = _dense("one_class_svm", "intercept_", estimator.intercept_, (1,))
    gamma = float(estimator._gamma)  # the number that 'scale' and 'auto' stood for
    if not 0 < gamma < np.inf:
        raise UnsupportedEstimator(f"one_class_svm: OneClassSVM(gamma={estimator.gamma!r}) became {gamma}, "
                                   "expected a finite number above 0")
    if not len(vectors):
        raise UnsupportedEstimator("one_class_svm: support_vectors_ is empty")
    return Member({"gamma": gamma, "rho": float(-intercept[0])}, {"vectors": vectors[:, order], "alpha": alpha},
                  lambda rows: -estimator.decision_function(rows))


def autoencoder(estimator: MLPRegressor, order: np.ndarray) -> Member:
    columns = estimator.n_features_in_
    if estimator.n_outputs_ != columns:
        raise UnsupportedEstimator(f"autoencoder: n_outputs_ is {estimator.n_outputs_} and n_features_in_ {columns}: "
                                   "an autoencoder is fitted with its own input as target, fit(X, X)")
    layers = len(estimator.coefs_)
    if layers > MOST_LAYERS:
        raise UnsupportedEstimator(f"autoencoder: hidden_layer_sizes has {layers - 1} layers, "
                                   f"expected at most {MOST_LAYERS - 1}")
    activations = [estimator.activation] * (layers - 1) + [estimator.out_activation_]
    for parameter, activation in (("activation", activations[0]), ("out_activation_", activations[-1])):
        if activation not in ACTIVATIONS:
            cause = f" (loss={estimator.loss!r})" if parameter == "out_activation_" else ""
            raise UnsupportedEstimator(f"autoencoder: MLPRegressor's {parameter} is {activation!r}{cause}, "
                                       f"expected one of {', '.join(ACTIVATIONS)}")
    arrays = {}
    for layer, (coefs, intercepts) in enumerate(zip(estimator.coefs_, estimator.intercepts_)):
        weight = _dense("autoencoder", f"coefs_[{layer}]", coefs).T
        bias = _dense("autoencoder", f"intercepts_[{layer}]", intercepts, (len(weight),))
        if layer == 0:
            weight = weight[:, order]
        if layer == layers - 1:
            weight, bias = weight[order], bias[order]
        arrays[f"{layer}.weight"], arrays[f"{layer}.bias"] = weight, bias

    def score(rows: np.ndarray) -> np.ndarray:
        # predict() of one column gives a vector.
        return np.asarray(np.mean((rows - estimator.predict(rows).reshape(rows.shape)) ** 2, axis=1))

    return Member({"activations": activations}, arrays, score)
