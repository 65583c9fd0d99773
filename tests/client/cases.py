"""What the parity test trains: for each case a data set, a scaler and the settings of the members."""
from dataclasses import dataclass, field

PLAIN = {}


@dataclass(frozen=True)
class Case:
    data: str
    note: str
    scaler: dict | None = field(default_factory=dict)  # None: the members read the rows as they are
    forest: dict | None = None
    svm: dict | None = None
    autoencoder: dict | None = None


def all_three(data, note="all members, defaults", **settings):
    return Case(data, note, **{"forest": PLAIN, "svm": PLAIN, "autoencoder": PLAIN, **settings})


CASES = [
    *(all_three(data) for data in ("breast_cancer", "wine", "digits", "diabetes", "california_like", "heavy_tailed",
                                   "beyond_float32", "duplicated", "one_column", "wide", "few_rows")),
    *(all_three(data, "no scaler", scaler=None) for data in ("breast_cancer", "wine", "digits", "heavy_tailed",
                                                             "beyond_float32", "duplicated", "one_column", "wide")),
    all_three("breast_cancer", "with_mean=False", scaler={"with_mean": False}),
    all_three("california_like", "with_std=False", scaler={"with_std": False}),
    all_three("duplicated", "with_mean=with_std=False", scaler={"with_mean": False, "with_std": False}),
    all_three("wine", "float32 rows fitted", scaler=None, forest={"narrow": True}, svm={"narrow": True},
              autoencoder={"narrow": True}),
    # The forest alone.
    Case("wine", "max_features=0.5", forest={"max_features": 0.5}),
    Case("digits", "max_features=7", forest={"max_features": 7, "n_estimators": 200}),
    Case("wide", "max_features=1", forest={"max_features": 1}),
    Case("diabetes", "max_features=1.0, one tree", forest={"max_features": 1.0, "n_estimators": 1}),
    Case("heavy_tailed", "max_samples=0.3, bootstrap", forest={"max_samples": 0.3, "bootstrap": True}),
    Case("breast_cancer", "max_samples=64, contamination", forest={"max_samples": 64, "contamination": 0.1}),
    Case("california_like", "all rows, bootstrap, .7", forest={"max_samples": 1.0, "bootstrap": True,
                                                               "max_features": 0.7}),
    Case("diabetes", "max_samples=1", forest={"max_samples": 1}),
    Case("diabetes", "max_samples=2", forest={"max_samples": 2}),
    Case("diabetes", "max_samples=3", forest={"max_samples": 3}),
    Case("wine", "sample_weight, bootstrap", forest={"weighted": True, "bootstrap": True}),
    Case("heavy_tailed", "warm start, other rows", forest={"warm_start": True, "max_samples": 0.5}),
    Case("wine", "warm start, other features", forest={"warm_start": True, "then": {"max_features": 0.4}}),
    Case("beyond_float32", "rows at the thresholds", scaler=None, forest={"at_thresholds": True}),
    Case("heavy_tailed", "rows at the thresholds", scaler=None, forest={"at_thresholds": True, "max_features": 0.5}),
    # The SVM alone.
    Case("wine", "gamma=scale, no scaler", scaler=None, svm={"gamma": "scale"}),
    Case("wine", "gamma=auto", svm={"gamma": "auto", "nu": 0.05}),
    Case("breast_cancer", "gamma=0.01, nu=0.9", svm={"gamma": 0.01, "nu": 0.9}),
    Case("digits", "gamma=1e-3, no scaler", scaler=None, svm={"gamma": 1e-3, "nu": 0.01, "shrinking": False}),
    Case("california_like", "gamma=1e-7, no scaler", scaler=None, svm={"gamma": 1e-7, "nu": 0.5}),
    Case("heavy_tailed", "gamma=50", svm={"gamma": 50.0}),
    Case("diabetes", "max_iter=10, tol=1e-1", svm={"max_iter": 10, "tol": 0.1}),
    # The autoencoder alone.
    Case("wine", "tanh (8, 3, 8)", autoencoder={"activation": "tanh", "hidden_layer_sizes": (8, 3, 8)}),
    Case("digits", "logistic (32,)", autoencoder={"activation": "logistic", "hidden_layer_sizes": (32,)}),
    Case("breast_cancer", "identity (5,), lbfgs", autoencoder={"activation": "identity", "hidden_layer_sizes": (5,),
                                                               "solver": "lbfgs"}),
    Case("diabetes", "relu (20, 4, 20), sgd", autoencoder={"activation": "relu", "hidden_layer_sizes": (20, 4, 20),
                                                           "solver": "sgd"}),
    Case("california_like", "early stopping", autoencoder={"early_stopping": True, "hidden_layer_sizes": (16, 2, 16),
                                                           "activation": "tanh"}),
    Case("heavy_tailed", "warm start", autoencoder={"warm_start": True, "activation": "relu"}),
    Case("wine", "partial_fit", autoencoder={"partial": True, "activation": "logistic"}),
    Case("wine", "no hidden layer", autoencoder={"hidden_layer_sizes": ()}),
    Case("one_column", "(1,) no scaler", scaler=None, autoencoder={"hidden_layer_sizes": (1,), "activation": "tanh"}),
    Case("wide", "10 hidden layers", autoencoder={"hidden_layer_sizes": (12,) * 10, "activation": "relu"}),
    # Pairs.
    Case("digits", "forest and svm", forest={"max_features": 0.25}, svm={"gamma": "auto"}),
    Case("breast_cancer", "svm and autoencoder", svm={"nu": 0.2}, autoencoder={"activation": "tanh"}),
]
