"""Writes a fleet for the throughput benchmark: models with a meta file, a safetensors MLP and a predictions CSV each.

    python bench/score_all/generate.py --output build/bench/score_all/fleet --models 100000 --seed 1

The networks are drawn, not trained: what counts here is that reading, hashing and measuring them costs what it costs
for trained ones. The predictions are what each network gives on drawn inputs, and the true labels agree with them as
often as the meta file claims. The same arguments give the same bytes. A folder that is complete is not written again.
"""
import argparse, hashlib, json, multiprocessing, os, pathlib
from dataclasses import dataclass

import numpy as np

FORMAT = 1  # Changes when the bytes of a fleet change, so that an older fleet is not taken for this one.
SHARD = 500  # Models a folder.
LEAST_ROWS, MOST_ROWS = 100, 200


@dataclass(frozen=True)
class Family:
    name: str
    domain: str
    widths: tuple  # Inputs, hidden layers, classes.
    accuracy: float


FAMILIES = (
    Family("fraud", "finance", (30, 32, 16, 2), 0.93),
    Family("telemetry", "iot", (16, 24, 12, 3), 0.88),
    Family("digits", "vision", (64, 32, 10), 0.95),
    Family("intent", "text", (48, 32, 6), 0.90),
)


@dataclass(frozen=True)
class Plan:
    output: pathlib.Path
    models: int
    seed: int

    @property
    def shards(self):
        return -(-self.models // SHARD)

    def folder(self, shard):
        return self.output / f"{shard:05d}"

    @property
    def markers(self):
        """Which shards are complete. Beside the fleet, so that the fleet holds models and nothing else."""
        return self.output.with_name(self.output.name + ".complete")

    def marker(self, shard):
        return self.markers / f"{shard:05d}"

    def stamp(self, shard):
        count = min(SHARD, self.models - shard * SHARD)
        return f"format {FORMAT} seed {self.seed} models {count}\n"


def draw_layers(rng, family, count):
    """Weights and biases of `count` networks: He-scaled noise and one direction that stands out, as after training."""
    layers = []
    for fan_in, fan_out in zip(family.widths, family.widths[1:]):
        weight = rng.standard_normal((count, fan_out, fan_in)) * np.sqrt(2 / fan_in)
        left, right = rng.standard_normal((count, fan_out, 1)), rng.standard_normal((count, 1, fan_in))
        strength = rng.uniform(0.2, 0.5, (count, 1, 1)) / np.sqrt(fan_in)
        bias = rng.standard_normal((count, fan_out)) * 0.05
        layers.append(((weight + strength * left * right).astype("<f4"), bias.astype("<f4")))
    return layers


def predict(rng, family, layers):
    """Class probabilities of every network on inputs of its own: models × rows × classes."""
    count = len(layers[0][0])
    x = rng.standard_normal((count, MOST_ROWS, family.widths[0]), dtype=np.float32)
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight.transpose(0, 2, 1) + bias[:, None, :]
        if i + 1 < len(layers):
            np.maximum(x, 0, out=x)
    e = np.exp(x - x.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


def draw_truth(rng, predicted, classes, accuracy):
    other = (predicted + rng.integers(1, classes, predicted.shape)) % classes
    return np.where(rng.random(predicted.shape) < accuracy, predicted, other)


def safetensors(layers, model):
    """The file's bytes: length of the header, the header padded to 8 bytes, the tensors in the header's order."""
    header, tensors, at = {"__metadata__": {"format": "pt"}}, [], 0
    for i, (weights, biases) in enumerate(layers):
        for name, tensor in ((f"layers.{i}.weight", weights[model]), (f"layers.{i}.bias", biases[model])):
            header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
            tensors.append(tensor.tobytes())
            at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensors)


def decimals(probabilities):
    """Probabilities as characters, six digits behind the point: shape (..., 8) of bytes."""
    millionths = np.minimum(np.rint(probabilities * 1e6), 1e6).astype(np.int64)
    digits = [millionths // 10**k % 10 for k in (6, 5, 4, 3, 2, 1, 0)]
    characters = np.stack(digits, axis=-1).astype(np.uint8) + ord("0")
    return np.insert(characters, 1, ord("."), axis=-1)


def predictions_csv(truth, predicted, probabilities):
    """y_true,y_pred,p_0,...: every row has the same width, so the file is one array of characters."""
    rows, classes = probabilities.shape
    cells = decimals(probabilities)
    body = np.full((rows, 4 + 9 * classes), ord(","), np.uint8)
    body[:, 0], body[:, 2] = truth + ord("0"), predicted + ord("0")
    for c in range(classes):
        body[:, 4 + 9 * c:12 + 9 * c] = cells[:, c]
    body[:, -1] = ord("\n")
    return ("y_true,y_pred," + ",".join(f"p_{c}" for c in range(classes)) + "\n").encode() + body.tobytes()


def meta_json(rng, family, name, accuracy, parameters, model, predictions):
    epochs, samples = int(rng.integers(8, 21)), int(rng.integers(4000, 12000))
    loss = round(float(rng.uniform(0.05, 0.3)), 6)
    return json.dumps({
        "model_name": name, "domain": family.domain, "model_kind": "mlp", "framework": "libtorch 2.13.0",
        "artifacts": {"metadata_path": f"{name}.meta.json", "model_path": f"{name}.safetensors",
                      "predictions_path": f"{name}.predictions.csv", "related_paths": []},
        "promotion": {"task": "classification", "primary_metric": "accuracy", "primary": round(accuracy, 6),
                      "baseline": round(1 / family.widths[-1], 6), "eligible": bool(rng.random() < 0.9)},
        "training": {"seconds": round(epochs * samples * 4e-5 * float(rng.uniform(0.9, 1.1)), 3),
                     "parameters": parameters, "samples": samples, "final_loss": loss,
                     "score": round(min(1.0, accuracy + float(rng.uniform(0, 0.03))), 6),
                     "recipe": {"epochs": epochs, "learning_rate": float(rng.choice([0.001, 0.002, 0.003])),
                                "batch_size": int(rng.choice([32, 64, 128])), "optimizer": "adam"}},
        "fingerprint": {"model_sha256": hashlib.sha256(model).hexdigest(),
                        "predictions_sha256": hashlib.sha256(predictions).hexdigest()},
    }, indent=2).encode() + b"\n"


def write_models(plan, folder, family, indices, rng):
    layers = draw_layers(rng, family, len(indices))
    probabilities = predict(rng, family, layers)
    predicted = probabilities.argmax(axis=2)
    truth = draw_truth(rng, predicted, family.widths[-1], family.accuracy)
    parameters = sum(w[0].size + b[0].size for w, b in layers)
    for m, index in enumerate(indices):
        name, rows = f"{family.name}-{index:06d}", int(rng.integers(LEAST_ROWS, MOST_ROWS + 1))
        model = safetensors(layers, m)
        csv = predictions_csv(truth[m, :rows], predicted[m, :rows], probabilities[m, :rows])
        accuracy = float(np.mean(truth[m, :rows] == predicted[m, :rows]))
        meta = meta_json(rng, family, name, accuracy, parameters, model, csv)
        for ending, content in ((".safetensors", model), (".predictions.csv", csv), (".meta.json", meta)):
            (folder / (name + ending)).write_bytes(content)
    return len(indices)


def write_shard(task):
    plan, shard = task
    marker, stamp = plan.marker(shard), plan.stamp(shard)
    folder = plan.folder(shard)
    if folder.exists() and marker.exists() and marker.read_text() == stamp:
        return 0
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():  # An interrupted shard, or one of another fleet.
        old.unlink()
    rng = np.random.default_rng([FORMAT, plan.seed, shard])
    end = min((shard + 1) * SHARD, plan.models)
    written = 0
    for f, family in enumerate(FAMILIES):
        indices = [i for i in range(shard * SHARD, end) if i % len(FAMILIES) == f]
        if indices:
            written += write_models(plan, folder, family, indices, rng)
    marker.write_text(stamp)
    return written


def remove_shard(folder, marker):
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    marker.unlink(missing_ok=True)


def generate(output, models, seed, processes=None):
    """Makes `output` hold exactly this fleet; returns how many models had to be written."""
    plan = Plan(pathlib.Path(output), models, seed)
    plan.output.mkdir(parents=True, exist_ok=True)
    if any(plan.output.iterdir()) and not plan.markers.exists():
        raise SystemExit(f"{output}: holds files that are not of a fleet made here; expected a new or empty folder")
    plan.markers.mkdir(exist_ok=True)
    wanted = {plan.folder(shard) for shard in range(plan.shards)}
    for folder in sorted(plan.output.iterdir()):
        if folder not in wanted:
            remove_shard(folder, plan.marker(int(folder.name)))
    written = 0
    with multiprocessing.get_context("fork").Pool(processes or os.cpu_count()) as pool:
        for count in pool.imap_unordered(write_shard, [(plan, shard) for shard in range(plan.shards)]):
            written += count
    return written


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, help="folder of the fleet")
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    written = generate(arguments.output, arguments.models, arguments.seed)
    print(f"{arguments.output}: {arguments.models} models, {written} of them written now")


if __name__ == "__main__":
    main()
