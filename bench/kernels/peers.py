"""The libraries that the kernels are compared with. A peer scores rows in our sense (higher is more anomalous), each at
the settings that were fastest for it; peer_worker.py tries its batch sizes. Rows are float32, row-major, contiguous."""
import concurrent.futures, ctypes, ctypes.util, multiprocessing, os, pathlib

import joblib
import numpy as np
import sklearn

import models

BATCHES = (1024, 4096, 16384, 65536)
SMALL_BATCHES = (128, 256, 512, 1024, 2048, 16384)  # where a matrix of kernels should stay in the cache
ONNX_OPSETS = {"": 18, "ai.onnx.ml": 3}


class Peer:
    """Scores for rows; `batches` are the sizes worth trying."""

    batches = BATCHES

    def __init__(self, model, threads):
        self.model, self.threads = model, threads

    def prepare(self, rows):
        """The rows in the library's own container, where it has one: that is not timed."""
        return rows


class Sklearn(Peer):
    def __init__(self, model, threads):
        super().__init__(model, threads)
        sklearn.set_config(assume_finite=True, enable_cython_pairwise_dist=True)


class SklearnForest(Sklearn):
    def score(self, rows):
        return -self.model["forest"].score_samples(rows)


class SklearnSvm(Sklearn):
    def score(self, rows):
        return -self.model["svm"].decision_function(rows)


class SklearnAutoencoder(Sklearn):
    batches = SMALL_BATCHES

    def score(self, rows):
        return np.mean((rows - self.model["autoencoder"].predict(rows)) ** 2, axis=1)


class SklearnMahalanobis(Sklearn):
    def score(self, rows):
        return self.model["mahalanobis"].mahalanobis(rows)


class SklearnNeighbours(Sklearn):
    """`algorithm` decides; the fitted rows are indexed anew."""

    algorithm = "brute"

    def __init__(self, model, threads):
        super().__init__(model, threads)
        fitted = model["neighbours"]
        self.index = sklearn.neighbors.NearestNeighbors(
            n_neighbors=fitted.n_neighbors, algorithm=self.algorithm).fit(fitted._fit_X)

    def score(self, rows):
        return self.index.kneighbors(rows)[0].mean(axis=1)


class SklearnNeighboursKdTree(SklearnNeighbours):
    algorithm = "kd_tree"


class SklearnNeighboursBallTree(SklearnNeighbours):
    algorithm = "ball_tree"


MEMBERS = (("autoencoder", SklearnAutoencoder), ("forest", SklearnForest), ("svm", SklearnSvm),
           ("mahalanobis", SklearnMahalanobis), ("neighbours", SklearnNeighbours))


class SklearnEnsemble(Sklearn):
    """All members, one after the other; with more threads than one, each takes its part of the rows."""

    batches = (256, 1024, 4096, 16384)

    def __init__(self, model, threads):
        super().__init__(model, threads)
        self.members = [peer(model, 1) for name, peer in MEMBERS if name in model]
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)

    def score_part(self, rows):
        return np.concatenate([member.score(rows) for member in self.members])

    def score(self, rows):
        if self.threads == 1:
            return self.score_part(rows)
        parts = self.pool.map(self.score_part, np.array_split(rows, self.threads))
        scores = [part.reshape(len(self.members), -1) for part in parts]
        return np.concatenate(scores, axis=1).ravel()


def _process_start(path, rows):
    global _process_peer, _process_rows
    _process_peer, _process_rows = SklearnEnsemble(joblib.load(path), 1), np.load(rows, mmap_mode="r")


def _process_score(part, batch):
    rows = _process_rows[part]
    scores = [_process_peer.score_part(rows[i:i + batch]).reshape(-1, len(rows[i:i + batch]))
              for i in range(0, len(rows), batch)]
    return np.concatenate(scores, axis=1)


class SklearnEnsembleProcesses(Sklearn):
    """The same with a process a core, which have the model and the rows already: only scores are sent."""

    batches = (16384, 32768)
    inner = 8192  # rows a process scores at once: scikit-learn's forest likes many
    own_processes = True

    def prepare_processes(self, estimators, rows):
        path = pathlib.Path(estimators).with_name("rows.npy")
        np.save(path, rows)
        self.rows = rows
        self.pool = multiprocessing.get_context("spawn").Pool(self.threads, _process_start, (estimators, path))

    def score(self, rows):
        first = (rows.ctypes.data - self.rows.ctypes.data) // rows.strides[0]
        edges = np.linspace(first, first + len(rows), self.threads + 1).astype(int)
        parts = [(slice(a, b), self.inner) for a, b in zip(edges, edges[1:])]
        return np.concatenate(self.pool.starmap(_process_score, parts, chunksize=1), axis=1).ravel()


