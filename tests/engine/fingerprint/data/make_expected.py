"""Makes the inputs and the expected feature values of expected_test.cpp, with NumPy and nothing of DriftSeal.

    python make_expected.py        writes model.safetensors, predictions.csv, regression.csv and expected.json beside it
"""
import json
import os
import struct

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
RNG = np.random.default_rng(20)


def tensors():
    """Eight weight matrices, so that two have no slot; fc10 after fc2 tells natural from alphabetical order."""
    r = RNG
    t = {
        "conv1.weight": r.normal(0, 0.3, (6, 1, 3, 3)), "conv1.bias": r.normal(0, 0.1, 6),
        "bn1.weight": r.uniform(0.5, 1.5, 6), "bn1.bias": r.normal(0, 0.1, 6),
        "bn1.running_mean": r.normal(0, 1, 6), "bn1.running_var": r.uniform(0.2, 2, 6),
        "conv2.weight": r.normal(0, 0.2, (8, 6, 3, 3)), "conv2.bias": r.normal(0, 0.1, 8),
        "fc1.weight": r.normal(0, 0.1, (40, 72)), "fc1.bias": r.normal(0, 0.1, 40),
        "fc2.weight": r.normal(0, 0.1, (30, 40)),
        "fc3.weight": r.normal(0, 0.1, (20, 30)), "fc3.bias": r.normal(0, 0.1, 20),
        "fc4.weight": r.normal(0, 0.1, (3, 20)), "fc4.bias": r.normal(0, 0.1, 3),
        "fc5.weight": r.normal(0, 0.1, (20, 3)), "fc5.bias": r.normal(0, 0.1, 20),
        "fc10.weight": r.normal(0, 0.1, (10, 20)), "fc10.bias": r.normal(0, 0.1, 10),
    }
    return {k: v.astype(np.float32) for k, v in t.items()}


ORDER = ["conv1", "conv2", "fc1", "fc2", "fc3", "fc4", "fc5", "fc10"]
SLOTS = ["conv1", "conv2", "fc1", "fc4", "fc5", "fc10"]


