"""How far a score may be from the double reference before the benchmark refuses to time what made it."""
import numpy as np

# A peer may compute in float32 without care for cancellation; what is told apart is a wrong model, not a rounding. Its
# bound is that of our kernel times this, and of Mahalanobis that of a float32 sum.
PEER_FACTOR = {"forest": 100, "svm": 10, "autoencoder": 100, "neighbours": 1e4}


def ours(member, model, rows, reference):
    """The largest |score − reference| that the member's header in kernels/ allows, a row each."""
    estimator = model.members[member]
    if member == "forest":
        return 2e-6 * reference
    if member == "svm":
        return np.full_like(reference, 1e-5 * np.abs(estimator.dual_coef_).sum())
    if member == "autoencoder":
        return 1e-5 * (reference + np.mean(rows.astype(np.float64) ** 2, axis=1))
    if member == "mahalanobis":
        return 6e-8 * reference + 1e-12 * terms(estimator, rows)
    return 1e-6 * reference + 6e-8 * np.linalg.norm(estimator._fit_X.astype(np.float64), axis=1).max()


def terms(estimator, rows):
    """Twice c‖x − m‖², c the largest eigenvalue of the precision: no less than the terms that cancel."""
    squared = ((rows.astype(np.float64) - estimator.location_) ** 2).sum(axis=1)
    return 2 * squared / np.linalg.eigvalsh(estimator.covariance_.astype(np.float64)).min()


def peer(member, model, rows, reference):
    if member == "mahalanobis":
        return 1e-5 * terms(model.members[member], rows)
    return PEER_FACTOR[member] * ours(member, model, rows, reference)
