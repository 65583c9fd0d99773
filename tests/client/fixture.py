"""What the tests of the import share: three small members, and a folder to write a detector to."""
import pathlib
import sys
import tempfile
import unittest
import warnings

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import command

COLUMNS = 5
driftseal = ""  # set by main() from the arguments


def make_rows(n, seed, columns=COLUMNS):
    return np.random.default_rng(seed).gamma(2, 3, (n, columns)) * np.arange(1, columns + 1)


def train(rows):
    scaler = StandardScaler().fit(rows)
    scaled = scaler.transform(rows)
    return {"scaler": scaler,
            "isolation_forest": IsolationForest(n_estimators=20, max_features=0.6, random_state=1).fit(scaled),
            "one_class_svm": OneClassSVM(nu=0.1).fit(scaled),
            "autoencoder": MLPRegressor(hidden_layer_sizes=(3,), max_iter=30, random_state=1).fit(scaled, scaled)}


def expected_scores(estimators, rows):
    scaled = estimators["scaler"].transform(rows)
    return {"forest": -estimators["isolation_forest"].score_samples(scaled),
            "svm": -estimators["one_class_svm"].decision_function(scaled),
            "autoencoder": np.mean((scaled - estimators["autoencoder"].predict(scaled)) ** 2, axis=1)}


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        warnings.simplefilter("ignore")
        cls.rows = make_rows(200, 1)
        cls.estimators = train(cls.rows)

    def setUp(self):
        warnings.simplefilter("ignore")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.detector = self.folder / "detector"

    def score(self, rows, names=None):
        names = names or [f"x{i}" for i in range(rows.shape[1])]
        command.write_rows(self.folder / "rows.csv", names, rows)
        return command.score(driftseal, self.folder / "rows.csv", self.detector)

    def assert_parity(self, scored, rows):
        expected = expected_scores(self.estimators, rows)
        self.assertEqual(set(scored.members), set(expected))
        for member, values in expected.items():
            np.testing.assert_allclose(scored.members[member], values, rtol=0, atol=1e-5, err_msg=member)


def main():
    """For a test program called with --driftseal PROGRAM and unittest's arguments."""
    global driftseal
    driftseal = sys.argv[sys.argv.index("--driftseal") + 1]
    unittest.main(argv=[sys.argv[0], *[a for a in sys.argv[1:] if a not in ("--driftseal", driftseal)]])
