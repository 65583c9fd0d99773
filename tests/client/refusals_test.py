#!/usr/bin/env python3
"""What the import from scikit-learn refuses, and in which words.

Usage: refusals_test.py --driftseal PROGRAM [unittest's arguments]
"""
import numpy as np
from scipy import sparse
from sklearn.ensemble import IsolationForest
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler
from sklearn.svm import OneClassSVM

import fixture
from fixture import make_rows
from driftseal.import_sklearn import UnsupportedEstimator, export


class Refusals(fixture.Folder):
    """Each names the estimator and the parameter, and leaves nothing behind."""

    def refuses(self, words, error=UnsupportedEstimator, **arguments):
        with self.assertRaises(error) as caught:
            export(self.detector, **arguments)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertFalse(self.detector.exists())

    def test_kernels(self):
        for kernel in ("linear", "poly", "sigmoid"):
            fitted = OneClassSVM(kernel=kernel).fit(self.rows[:30])
            self.refuses(["one_class_svm", "kernel", kernel], one_class_svm=fitted)
        own = OneClassSVM(kernel=lambda a, b: a @ b.T).fit(self.rows[:30])
        self.refuses(["one_class_svm", "kernel", "function"], one_class_svm=own)

    def test_gamma_of_zero(self):
        self.refuses(["one_class_svm", "gamma"], one_class_svm=OneClassSVM(gamma=0.0).fit(self.rows))

    def test_svm_fitted_on_sparse_rows(self):
        self.refuses(["one_class_svm", "sparse"], one_class_svm=OneClassSVM().fit(sparse.csr_matrix(self.rows)))

    def test_not_fitted(self):
        for role, estimator in (("scaler", StandardScaler()), ("isolation_forest", IsolationForest()),
                                ("one_class_svm", OneClassSVM()), ("autoencoder", MLPRegressor())):
            arguments = {"isolation_forest": self.estimators["isolation_forest"], role: estimator}
            self.refuses([role, type(estimator).__name__, "not fitted"], **arguments)

    def test_other_classes(self):
        forest = self.estimators["isolation_forest"]
        self.refuses(["scaler", "RobustScaler", "StandardScaler"], scaler=RobustScaler().fit(self.rows),
                     isolation_forest=forest)
        self.refuses(["isolation_forest", "Pipeline"],
                     isolation_forest=make_pipeline(StandardScaler(), IsolationForest(n_estimators=5)).fit(self.rows))
        self.refuses(["one_class_svm", "IsolationForest"], one_class_svm=forest)

    def test_columns_that_differ(self):
        self.refuses(["n_features_in_", "scaler 4", "isolation_forest 5"],
                     scaler=StandardScaler().fit(self.rows[:, :4]),
                     isolation_forest=self.estimators["isolation_forest"])

    def test_forest_that_scikit_learn_cannot_score_either(self):
        forest = IsolationForest(n_estimators=5, max_features=0.4, warm_start=True).fit(self.rows)
        forest.set_params(n_estimators=9, max_features=1.0).fit(self.rows)
        with self.assertRaises(ValueError):
            forest.score_samples(self.rows)
        self.refuses(["isolation_forest", "estimators_[0]", "max_features", "warm_start"], isolation_forest=forest)

    def test_network_that_is_no_autoencoder(self):
        network = MLPRegressor(max_iter=5).fit(self.rows, self.rows[:, :2])
        self.refuses(["autoencoder", "n_outputs_ is 2"], autoencoder=network)

    def test_activation(self):
        network = MLPRegressor(max_iter=5).fit(self.rows, self.rows)
        network.out_activation_ = "exp"  # loss='poisson', from scikit-learn 1.7
        self.refuses(["autoencoder", "out_activation_", "exp"], autoencoder=network)
        network = MLPRegressor(max_iter=5).fit(self.rows, self.rows)
        network.activation = "softplus"
        self.refuses(["autoencoder", "activation", "softplus"], autoencoder=network)

    def test_depth(self):
        network = MLPRegressor(hidden_layer_sizes=(2,) * 64, max_iter=1).fit(self.rows, self.rows)
        self.refuses(["autoencoder", "hidden_layer_sizes", "64"], autoencoder=network)

    def test_weights_that_are_not_finite(self):
        network = MLPRegressor(hidden_layer_sizes=(3,), max_iter=5).fit(self.rows, self.rows)
        network.coefs_[1][0, 2] = np.nan
        self.refuses(["autoencoder", "coefs_[1]", "not finite"], autoencoder=network)

    def test_nothing_to_score_with(self):
        self.refuses(["isolation_forest", "one_class_svm", "autoencoder"], ValueError, scaler=self.estimators["scaler"])

    def test_names(self):
        def refuses(words, names, **arguments):
            self.refuses(words, ValueError, **self.estimators, feature_names=names, **arguments)

        refuses(["feature_names", "4 names", "5 columns"], list("abcd"))
        refuses(["feature_names", "b", "once"], list("abbcd"))
        refuses(["feature_names", "list"], "abcde")
        refuses(["feature_names", "''"], ["a", "b", "", "d", "e"])
        refuses(["feature_names", "Unicode"], ["a", "b", "\ud800", "d", "e"])
        refuses(["name", "''"], list("abcde"), name="")
        refuses(["version", "-1"], list("abcde"), version=-1)
        self.estimators["scaler"].feature_names_in_ = np.array(list("abcde"), object)
        self.addCleanup(delattr, self.estimators["scaler"], "feature_names_in_")
        refuses(["feature_names", "b is column 0", "column 1"], list("bacde"))

    def test_calibration_rows(self):
        def refuses(words, rows):
            self.refuses(["calibration_rows", *words], ValueError, **self.estimators, calibration_rows=rows)

        refuses(["19 rows", "20"], make_rows(19, 2))
        refuses(["(30, 4)", "5"], make_rows(30, 2)[:, :4])
        refuses(["shape (30,)"], np.zeros(30))
        holed = make_rows(30, 2)
        holed[7, 3] = np.nan
        refuses(["row 7", "x3", "nan"], holed)
        refuses(["one score"], np.tile(make_rows(1, 2), (30, 1)))


if __name__ == "__main__":
    fixture.main()
