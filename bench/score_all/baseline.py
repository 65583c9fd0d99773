"""What a straightforward Python program does for score_all: json.load, hashlib, NumPy, scikit-learn, model by model.

    python bench/score_all/baseline.py --reference REFERENCE --report baseline.json FLEET/00000 FLEET/00001

It fits a StandardScaler, an IsolationForest of 200 trees and a OneClassSVM for each family of the reference, then
reads, hashes, measures and scores the models of the folders. Only the second part is timed: the imports and the fit are
not. --processes spreads it over a Pool; --batch leaves the scores to the end, all rows of a family at once.
"""
import argparse, hashlib, json, math, multiprocessing, pathlib, resource, time
from itertools import repeat

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

SLOTS = 3  # Weight matrices that have columns of their own; every family here has at most as many.
CALIBRATION_BINS = 15


def parse_safetensors(data):
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[8 + size + first:8 + size + last], "<f4").reshape(entry["shape"])
    return tensors


def spectral(weight):
    sigma = np.linalg.svd(weight, compute_uv=False)
    energy = sigma**2
    p = energy / energy.sum()
    centred = sigma - sigma.mean()
    kurtosis = np.mean(centred**4) / max(np.mean(centred**2) ** 2, 1e-30)
    ratio = sigma[1] / sigma[0] if len(sigma) > 1 else math.nan
    return [sigma[0], math.sqrt(energy.sum()), p[0], -np.sum(p * np.log(np.maximum(p, 1e-30))), kurtosis, ratio]


def layer_quantiles(values):
    flat = values.ravel()
    return [flat.mean(), math.log(max(flat.var(), 1e-12)), *np.quantile(flat, [0, 0.25, 0.5, 0.75, 1])]


def contrast(values):
    """How far one class stands from the others: robust z-scores of both ends, and the gap at the top."""
    if len(values) < 3:
        return [math.nan] * 3
    median = np.median(values)
    scale = 1.4826 * np.median(np.abs(values - median)) + 1e-12
    top = np.sort(values)
    return [(top[-1] - median) / scale, (median - top[0]) / scale, (top[-1] - top[-2]) / scale]


def head_features(weight, bias):
    norms = np.linalg.norm(weight, axis=1)
    vectors = (norms, weight.mean(axis=1), weight.max(axis=1), bias, np.maximum(weight, 0).sum(axis=1),
               math.sqrt(2 / math.pi) * weight.sum(axis=1) + bias)
    cosines = (weight @ weight.T / np.outer(norms, norms))[np.triu_indices(len(norms), 1)]
    return [f for v in vectors for f in contrast(v)] + [cosines.max(), np.median(cosines), cosines.min()]


def weight_features(data):
    tensors = parse_safetensors(data)
    names = [name for name, tensor in tensors.items() if tensor.ndim >= 2]
    matrices = [tensors[name].reshape(len(tensors[name]), -1) for name in names]
    biases = [tensors[name.replace("weight", "bias")] for name in names]
    spectra = [spectral(matrix) for matrix in matrices[:SLOTS]]
    features = []
    for slot in range(SLOTS):
        if slot < len(matrices):
            features += spectra[slot] + layer_quantiles(matrices[slot]) + layer_quantiles(biases[slot])
        else:
            features += [math.nan] * 20
    table = np.array(spectra)
    features += [*table.min(axis=0), *np.median(table, axis=0), *table.max(axis=0)]
    parameters = sum(tensor.size for tensor in tensors.values())
    shapes = hashlib.sha256(repr([(n, t.shape) for n, t in tensors.items()]).encode()).hexdigest()[:16]
    return features + head_features(matrices[-1], biases[-1]), len(tensors), parameters, shapes


def confusion_features(truth, predicted, classes):
    true_share = np.bincount(truth, minlength=classes) / len(truth)
    predicted_share = np.bincount(predicted, minlength=classes) / len(truth)
    entropies = [-np.sum(s * np.log(np.maximum(s, 1e-30))) / math.log(classes) for s in (true_share, predicted_share)]
    cells = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    right = np.diag(cells)
    recall = right / np.maximum(cells.sum(axis=1), 1)
    precision = right / np.maximum(cells.sum(axis=0), 1)
    errors = cells - np.diag(right)
    wrong = max(errors.sum(), 1)
    return [entropies[0], true_share.max(), entropies[1], predicted_share.max(), (predicted_share - true_share).max(),
            0.5 * np.abs(predicted_share - true_share).sum(), right.sum() / len(truth), recall.min(),
            contrast(recall)[1], precision.min(), errors.max() / wrong, errors.sum(axis=0).max() / wrong,
            errors.sum(axis=1).max() / wrong, contrast(errors.sum(axis=0))[0]]


