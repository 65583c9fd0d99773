#!/usr/bin/env python3
"""The import from scikit-learn beside the scores: files, names, calibration, the command, edited files.

Usage: import_test.py --driftseal PROGRAM [unittest's arguments]
"""
import json
import subprocess
import sys

import joblib
import numpy as np

import command
import fixture
from fixture import COLUMNS, expected_scores, make_rows
from driftseal.import_sklearn import export

FILES = {"detector.safetensors", "detector_state.json"}


class Files(fixture.Folder):
    def test_same_estimators_same_bytes(self):
        export(self.detector, **self.estimators, calibration_rows=make_rows(100, 2))
        first = {path.name: path.read_bytes() for path in self.detector.iterdir()}
        export(self.detector, **self.estimators, calibration_rows=make_rows(100, 2))
        self.assertEqual({path.name: path.read_bytes() for path in self.detector.iterdir()}, first)
        self.assertEqual(set(first), FILES)  # and nothing left beside them

    def test_a_refused_import_leaves_the_old_detector(self):
        export(self.detector, **self.estimators)
        before = {path.name: path.read_bytes() for path in self.detector.iterdir()}
        with self.assertRaises(ValueError):
            export(self.detector, **self.estimators, calibration_rows=np.zeros((3, 3)))
        self.assertEqual({path.name: path.read_bytes() for path in self.detector.iterdir()}, before)

    def test_state(self):
        export(self.detector, **self.estimators, name="payments", version=7)
        state = json.loads((self.detector / "detector_state.json").read_text())
        self.assertEqual((state["format"], state["format_version"], state["name"], state["version"], state["seed"]),
                         ("driftseal-detector", 1, "payments", 7, 0))
        self.assertRegex(state["origin"], r"^scikit-learn 1\.")
        self.assertEqual(state["families"][0]["fitted_on"], 200)


class Names(fixture.Folder):
    def test_columns_are_found_by_name_in_any_order(self):
        names = ["amount", "a,b", 'say "x"', "größe", " blank "]
        export(self.detector, **self.estimators, feature_names=names)
        rows, turned = make_rows(20, 3), [3, 0, 4, 2, 1]
        rows_and_more = np.column_stack([rows[:, turned], np.arange(20)])
        self.assert_parity(self.score(rows_and_more, [names[i] for i in turned] + ["other"]), rows)

    def test_names_of_the_fit_are_taken(self):
        self.estimators["scaler"].feature_names_in_ = np.array(list("abcde"), object)
        self.addCleanup(delattr, self.estimators["scaler"], "feature_names_in_")
        export(self.detector, **self.estimators)
        state = json.loads((self.detector / "detector_state.json").read_text())
        self.assertEqual(state["schema"]["features"], list("abcde"))

    def test_some_columns_of_a_schema_in_another_order(self):
        features = [{"name": name, "unit": "1"} for name in ("c", "p", "a", "q", "e", "d", "r", "b")]
        schema = {"name": "fingerprints", "version": 3, "digest": "ab", "features": features}
        export(self.detector, **self.estimators, feature_names=list("abcde"), schema=schema)
        rows = make_rows(20, 3)
        others = np.full((20, 3), np.nan)
        self.assert_parity(self.score(np.column_stack([others, rows]), list("pqrabcde")), rows)
        with self.assertRaisesRegex(ValueError, "x0, x1.*not in the schema"):
            export(self.detector, **self.estimators, schema=schema)


class Calibration(fixture.Folder):
    def test_uncalibrated_and_says_so(self):
        exported = export(self.detector, **self.estimators)
        self.assertIn("uncalibrated", str(exported))
        scored = self.score(make_rows(20, 3))
        self.assertEqual(scored.code, 4)
        self.assertIn("uncalibrated", scored.remark)
        self.assertEqual(set(scored.p_values), {None})
        self.assertTrue(np.isnan(scored.combined).all())

    def check_one(self, role, member):
        # Each row four times, and calibration rows scored again: ties must count.
        held = np.repeat(make_rows(50, 4), 4, axis=0)
        exported = export(self.detector, scaler=self.estimators["scaler"], **{role: self.estimators[role]},
                          calibration_rows=held)
        self.assertEqual(exported.calibrated_on, 200)
        fresh = np.concatenate([make_rows(40, 5), held[::4], make_rows(5, 6) * 100])
        known, new = (expected_scores(self.estimators, rows)[member] for rows in (held, fresh))
        expected = [(1 + np.sum(known >= score - 1e-12 * max(1, abs(score)))) / 201 for score in new]
        scored = self.score(fresh)
        np.testing.assert_allclose(scored.p_values, expected, rtol=1e-12)
        self.assertEqual(scored.p_values[-1], 1 / 201)
        self.assertEqual(scored.code, 1)

    def test_p_values_of_one_member_are_its_ranks(self):
        for role, member in (("isolation_forest", "forest"), ("one_class_svm", "svm"), ("autoencoder", "autoencoder")):
            with self.subTest(member):
                self.check_one(role, member)

    def test_three_members(self):
        held, fresh = make_rows(200, 4), np.concatenate([make_rows(40, 5), make_rows(5, 6) * 100])
        exported = export(self.detector, **self.estimators, calibration_rows=held)
        self.assertEqual(exported.calibrated_on, 150)
        known, new = (expected_scores(self.estimators, rows) for rows in (held, fresh))
        setting, calibrating = np.arange(200) % 4 == 0, np.arange(200) % 4 != 0
        combined_known, combined_new = np.zeros(150), np.zeros(45)
        for member, scores in known.items():
            median, upper = np.quantile(scores[setting], [0.5, 0.9])
            combined_known += (scores[calibrating] - median) / (upper - median) / 3
            combined_new += (new[member] - median) / (upper - median) / 3
        scored = self.score(fresh)
        np.testing.assert_allclose(scored.combined, combined_new, rtol=1e-6, atol=1e-6)  # paths count in whole 2^-16
        np.testing.assert_allclose(scored.p_values, [(1 + np.sum(combined_known >= s)) / 151 for s in combined_new])
        self.assertEqual(scored.code, 1)

    def test_promise_on_fresh_rows(self):
        export(self.detector, **self.estimators, calibration_rows=make_rows(400, 4))
        p_values = np.array(self.score(make_rows(2000, 5)).p_values)
        # Given the calibration rows, the share at or below 0.1 is Beta(31, 271): mean 0.1, deviation 0.017.
        self.assertLess(np.mean(p_values <= 0.1), 0.1 + 5 * 0.017)
        self.assertGreater(np.mean(p_values <= 0.1), 0.1 - 5 * 0.017)


