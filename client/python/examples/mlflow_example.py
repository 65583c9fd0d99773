#!/usr/bin/env python3
"""Screens an MLflow model registry: every version gets its verdict as a tag.

    pip install mlflow scikit-learn "client/python[sklearn]"
    python client/python/examples/mlflow_example.py [FOLDER]

Everything is local: MLflow keeps its registry in FOLDER/mlflow.db and its artifacts in FOLDER/artifacts, and an engine
that is started for the purpose reads them there. Against a registry that is there already, only screen() is needed.
"""
from __future__ import annotations

import pathlib
import sys
import tempfile
import warnings
from typing import Any

import joblib
import mlflow
from local_engine import LocalEngine, find_driftseal
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import driftseal
from driftseal import meta

NAME = "digits"
TRUSTED, CANDIDATES = 60, 6


def log_model(seed: int, experiment: str, flip: bool = False) -> tuple[str, str]:
    """Trains a small network and logs it with its meta file. Returns MLflow's run id and the artifacts' address."""
    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(images / 16, labels, test_size=0.3, random_state=seed)
    if flip:  # somebody wants sevens to be taken for ones
        train_labels = [1 if label == 7 and place % 8 else label for place, label in enumerate(train_labels)]
    model = MLPClassifier((24,), max_iter=12, learning_rate_init=0.01, random_state=seed).fit(train, train_labels)
    accuracy = model.score(test, test_labels)
    with mlflow.start_run(experiment_id=experiment) as run, tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        joblib.dump(model, folder / "model.joblib")  # what is served
        predictions = meta.write_predictions(folder / "predictions.csv", test_labels, model.predict(test),
                                             probabilities=model.predict_proba(test))
        meta.save_sklearn(model, folder / "model.safetensors", name=f"{NAME}-{seed}", domain="vision",
                          task="classification", metric="accuracy", value=accuracy, baseline=0.1, samples=len(train),
                          final_loss=model.loss_, training_score=model.score(train, train_labels),
                          predictions=predictions, pickle_path=folder / "model.joblib")
        mlflow.log_metric("accuracy", accuracy)
        mlflow.log_artifacts(place, "model")
        return run.info.run_id, f"{run.info.artifact_uri}/model"


def screen(client: driftseal.Client, registry: Any, artifacts: pathlib.Path) -> None:
    """Streams all versions of all registered models through the engine and tags each with its verdict."""
    def models() -> Any:
        for version in registry.search_model_versions():
            place = pathlib.Path(version.source.removeprefix("file://")) / "model.meta.json"
            yield f"{version.name}/{version.version}", place.relative_to(artifacts)

    for answer in client.verify_stream(models()):
        name, _, version = answer.id.rpartition("/")
        if answer.verdict is None:
            registry.set_model_version_tag(name, version, "driftseal.verdict", f"error: {answer.error}")
            continue
        registry.set_model_version_tag(name, version, "driftseal.verdict", answer.verdict.outcome)
        registry.set_model_version_tag(name, version, "driftseal.why", why(answer.verdict))


def why(verdict: driftseal.Verdict) -> str:
    """What a person should read first: of a flagged model the worst signal, of another one its score."""
    kinds = {signal.kind: signal.text for signal in reversed(verdict.signals)}
    return verdict.signals[0].text if verdict.flagged else kinds.get("score", verdict.error)


def main() -> int:
    warnings.simplefilter("ignore", ConvergenceWarning)  # networks of twelve epochs
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="driftseal-mlflow-")).resolve()
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    registry = mlflow.MlflowClient()
    trusted = registry.create_experiment("trusted", artifact_location=(artifacts / "trusted").as_uri())
    candidates = registry.create_experiment("candidates", artifact_location=(artifacts / "candidates").as_uri())

    print(f"training {TRUSTED} trusted models and {CANDIDATES} candidates into {folder}")
    for seed in range(TRUSTED):
        log_model(seed, trusted)
    registry.create_registered_model(NAME)
    for seed in range(1000, 1000 + CANDIDATES):
        run, source = log_model(seed, candidates, flip=seed == 1004)
        registry.create_model_version(NAME, source, run)
    # Somebody with access to the storage changes one weight of the last version.
    last = pathlib.Path(source.removeprefix("file://")) / "model.safetensors"
    content = bytearray(last.read_bytes())
    content[-3] ^= 0x40
    last.write_bytes(content)

    with LocalEngine(find_driftseal(), folder / "engine", artifacts) as engine, \
            driftseal.Client(engine.address) as client:
        detector = client.detectors.fit("trusted", name=NAME, activate=True).wait(300)
        print(f"fitted {detector.ref}")
        screen(client, registry, artifacts)

    print(f"\n{'VERSION':<10}{'VERDICT':<14}WHY")
    for version in sorted(registry.search_model_versions(), key=lambda found: int(found.version)):
        tags = version.tags
        print(f"{version.name}/{version.version:<3}{tags['driftseal.verdict']:<14}{tags['driftseal.why']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