def cached(member, estimator, options, suffix, make):
    """A file made from an estimator, in the cache: make(path) takes up to a minute for a forest."""
    digest = f"{member}-{joblib.hash((models.export({member: estimator}), repr(options)))}"
    path = pathlib.Path(os.environ["DRIFTSEAL_BENCH_CACHE"]) / f"{digest}{suffix}"
    if not path.exists():
        beside = path.with_name(f"{os.getpid()}{suffix}")
        make(beside)
        beside.rename(path)
    return path


class Onnx(Peer):
    """ONNX Runtime on what skl2onnx makes of the estimator."""

    output = "scores"

    @classmethod
    def files(cls, model):
        estimator = model[cls.member]
        return cached(cls.member, estimator, ONNX_OPSETS, ".onnx", lambda path: cls.convert(estimator, path))

    def __init__(self, model, threads):
        super().__init__(model, threads)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(self.files(model), options, providers=["CPUExecutionProvider"])

    @staticmethod
    def convert(estimator, path):
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType

        rows = FloatTensorType([None, estimator.n_features_in_])
        path.write_bytes(skl2onnx.to_onnx(
            estimator, initial_types=[("rows", rows)], target_opset=ONNX_OPSETS).SerializeToString())

    def run(self, rows):
        return self.session.run([self.output], {"rows": rows})[0]


class OnnxForest(Onnx):
    member = "forest"

    def score(self, rows):
        return -(self.run(rows).ravel() + self.model["forest"].offset_)


class OnnxSvm(Onnx):
    member = "svm"

    def score(self, rows):
        return -self.run(rows).ravel()


class OnnxAutoencoder(Onnx):
    member, output, batches = "autoencoder", "variable", SMALL_BATCHES

    def score(self, rows):
        return np.mean((rows - self.run(rows).reshape(rows.shape)) ** 2, axis=1)  # converted to one column


class Tl2cgenForest(Peer):
    """C code of the trees, compiled for this processor; kept beside the model, for it takes half a minute."""

    options = {}

    def __init__(self, model, threads):
        super().__init__(model, threads)
        import tl2cgen

        self.tl2cgen, self.predictor = tl2cgen, tl2cgen.Predictor(self.files(model), nthread=threads)

    @classmethod
    def files(cls, model):
        return cached("forest", model["forest"], cls.options, ".so", lambda path: cls.compile(model["forest"], path))

    @classmethod
    def compile(cls, estimator, path):
        import tl2cgen, treelite

        tl2cgen.export_lib(treelite.sklearn.import_model(estimator), toolchain="gcc", libpath=path,
                           params=cls.options, options=["-O3", "-march=native"])

    def prepare(self, rows):
        return self.tl2cgen.DMatrix(rows, dtype="float32")

    def score(self, rows):
        return self.predictor.predict(rows).ravel()


class Tl2cgenQuantizedForest(Tl2cgenForest):
    options = {"quantize": 1}


class TreeliteForest(Peer):
    """Treelite's own interpreter."""

    def __init__(self, model, threads):
        super().__init__(model, threads)
        import treelite

        self.treelite, self.trees = treelite, treelite.sklearn.import_model(model["forest"])

    def score(self, rows):
        return self.treelite.gtil.predict(self.trees, rows, nthread=self.threads).ravel()


class NumpySvm(Peer):
    """GEMM and exp, as the formula is written: exp(−γ(‖x‖² + ‖s‖² − 2·X·Sᵀ))·α in float32."""

    batches = SMALL_BATCHES

    def __init__(self, model, threads):
        super().__init__(model, threads)
        svm = model["svm"]
        self.vectors, self.gamma = np.ascontiguousarray(svm.support_vectors_.T, np.float32), np.float32(svm._gamma)
        self.norms = (svm.support_vectors_ ** 2).sum(axis=1).astype(np.float32)
        self.alpha, self.rho = svm.dual_coef_[0].astype(np.float32), np.float32(-svm.intercept_[0])

    def score(self, rows):
        squared = (rows ** 2).sum(axis=1)[:, None] + self.norms - 2 * (rows @ self.vectors)
        return self.rho - np.exp(-self.gamma * squared) @ self.alpha