class Command(fixture.Folder):
    def run_import(self, *arguments):
        script = str(command.PACKAGE / "driftseal_import_sklearn.py")
        return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True,
                              timeout=120, cwd=self.folder)

    def dump(self):
        options = []
        for role, estimator in self.estimators.items():
            joblib.dump(estimator, self.folder / f"{role}.joblib")
            options += ["--" + role.replace("_", "-"), self.folder / f"{role}.joblib"]
        return options

    def test_needs_trust(self):
        run = self.run_import(self.detector, *self.dump())
        self.assertEqual(run.returncode, 2)
        self.assertIn("--trust", run.stderr)
        self.assertIn("run code", run.stderr)
        self.assertFalse(self.detector.exists())

    def test_writes_what_export_writes(self):
        names, held = list("abcde"), make_rows(60, 4)
        command.write_rows(self.folder / "held.csv", names[::-1], held[:, ::-1])
        run = self.run_import(self.detector, "--trust", *self.dump(), "--feature-names", "a,b,c,d,e",
                              "--calibration-rows", self.folder / "held.csv", "--name", "n", "--version", 2)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertIn("calibrated on 45 rows", run.stdout)
        export(self.folder / "other", **self.estimators, feature_names=names, calibration_rows=held, name="n",
               version=2)
        for file in FILES:
            self.assertEqual((self.detector / file).read_bytes(), (self.folder / "other" / file).read_bytes())

    def test_errors(self):
        run = self.run_import(self.detector, "--trust", "--isolation-forest", self.folder / "none.joblib")
        self.assertEqual(run.returncode, 3)
        self.assertIn("none.joblib", run.stderr)
        (self.folder / "bad.csv").write_text("x0,x1,x2,x3,x4\n1,2,3,4,5\n1,2,x,4,5\n")
        run = self.run_import(self.detector, "--trust", *self.dump(), "--calibration-rows", self.folder / "bad.csv")
        self.assertEqual(run.returncode, 3)
        self.assertIn("bad.csv: line 3", run.stderr)
        self.assertFalse(self.detector.exists())


class EditedByHand(fixture.Folder):
    """The engine says which field of which file is wrong, and scores nothing."""

    def refuses(self, edit, *words):
        export(self.detector, **self.estimators)
        path = self.detector / "detector_state.json"
        state = json.loads(path.read_text())
        path.write_text(edit(state) or json.dumps(state))
        command.write_rows(self.folder / "rows.csv", [f"x{i}" for i in range(COLUMNS)], make_rows(3, 1))
        run = command.run_score(fixture.driftseal, self.folder / "rows.csv", self.detector)
        self.assertEqual((run.returncode, run.stdout), (3, ""), run.stderr)
        for word in ("detector_state.json", *words):
            self.assertIn(word, run.stderr)

    def test_fields(self):
        def members(state):
            return state["families"][0]["members"]

        def setter(place, key, value):
            def edit(state):
                place(state)[key] = value
            return edit

        for edit, *words in (
                (setter(lambda s: s, "format_version", 4), "$.format_version", "4"),
                (setter(lambda s: s["arrays"], "sha256", "0" * 64), "SHA-256"),
                (setter(lambda s: members(s)["svm"], "gamma", -1), "svm.gamma"),
                (setter(lambda s: members(s)["svm"], "gamma", "scale"), "svm.gamma", "number"),
                (setter(lambda s: members(s)["forest"], "sample_size", -5), "forest.sample_size"),
                (setter(lambda s: members(s)["autoencoder"], "activations", ["exp", "relu"]), "activations[0]", "relu"),
                (setter(lambda s: members(s)["autoencoder"], "activations", ["relu"]), "autoencoder"),
                (setter(lambda s: members(s)["forest"], "normaliser", {"median": 0, "spread": 0}), "spread"),
                (setter(members, "oracle", {}), "members.oracle"),
                (setter(lambda s: s["schema"], "features", ["x0"] * COLUMNS), "$.schema.features"),
                (setter(lambda s: s["schema"], "features", ["x0", "x1"]), "columns.feature"),
                (lambda s: s["families"][0].pop("members"), "members"),
                (lambda s: '{"format": ', "JSON")):
            with self.subTest(words):
                self.refuses(lambda state, edit=edit: text if isinstance(text := edit(state), str) else None, *words)


if __name__ == "__main__":
    fixture.main()
