"""Rows and fitted models of the kernel benchmark, for both sides: estimators of scikit-learn for the peers, the same as
arrays for our kernels. Everything is seeded; what is fitted is kept in the folder given and found there the next time.
"""
import dataclasses, json, pathlib, sys, types, warnings, zlib

import joblib
import numpy as np
import sklearn
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor
from sklearn.svm import OneClassSVM

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client/python"))
from driftseal import sklearn_members  # noqa: E402 (how detectors of scikit-learn come into the engine)

FIT_ROWS = 4096
OUTLIERS = 0.05
NEIGHBOURS = 5
HIDDEN = (32, 16, 32)
MEMBERS = ("forest", "svm", "autoencoder", "mahalanobis", "neighbours")
ACTIVATIONS = ("identity", "relu", "tanh", "logistic")  # in the order of kernels/autoencoder/autoencoder.h
DTYPES = {"float32": "F32", "float64": "F64", "int32": "I32"}


def draw_rows(count, features, seed, outliers=OUTLIERS):
    """float32 rows of four correlated clusters, of which a share of `outliers` lies about four times as far out."""
    clusters = np.random.default_rng(features)  # The distribution depends on the number of features only.
    centres = clusters.normal(size=(4, features))
    mixing = clusters.normal(size=(4, features, features)) / np.sqrt(features)
    rng = np.random.default_rng([features, seed])
    rows = np.empty((count, features), np.float32)
    for first in range(0, count, 65536):
        part = slice(first, min(first + 65536, count))
        kind = rng.integers(4, size=part.stop - first)
        noise = rng.standard_normal((part.stop - first, features), np.float32)
        for k in range(4):
            rows[part][kind == k] = noise[kind == k] @ mixing[k].astype(np.float32) + centres[k]
        rows[part][rng.random(part.stop - first) < outliers] *= 4
    return (rows / np.float32(np.sqrt(2))).astype(np.float32, copy=False)


def write_arrays(path, arrays):
    """A safetensors file, as model_io.h reads it."""
    header, offset = {}, 0
    arrays = {name: np.ascontiguousarray(np.atleast_1d(array)) for name, array in arrays.items()}
    for name, array in arrays.items():
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape,
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.data)


def fit_svm(rows, vectors):
    """ν by bisection until the model has `vectors` support vectors, or as near as ν gets."""
    low, high, best = 0.0, 1.0, None
    for _ in range(14):
        nu = (low + high) / 2
        model = OneClassSVM(nu=nu, gamma="scale", tol=1e-4).fit(rows)
        found = len(model.support_)
        if best is None or abs(found - vectors) < abs(len(best.support_) - vectors):
            best = model
        if found == vectors:
            break
        low, high = (nu, high) if found < vectors else (low, nu)
    return best


def fit(member, rows, trees, vectors):
    if member == "forest":
        return IsolationForest(n_estimators=trees, random_state=1).fit(rows)
    if member == "svm":
        return fit_svm(rows, vectors)
    if member == "autoencoder":
        warnings.simplefilter("ignore", ConvergenceWarning)  # weights of any quality cost the same
        return MLPRegressor(hidden_layer_sizes=HIDDEN, max_iter=40, random_state=1, tol=0).fit(rows, rows)
    if member == "mahalanobis":
        return LedoitWolf().fit(rows)
    return NearestNeighbors(n_neighbors=NEIGHBOURS).fit(rows)


@dataclasses.dataclass
class Model:
    """Fitted estimators by member; `path` is the folder that holds them, as estimators and as arrays."""

    name: str
    features: int
    members: dict
    path: pathlib.Path

    @property
    def arrays(self):
        return self.path / "model.safetensors"