class NumpyExp2InPlaceSvm(Peer):
    """The best we could write in NumPy: γ and log2 e folded into the vectors, and no array but the kernel matrix."""

    batches = SMALL_BATCHES
    base = np.log2(np.e)

    def __init__(self, model, threads):
        super().__init__(model, threads)
        svm = model["svm"]
        scale = 2 * svm._gamma * self.base
        self.vectors = np.ascontiguousarray((svm.support_vectors_ * scale).T, np.float32)
        self.norms = (scale / 2 * (svm.support_vectors_ ** 2).sum(axis=1)).astype(np.float32)
        self.half, self.alpha = np.float32(scale / 2), svm.dual_coef_[0].astype(np.float32)
        self.rho, self.matrix = np.float32(-svm.intercept_[0]), np.empty((0, 0), np.float32)

    def score(self, rows):
        if len(self.matrix) < len(rows):
            self.matrix = np.empty((len(rows), len(self.alpha)), np.float32)
        kernels = self.matrix[:len(rows)]
        np.matmul(rows, self.vectors, out=kernels)
        kernels -= self.norms
        kernels -= self.half * np.einsum("ij,ij->i", rows, rows)[:, None]
        self.exponential(kernels, out=kernels)
        return self.rho - kernels @ self.alpha

    exponential = staticmethod(np.exp2)


class NumpyExpInPlaceSvm(NumpyExp2InPlaceSvm):
    """The same with exp, for which NumPy has the better loop on some processors."""

    base = 1.0
    exponential = staticmethod(np.exp)


class LibsvmSvm(Peer):
    """The C library, a row at a time as it takes them: svm_predict_values on nodes that were made before."""

    NODE = np.dtype([("index", np.int32), ("pad", np.int32), ("value", np.float64)])
    batches = (1024,)

    def __init__(self, model, threads):
        super().__init__(model, threads)
        svm = model["svm"]
        path = pathlib.Path(os.environ["DRIFTSEAL_BENCH_CACHE"]) / f"libsvm-{os.getpid()}.model"
        with open(path, "w") as file:
            file.write(f"svm_type one_class\nkernel_type rbf\ngamma {svm._gamma:.17g}\nnr_class 2\n"
                       f"total_sv {len(svm.support_)}\nrho {-svm.intercept_[0]:.17g}\nSV\n")
            for alpha, vector in zip(svm.dual_coef_[0], svm.support_vectors_):
                cells = " ".join(f"{i + 1}:{x:.17g}" for i, x in enumerate(vector))
                file.write(f"{alpha:.17g} {cells}\n")
        self.library = ctypes.CDLL(ctypes.util.find_library("svm") or "libsvm.so.3")
        self.library.svm_load_model.restype = ctypes.c_void_p
        self.library.svm_predict_values.restype = ctypes.c_double
        self.loaded = ctypes.c_void_p(self.library.svm_load_model(str(path).encode()))
        path.unlink()

    def prepare(self, rows):
        nodes = np.zeros((len(rows), rows.shape[1] + 1), self.NODE)
        nodes["index"][:, :-1], nodes["index"][:, -1] = np.arange(1, rows.shape[1] + 1), -1
        nodes["value"][:, :-1] = rows
        return nodes

    def score(self, nodes):
        out, decision = np.empty(len(nodes)), ctypes.c_double()
        predict, model, where = self.library.svm_predict_values, self.loaded, ctypes.byref(decision)
        at, step = nodes.ctypes.data, nodes.strides[0]
        for i in range(len(nodes)):
            predict(model, ctypes.c_void_p(at + i * step), where)
            out[i] = -decision.value
        return out


class NumpyMahalanobis(Peer):
    """‖Lᵀ(x − m)‖² with a triangular factor of the precision, in float32."""

    batches = SMALL_BATCHES

    def __init__(self, model, threads):
        super().__init__(model, threads)
        fitted = model["mahalanobis"]
        self.factor = np.linalg.cholesky(fitted.get_precision().astype(np.float64)).astype(np.float32)
        self.mean = fitted.location_.astype(np.float32)

    def score(self, rows):
        product = (rows - self.mean) @ self.factor
        return np.einsum("ij,ij->i", product, product)


# By kernel, the name in tables and the variants of it: the fastest of them stands for the library.
PEERS = {
    "forest": {"scikit-learn": [SklearnForest], "ONNX Runtime": [OnnxForest],
               "tl2cgen": [Tl2cgenQuantizedForest, Tl2cgenForest], "treelite": [TreeliteForest]},
    "svm": {"scikit-learn": [SklearnSvm], "ONNX Runtime": [OnnxSvm],
            "NumPy GEMM + exp": [NumpySvm], "NumPy in place": [NumpyExp2InPlaceSvm, NumpyExpInPlaceSvm],
            "libsvm": [LibsvmSvm]},
    "autoencoder": {"scikit-learn": [SklearnAutoencoder], "ONNX Runtime": [OnnxAutoencoder]},
    "mahalanobis": {"scikit-learn": [SklearnMahalanobis], "NumPy": [NumpyMahalanobis]},
    "neighbours": {"scikit-learn": [SklearnNeighbours, SklearnNeighboursKdTree, SklearnNeighboursBallTree]},
    "ensemble": {"scikit-learn": [SklearnEnsembleProcesses, SklearnEnsemble]},
}
