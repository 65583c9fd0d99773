#!/usr/bin/env python3
"""Meta files that driftseal.meta writes: the format's rules, and what `driftseal` says of the models.

Usage: meta_test.py --driftseal PROGRAM [unittest's arguments]
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import types
import unittest.mock
import warnings

import joblib
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import fixture
from driftseal import meta
from driftseal.detector_files import safetensors


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Meta(unittest.TestCase):
    def setUp(self):
        warnings.simplefilter("ignore")
        folder = fixture.tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.model = self.folder / "net.safetensors"
        rng = np.random.default_rng(1)
        arrays = {"fc1.weight": rng.normal(size=(4, 3)).astype(np.float32), "fc1.bias": np.zeros(4, np.float32)}
        self.model.write_bytes(safetensors(arrays))

    def verify(self, path):
        """The entry of the report, of the command line's `verify`."""
        run = subprocess.run([fixture.driftseal, "verify", str(path), "--root", str(self.folder), "--model-dir",
                              str(self.folder / "none"), "--format", "json"],
                             capture_output=True, text=True, timeout=60)
        self.assertIn(run.returncode, (0, 1, 4), run.stderr)
        return json.loads(run.stdout)

    def kinds(self, path):
        return {signal["kind"] for signal in self.verify(path)["signals"]}

    def fingerprint(self, path):
        run = subprocess.run([fixture.driftseal, "fingerprint", str(path), "--format", "json"], capture_output=True,
                             text=True, timeout=60, check=True)
        return json.loads(run.stdout.splitlines()[0])


