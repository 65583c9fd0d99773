"""p-values for an imported detector, from rows that it was not trained on, as in engine/detector/calibration.cpp."""
from __future__ import annotations

import warnings

import numpy as np

from .sklearn_members import Member

LEAST_ROWS = 20
# With several members one row in four sets the scales on which they are averaged, and the others calibrate. A row that
# did both would have a say in its own score, which a new row has not, and p-values would only nearly hold.
NORMALISING_STRIDE = 4
# The engine sums in another order than NumPy. A calibration score is raised by more than that can make, so that a row
# equal to it counts as one: p-values may only grow by it.
ROUNDING = 1e-9


def normaliser(scores: np.ndarray) -> tuple[float, float] | None:
    """Median, and q90 − median; up to the largest score where those are equal; None when all scores are equal."""
    median, upper, largest = (float(q) for q in np.quantile(scores, [0.5, 0.9, 1]))
    noise = 1e-9 * max(abs(float(scores.min())), abs(largest))
    for top in (upper, largest):
        if top - median > noise:
            return median, top - median
    return None


def calibrate(members: dict[str, Member], rows: np.ndarray) -> tuple[dict[str, tuple[float, float] | None], np.ndarray]:
    """The members' normalisers, and the combined scores of the calibration rows, ascending. `rows` are scaled."""
    if len(rows) < LEAST_ROWS:
        raise ValueError(f"calibration_rows: {len(rows)} rows, expected at least {LEAST_ROWS}")
    scores = {}
    with warnings.catch_warnings():
        # scikit-learn warns of columns without names; they are in order here.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        for name, member in members.items():
            scores[name] = member.score(rows)
            if not np.isfinite(scores[name]).all():
                row = int(np.argmin(np.isfinite(scores[name])))
                raise ValueError(f"calibration_rows: row {row}: the score of {name} is not finite")
    normalising = np.arange(len(rows)) % NORMALISING_STRIDE == 0
    # One member alone: whatever the scale, the ranks and so the p-values are the same, and no row need be given up.
    calibrating = ~normalising
    if len(members) == 1:
        calibrating = np.ones(len(rows), bool)
        normalising = calibrating
    normalisers = {name: normaliser(values[normalising]) for name, values in scores.items()}
    units = [(scores[name][calibrating] - scale[0]) / scale[1]
             for name in members if (scale := normalisers[name]) is not None]
    if not units:
        raise ValueError("calibration_rows: every member gives all of them one score, which calibrates nothing")
    combined = np.mean(units, axis=0)
    return normalisers, np.sort(combined + ROUNDING * np.maximum(1, np.abs(combined)))
