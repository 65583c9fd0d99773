"""How far a score may be from the double reference before the benchmark refuses to time what made it."""
import numpy as np

# Each kernel's own promise, from its header.
FOREST = 2e-6
RELATIVE = 1e-5
# Peers compute in float32 without care for cancellation, and ONNX Runtime sums paths in float32: what is told apart here
# is a wrong model, not a rounding.
PEER_FACTOR = 300


def weight(model):
    svm = model.members["svm"]
    return np.abs(svm.dual_coef_).sum()


def ours(member, model, reference):
    """The largest allowed |score − reference| a row."""
    if member == "forest":
        return FOREST * reference
    if member == "svm":
        return np.full_like(reference, RELATIVE * weight(model))
    return RELATIVE * (1 + np.abs(reference))


def peer(member, model, reference):
    return PEER_FACTOR * ours(member, model, reference)