class Write(Meta):
    def test_every_field_arrives(self):
        predictions = meta.write_predictions(self.folder / "p.csv", [0, 1, 1], [0, 1, 0],
                                             probabilities=[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        (self.folder / "notes").mkdir()
        note = self.folder / "notes" / "über.txt"
        note.write_text("x")
        path = meta.write(self.model, name="net", domain="vision", task="classification", metric="accuracy",
                          value=np.float32(0.5), baseline=0.25, eligible=np.bool_(True), kind="mlp", framework="own 1",
                          predictions=predictions, related=[note], parameters=np.int64(16), samples=3, seconds=1.5,
                          final_loss=0.1, training_score=0.75, recipe={"epochs": np.int32(3), "optimizer": "sgd",
                                                                       "absent": None}, extra={"owner": {"team": "a"}})
        self.assertEqual(path, self.folder / "net.meta.json")
        self.assertEqual(json.loads(path.read_text(encoding="utf-8")), {
            "model_name": "net", "domain": "vision", "model_kind": "mlp", "framework": "own 1",
            "artifacts": {"metadata_path": "net.meta.json", "model_path": "net.safetensors",
                          "predictions_path": "p.csv", "related_paths": ["notes/über.txt"]},
            "promotion": {"task": "classification", "primary_metric": "accuracy", "primary": 0.5, "baseline": 0.25,
                          "eligible": True},
            "training": {"seconds": 1.5, "parameters": 16, "samples": 3, "final_loss": 0.1, "score": 0.75,
                         "recipe": {"epochs": 3, "optimizer": "sgd"}},
            "fingerprint": {"model_sha256": sha256(self.model), "predictions_sha256": sha256(predictions),
                            "related_sha256": {"notes/über.txt": sha256(note)}},
            "owner": {"team": "a"}})
        found = self.fingerprint(path)
        self.assertIn("digest-match", self.kinds(path))
        values = found["values"]
        self.assertAlmostEqual(values["meta.primary_gain"], 0.25)
        self.assertAlmostEqual(values["meta.parameter_mismatch"], 0.0)
        self.assertAlmostEqual(values["predictions.accuracy"], 2 / 3, places=6)

    def test_a_name_alone_is_enough(self):
        path = meta.write(self.model, name="net")
        document = json.loads(path.read_text())
        self.assertEqual(document["promotion"], {})
        self.assertEqual(self.kinds(path) & {"digest-match", "digest-mismatch", "missing-file"}, {"digest-match"})

    def test_a_changed_file_is_found(self):
        path = meta.write(self.model, name="net")
        content = bytearray(self.model.read_bytes())
        content[-1] ^= 1
        self.model.write_bytes(content)
        self.assertIn("digest-mismatch", self.kinds(path))

    def test_what_the_engine_would_refuse_is_not_written(self):
        for words, arguments in (
                ("model_name: expected a string that is not empty", {"name": ""}),
                ("model_name: expected a string, found", {"name": 7}),
                ("training.seconds: expected a number of at least 0", {"name": "n", "seconds": -1}),
                ("training.parameters: expected a number", {"name": "n", "parameters": "16"}),
                ("promotion.primary: expected a finite number", {"name": "n", "value": float("nan")}),
                ("promotion.eligible: expected true or false", {"name": "n", "eligible": 1}),
                ("training.recipe.lr: expected a finite number", {"name": "n", "recipe": {"lr": np.inf}}),
                ("training.recipe.f: expected a value that JSON has", {"name": "n", "recipe": {"f": len}}),
                ("extra.deep", {"name": "n", "extra": {"deep": nested(40)}}),
                ("big: expected a number of 64 bits", {"name": "n", "extra": {"big": 1 << 70}}),
                ("keys that are strings", {"name": "n", "extra": {"x": {1: 2}}}),
                ("Unicode", {"name": "\ud800"}),
                ("at most 4194304 bytes", {"name": "n", "extra": {"x": "y" * (4 << 20)}}),
                ("is a field of the format", {"name": "n", "extra": {"training": {}}})):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words.replace("extra.deep", "32 levels")):
                meta.write(self.model, **arguments)
            self.assertEqual(os.listdir(self.folder), ["net.safetensors"])

    def test_files_that_lead_out_or_are_not_there(self):
        with fixture.tempfile.NamedTemporaryFile() as outside:
            with self.assertRaisesRegex(ValueError, "artifacts.related_paths: expected a file in"):
                meta.write(self.model, name="n", related=[outside.name])
        with self.assertRaisesRegex(FileNotFoundError, "artifacts.predictions_path"):
            meta.write(self.model, name="n", predictions=self.folder / "none.csv")
        with self.assertRaisesRegex(ValueError, "ends in .meta.json"):
            meta.write(self.model, name="n", meta_path=self.folder / "net.json")
        self.assertEqual(os.listdir(self.folder), ["net.safetensors"])

    def test_the_rules_are_those_of_the_engine(self):
        """What meta.problems() refuses the engine refuses, and what it lets pass the engine reads."""
        base = {"model_name": "n", "artifacts": {"model_path": "net.safetensors"}}
        for change in ({}, {"domain": 1}, {"domain": None}, {"model_name": ""}, {"model_name": None}, {"artifacts": []},
                       {"artifacts": {"related_paths": "a"}}, {"artifacts": {"related_paths": ["a", 1]}},
                       {"artifacts": {"related_paths": ["a"] * 1001}}, {"artifacts": {"related_paths": ["a"] * 1000}},
                       {"artifacts": {"model_path": "a\0b"}}, {"artifacts": {"model_path": "a" * 4097}},
                       {"artifacts": {"model_path": "ä" * 2049}}, {"promotion": {"eligible": "yes"}},
                       {"promotion": {"primary": True}}, {"promotion": {"primary": 1}}, {"training": {"seconds": -0.5}},
                       {"training": {"samples": 1e300}}, {"training": {"recipe": 1}},
                       {"training": {"recipe": {"a": [1], "b": {"c": 1}, "d": True}}},
                       {"fingerprint": {"model_sha256": "ab"}},
                       {"fingerprint": {"model_sha256": "sha256:" + "Ab" * 32}},
                       {"fingerprint": {"related_sha256": {"a": "x"}}}, {"fingerprint": {"related_sha256": []}},
                       {"x": nested(30)}, {"x": nested(31)}, {"x": nested(32)},
                       {"x": 2**63}, {"x": 2**64}, {"x": -2**63 - 1}):
            with self.subTest(str(change)[:60]):
                document = {**base, **change}
                path = self.folder / "net.meta.json"
                path.write_text(json.dumps(document))
                run = subprocess.run([fixture.driftseal, "fingerprint", str(path), "--root", str(self.folder)],
                                     capture_output=True, text=True, timeout=60)
                refused = "expected" in run.stdout + run.stderr and run.returncode == 3
                found = meta.problems(document)
                self.assertEqual(bool(found), refused, (found, run.stdout, run.stderr))


class Predictions(Meta):
    def test_labels_probabilities_and_gaps(self):
        path = meta.write_predictions(self.folder / "p.csv", ["a", "b"], ["a", "a"], probabilities=[0.25, np.nan],
                                      ids=["x", "y"])
        self.assertEqual(path.read_text(), "id,y_true,y_pred,score\nx,a,a,0.25\ny,b,a,\n")
        path = meta.write_predictions(self.folder / "p.csv", [1.5, np.nan], np.array([1.25, 2], np.float32))
        self.assertEqual(path.read_text(), "id,y_true,y_pred\n0,1.5,1.25\n1,,2.0\n")

    def test_what_is_refused(self):
        for words, arguments in (("y_pred: expected 2 rows", ([0, 1], [0])),
                                 ("y_true: row 1.*infinity", ([0, np.inf], [0, 1])),
                                 ("y_true: expected one value a row", ([[0], [1]], [0, 1]))):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                meta.write_predictions(self.folder / "p.csv", *arguments)
        self.assertFalse((self.folder / "p.csv").exists())


class Estimators(Meta):
    """scikit-learn: the fitted arrays are the model file."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(2)
        self.rows = rng.normal(size=(80, 4))
        self.labels = (self.rows[:, 0] + self.rows[:, 1] > 0).astype(int)

    def test_estimators_of_all_kinds_are_read(self):
        for estimator in (LogisticRegression(), MLPClassifier((5,), max_iter=5), SVC(), StandardScaler(),
                          RandomForestClassifier(3), GradientBoostingClassifier(n_estimators=3),
                          make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())):
            name = type(estimator).__name__
            with self.subTest(name):
                estimator.fit(self.rows, self.labels)
                pickle = self.folder / f"{name}.joblib"
                joblib.dump(estimator, pickle)
                path = meta.save_sklearn(estimator, self.folder / f"{name}.safetensors", name=name, pickle_path=pickle)
                document = json.loads(path.read_text())
                self.assertEqual(document["fingerprint"]["related_sha256"], {pickle.name: sha256(pickle)})
                self.assertGreater(document["training"]["parameters"], 0)
                entry = self.verify(path)
                self.assertEqual(entry["format"], "safetensors")
                self.assertIn("digest-match", {signal["kind"] for signal in entry["signals"]})
                self.assertEqual(entry["model_name"], name)

    def test_equal_fits_give_equal_files_and_others_a_family_alike(self):
        paths = [meta.save_sklearn(MLPClassifier((5,), max_iter=5, random_state=seed).fit(self.rows, self.labels),
                                   self.folder / f"{place}.safetensors", name="m", domain="d", task="t")
                 for place, seed in enumerate((1, 1, 2))]
        files = [(self.folder / f"{place}.safetensors").read_bytes() for place in range(3)]
        self.assertEqual(files[0], files[1])
        self.assertNotEqual(files[0], files[2])
        self.assertEqual(len({self.verify(path)["family"] for path in paths}), 1)

    def test_the_pickle_is_bound_by_its_digest(self):
        pickle = self.folder / "m.joblib"
        estimator = LogisticRegression().fit(self.rows, self.labels)
        joblib.dump(estimator, pickle)
        path = meta.save_sklearn(estimator, self.folder / "m.safetensors", name="m", pickle_path=pickle)
        pickle.write_bytes(pickle.read_bytes() + b"x")
        self.assertIn("digest-mismatch", self.kinds(path))

    def test_what_is_not_fitted(self):
        with self.assertRaisesRegex(ValueError, "LogisticRegression: nothing is fitted"):
            meta.save_sklearn(LogisticRegression(), self.folder / "m.safetensors", name="m")
        with self.assertRaisesRegex(ValueError, r"expected \*.safetensors"):
            meta.save_sklearn(LogisticRegression(), self.folder / "m.joblib", name="m")


class Boosters(Meta):
    """XGBoost, through the interface that its Booster has; the file is one that XGBoost wrote."""

    def test_a_booster(self):
        sample = pathlib.Path(fixture.__file__).parents[1] / "fuzz" / "corpus" / "xgboost"
        content = next(path.read_bytes() for path in sorted(sample.iterdir()) if path.read_bytes()[:1] == b"{"
                       and b"split_conditions" in path.read_bytes() and valid_json(path))
        config = {"learner": {"gradient_booster": {"tree_train_param": {"eta": "0.3", "max_depth": "6"}}}}
        booster = types.SimpleNamespace(save_raw=lambda kind: bytearray(content), num_boosted_rounds=lambda: 3,
                                        save_config=lambda: json.dumps(config))
        with unittest.mock.patch.dict(sys.modules, {"xgboost": types.SimpleNamespace(__version__="2.1")}):
            path = meta.save_xgboost(booster, self.folder / "b.json", name="b", samples=10)
        document = json.loads(path.read_text())
        self.assertEqual(document["training"]["recipe"], {"epochs": 3, "learning_rate": 0.3, "width": 6})
        self.assertGreater(document["training"]["parameters"], 0)
        self.assertEqual(self.verify(path)["format"], "xgboost-json")


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"x": value}
    return value


def valid_json(path):
    try:
        return bool(json.loads(path.read_bytes())["learner"])
    except (ValueError, KeyError):
        return False


if __name__ == "__main__":
    fixture.main()