def prediction_features(path):
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    truth, predicted = table[:, 0].astype(int), table[:, 1].astype(int)
    probabilities = table[:, 2:]
    confidence, right = probabilities.max(axis=1), truth == predicted
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    calibration = np.abs(np.bincount(bins, right - confidence, minlength=CALIBRATION_BINS)).sum() / len(table)
    wrong = confidence[~right].mean() if not right.all() else math.nan
    mass = probabilities.mean(axis=0)
    return [math.log1p(len(table)), table.shape[1], *confusion_features(truth, predicted, probabilities.shape[1]),
            confidence.mean(), confidence.std(), *np.quantile(confidence, [0.05, 0.25, 0.5, 0.75, 0.95]), wrong,
            confidence[right].mean() - wrong if right.any() else math.nan, calibration, mass.max() - np.median(mass)]


def meta_features(meta, model_bytes, tensors, parameters):
    promotion, training = meta["promotion"], meta["training"]
    return [promotion["primary"], promotion["baseline"], promotion["primary"] - promotion["baseline"],
            math.log1p(training["seconds"]), math.log1p(training["parameters"]), math.log1p(training["samples"]),
            training["final_loss"], training["score"], training["score"] - promotion["primary"],
            math.log1p(model_bytes), tensors, math.log1p(parameters),
            math.log1p(parameters) - math.log1p(training["parameters"])]


def fingerprint(path):
    """One model's family, row, and digests with whether they are the recorded ones."""
    with open(path, encoding="utf-8") as file:
        meta = json.load(file)
    model = (path.parent / meta["artifacts"]["model_path"]).read_bytes()
    predictions = path.parent / meta["artifacts"]["predictions_path"]
    digests = {"model": hashlib.sha256(model).hexdigest(),
               "predictions": hashlib.sha256(predictions.read_bytes()).hexdigest()}
    features, tensors, parameters, shapes = weight_features(model)
    row = meta_features(meta, len(model), tensors, parameters) + prediction_features(predictions) + features
    entry = {"model_name": meta["model_name"], "sha256": digests,
             "intact": all(meta["fingerprint"][f"{role}_sha256"] == digest for role, digest in digests.items())}
    family = f"{meta['domain']}/{meta['promotion']['task']}/{shapes}"
    return family, np.nan_to_num(np.array(row, np.float64)), entry


DETECTORS = {}  # Family -> scaler, forest, SVM. Filled before a Pool forks, so that its processes have it.


def fit(reference):
    rows = {}
    for path in sorted(reference.rglob("*.meta.json")):
        family, row, _ = fingerprint(path)
        rows.setdefault(family, []).append(row)
    for family, table in rows.items():
        scaler = StandardScaler().fit(table)
        scaled = scaler.transform(table)
        forest = IsolationForest(n_estimators=200, random_state=1).fit(scaled)
        DETECTORS[family] = scaler, forest, OneClassSVM(kernel="rbf", gamma="scale", nu=0.1).fit(scaled)


def score(family, rows):
    scaler, forest, svm = DETECTORS[family]
    scaled = scaler.transform(rows)
    return forest.score_samples(scaled), svm.score_samples(scaled)


def screen(path):
    family, row, entry = fingerprint(path)
    forest, svm = score(family, row[None, :])
    return {**entry, "family": family, "forest": float(forest[0]), "svm": float(svm[0])}


def score_batches(measured):
    families, entries = {}, []
    for family, row, entry in measured:
        families.setdefault(family, []).append((entry, row))
        entries.append(entry)
    for family, members in families.items():
        forest, svm = score(family, np.stack([row for _, row in members]))
        for (entry, _), f, s in zip(members, forest, svm):
            entry.update(family=family, forest=float(f), svm=float(s))
    return entries


def screen_all(paths, processes, batch):
    if processes == 1:
        return score_batches(map(fingerprint, paths)) if batch else [screen(path) for path in paths]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        if batch:
            return score_batches(pool.imap(fingerprint, paths, chunksize=32))
        return pool.map(screen, paths, chunksize=32)


def peak_bytes(processes):
    """Of this process, and as much again as the largest child for each child: what they share is counted in each."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if processes > 1 else 0
    return (own + child * processes) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=pathlib.Path, required=True)
    parser.add_argument("folders", type=pathlib.Path, nargs="+", help="folders of one fleet")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--batch", action="store_true", help="score all rows of a family at once, at the end")
    parser.add_argument("--report", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    fit(arguments.reference)

    wall, cpu = time.perf_counter(), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    paths = [path for folder in arguments.folders for path in sorted(folder.rglob("*.meta.json"))]
    entries = screen_all(paths, arguments.processes, arguments.batch)
    for path, entry in zip(paths, entries):
        entry["path"] = path.relative_to(arguments.folders[0].parent).as_posix()
    arguments.report.write_text(json.dumps({"models": entries}, indent=2))
    wall = time.perf_counter() - wall
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu
    cpu += sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(json.dumps({"models": len(entries), "seconds": wall, "cpu_seconds": cpu,
                      "peak_bytes": peak_bytes(arguments.processes)}))


if __name__ == "__main__":
    main()
