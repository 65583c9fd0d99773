"""Python side of DriftSeal. `driftseal.import_sklearn` brings detectors trained in scikit-learn to the engine."""