def export(members):
    """What kernels/ needs of each estimator."""
    arrays = {}
    order = np.arange(next(iter(members.values())).n_features_in_)
    for name, estimator in members.items():
        if name == "forest":
            member = sklearn_members.isolation_forest(estimator, order)
            arrays |= {f"forest.{key}": value for key, value in member.arrays.items()}
            arrays["forest.sample_size"] = np.float64(member.fields["sample_size"])
        elif name == "svm":
            member = sklearn_members.one_class_svm(estimator, order)
            arrays |= {f"svm.{key}": np.asarray(value) for key, value in (member.arrays | member.fields).items()}
        elif name == "autoencoder":
            member = sklearn_members.autoencoder(estimator, order)
            arrays |= {f"autoencoder.{key}": value for key, value in member.arrays.items()}
            for layer, activation in enumerate(member.fields["activations"]):
                arrays[f"autoencoder.{layer}.activation"] = np.int32(ACTIVATIONS.index(activation))
        elif name == "mahalanobis":
            arrays |= {f"mahalanobis.{key}": value for key, value in spectral(estimator).items()}
        else:
            arrays |= {"neighbours.reference": estimator._fit_X.astype(np.float64),
                       "neighbours.k": np.float64(estimator.n_neighbors)}
    return arrays


def spectral(covariance):
    """The precision as c·I + Σ w_j v_j v_jᵀ (kernels/mahalanobis/mahalanobis.h), c that of pure noise."""
    values, vectors = np.linalg.eigh(covariance.covariance_.astype(np.float64))
    isotropic = 1 / values.min()
    other = values > values.min()  # the smallest one's weight is 0
    return {"mean": covariance.location_.astype(np.float64), "isotropic": np.float64(isotropic),
            "directions": vectors.T[other].copy(), "weights": 1 / values[other] - isotropic}


class Store:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def model(self, features, *, trees=None, vectors=None, others=()):
        """A forest of `trees`, an SVM of about `vectors`, and the other members named, fitted on the same rows."""
        wanted = [*(["forest"] if trees else []), *(["svm"] if vectors else []), *others]
        sizes = [f"f{features}", *([f"t{trees}"] if trees else []), *([f"v{vectors}"] if vectors else [])]
        name = "-".join([*sizes, *(["all"] if len(wanted) == len(MEMBERS) else others)])
        path = self.directory / f"{name}-{self.version()}"
        if not (path / "estimators.joblib").exists():
            path.mkdir(parents=True, exist_ok=True)
            rows = draw_rows(FIT_ROWS, features, 0, outliers=0)
            self.keep(path, {member: fit(member, rows, trees, vectors) for member in wanted})
        return Model(name, features, joblib.load(path / "estimators.joblib"), path)

    def synthetic_svm(self, features, vectors):
        """Rows as support vectors with random weights: a fit of 16,384 takes minutes, and costs to score the same."""
        name = f"f{features}-synthetic-v{vectors}"
        path = self.directory / f"{name}-{self.version()}"
        if not (path / "estimators.joblib").exists():
            weights = np.random.default_rng(vectors).uniform(size=(1, vectors))
            svm = types.SimpleNamespace(
                support_vectors_=draw_rows(vectors, features, 2).astype(np.float64), dual_coef_=weights,
                support_=np.arange(vectors), intercept_=np.array([-0.1 * vectors]), _gamma=1 / features,
                n_features_in_=features)
            path.mkdir(parents=True, exist_ok=True)
            self.keep(path, {"svm": svm})
        return Model(name, features, joblib.load(path / "estimators.joblib"), path)

    def keep(self, path, members):
        write_arrays(path / "model.safetensors", export(members))
        joblib.dump(members, path / "estimators.joblib.new")
        (path / "estimators.joblib.new").rename(path / "estimators.joblib")

    def rows(self, count, features):
        """Where `count` rows that no model was fitted on lie."""
        path = self.directory / f"rows-f{features}-n{count}-{self.version()}.safetensors"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_arrays(path.with_suffix(".new"), {"rows": draw_rows(count, features, 1)})
            path.with_suffix(".new").rename(path)
        return path

    def version(self):
        """Changes with this file and with scikit-learn, so that nothing stale is found."""
        text = pathlib.Path(__file__).read_bytes() + sklearn.__version__.encode()
        return f"{zlib.crc32(text):08x}"


def read_rows(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return np.fromfile(file, np.float32).reshape(header["rows"]["shape"])