def write_safetensors(path, t):
    header, blob = {}, b""
    for name in sorted(t):
        data = t[name].tobytes()
        header[name] = {"dtype": "F32", "shape": list(t[name].shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


def spectral(w):
    s = np.linalg.svd(w.reshape(w.shape[0], -1).astype(np.float64), compute_uv=False)
    p = s**2 / (s**2).sum()
    m = s - s.mean()
    kurtosis = (m**4).mean() / (m**2).mean() ** 2 if len(s) >= 4 else None
    return {"sigma1": s[0], "frobenius": np.sqrt((s**2).sum()), "top_energy": p[0],
            "entropy": -(p * np.log(p)).sum(), "kurtosis": kurtosis, "sigma_ratio": s[1] / s[0]}


def quantiles(v):
    v = v.ravel().astype(np.float64)
    q = np.quantile(v, [0, 0.25, 0.5, 0.75, 1])
    return dict(zip(["mean", "log_variance", "q0", "q25", "q50", "q75", "q100"],
                    [v.mean(), np.log(v.var()), *q]))


def contrast(v, floor=0.0):
    v = np.asarray(v, np.float64)
    scale = 1.4826 * np.median(np.abs(v - np.median(v))) + floor
    top = np.sort(v)[::-1]
    return {"z_max": (top[0] - np.median(v)) / scale, "z_min": -(v.min() - np.median(v)) / scale,
            "top_gap": (top[0] - top[1]) / scale}


def weight_features(t):
    out = {}
    for i, name in enumerate(SLOTS, 1):
        for k, v in spectral(t[name + ".weight"]).items():
            out[f"spectral.slot{i}.{k}"] = v
        for part in ("weight", "bias"):
            for k, v in (quantiles(t[f"{name}.{part}"])).items():
                out[f"quantile.slot{i}.{part}_{k}"] = v
    every = [spectral(t[n + ".weight"]) for n in ORDER]
    for k in every[0]:
        v = np.array([e[k] for e in every if e[k] is not None])
        for name, f in (("min", np.min), ("median", np.median), ("max", np.max)):
            out[f"spectral.all.{k}_{name}"] = f(v)
    for kind, name in (("scale", "bn1.weight"), ("running_mean", "bn1.running_mean"), ("running_var", "bn1.running_var")):
        v = t[name].astype(np.float64)
        out |= {f"quantile.{kind}_mean": v.mean(), f"quantile.{kind}_std": v.std(),
                f"quantile.{kind}_min": v.min(), f"quantile.{kind}_max": v.max()}
    w, b = t["fc10.weight"].astype(np.float64), t["fc10.bias"].astype(np.float64)
    vectors = {"norm": np.linalg.norm(w, axis=1), "mean": w.mean(1), "max": w.max(1), "bias": b,
               "positive_sum": np.maximum(w, 0).sum(1), "expected_logit": np.sqrt(2 / np.pi) * w.sum(1) + b}
    for name, v in vectors.items():
        out |= {f"head.{name}_{k}": z for k, z in contrast(v).items()}
    u = w / np.linalg.norm(w, axis=1, keepdims=True)
    c = (u @ u.T)[np.triu_indices(len(w), 1)]
    out |= {"head.cosine_max": c.max(), "head.cosine_median": np.median(c), "head.cosine_min": c.min()}
    out["meta.tensors"] = len(t)
    out["meta.counted_parameters"] = np.log1p(sum(v.size for k, v in t.items() if "running" not in k))
    out["meta.model_bytes"] = np.log1p(os.path.getsize(os.path.join(HERE, "model.safetensors")))
    return out


def classification():
    n, k = 700, 4
    truth = RNG.integers(0, k, n)
    logits = RNG.normal(0, 1, (n, k))
    logits[np.arange(n), truth] += 2
    logits[:, 2] += 0.6 * (truth == 1)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = np.round(p, 6)
    predicted = p.argmax(1)
    missing = RNG.random(n) < 0.02
    with open(os.path.join(HERE, "predictions.csv"), "w", newline="") as f:
        f.write(",y_true,y_pred," + ",".join(f"p_{c}" for c in range(k)) + ",note,weight\r\n")
        for i in range(n):
            f.write(f"{i},{truth[i]},{predicted[i]}," + ",".join(f"{x:.6f}" for x in p[i]) +
                    f',"row ""{i}"", checked",{"" if missing[i] else 1.5}\r\n')
    out = {"rows": np.log1p(n), "numeric_columns": 8, "missing_share": missing.sum() / (8 * n)}
    st, sp = np.bincount(truth, minlength=k) / n, np.bincount(predicted, minlength=k) / n
    entropy = lambda s: -(s * np.log(s)).sum() / np.log(k)
    confusion = np.zeros((k, k))
    np.add.at(confusion, (truth, predicted), 1)
    recall, precision = confusion.diagonal() / confusion.sum(1), confusion.diagonal() / confusion.sum(0)
    off = confusion - np.diag(confusion.diagonal())
    wrong, right = truth != predicted, truth == predicted
    conf = p.max(1).astype(np.float32).astype(np.float64)
    bins = np.minimum((conf * 15).astype(int), 14)
    ece = sum(abs(right[bins == b].sum() - conf[bins == b].sum()) for b in range(15)) / n
    means = p.mean(0)
    out |= {"true_entropy": entropy(st), "true_largest_share": st.max(), "predicted_entropy": entropy(sp),
            "predicted_largest_share": sp.max(), "share_excess": (sp - st).max(), "share_distance": np.abs(sp - st).sum() / 2,
            "accuracy": right.mean(), "recall_min": recall.min(), "recall_min_z": contrast(recall, 0.01)["z_min"],
            "precision_min": precision.min(), "error_cell_share": off.max() / off.sum(),
            "error_predicted_share": off.sum(0).max() / off.sum(), "error_true_share": off.sum(1).max() / off.sum(),
            "error_predicted_z": contrast(off.sum(0), 1)["z_max"],
            "confidence_mean": conf.mean(), "confidence_std": conf.std(),
            **{f"confidence_q{q:02d}": np.quantile(conf, q / 100) for q in (5, 25, 50, 75, 95)},
            "confidence_wrong": conf[wrong].mean(), "confidence_gap": conf[right].mean() - conf[wrong].mean(),
            "calibration_error": ece, "class_mass_contrast": means.max() - np.median(means),
            "residual_mean": None, "residual_std": None, "residual_abs_q95": None, "determination": None}
    return {f"predictions.{k}": v for k, v in out.items()}


def regression():
    n = 300
    truth = np.round(RNG.normal(50, 10, n), 3)
    predicted = np.round(truth + RNG.normal(1, 3, n), 3)
    with open(os.path.join(HERE, "regression.csv"), "w") as f:
        f.write("target,prediction\n" + "".join(f"{a},{b}\n" for a, b in zip(truth, predicted)))
    d = predicted - truth
    return {"predictions.residual_mean": d.mean(), "predictions.residual_std": d.std(),
            "predictions.residual_abs_q95": np.quantile(np.abs(d), 0.95),
            "predictions.determination": 1 - (d**2).sum() / ((truth - truth.mean()) ** 2).sum(),
            "predictions.accuracy": None, "predictions.true_entropy": None, "predictions.confidence_mean": None}


def main():
    t = tensors()
    write_safetensors(os.path.join(HERE, "model.safetensors"), t)
    expected = {"weights": weight_features(t), "classification": classification(), "regression": regression()}
    with open(os.path.join(HERE, "expected.json"), "w") as f:
        json.dump(expected, f, indent=1, default=float)
        f.write("\n")


if __name__ == "__main__":
    main()
