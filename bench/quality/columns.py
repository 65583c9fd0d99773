"""What the trigger sweep gives, and the other groups of columns: a detector of this file's own over the columns of
`driftseal fingerprint`, with all of them, without one group, and with one group alone.

The product has no switch for this. The detector is one of its members, Mahalanobis with a shrunk covariance
(Ledoit and Wolf 2004, here scikit-learn's), over columns scaled by median and MAD of the clean reference: what the
groups say relative to each other is measured, not the product's own score.
"""
import numpy
from sklearn.covariance import LedoitWolf

import estimates
import measure

CLIP = 20.0  # robust deviations; columns that hardly vary would swamp the rest


SWEEP = "sweep"
OF_SWEEP = ("shift", "mapped", "pair")  # what the bank's triggers do, as the schema names it


def groups(names):
    """{group: columns}; a group is the second word of a name, behaviour.GROUP.name, or the first of pair.* and
    balance.*; those of the sweep stand together."""
    def group(name):
        first, second = name.split(".")[:2]
        word = first if first in ("pair", "balance") else second
        return SWEEP if word in OF_SWEEP else word
    return measure.grouped(names, group)


def scaled(values, reference):
    """Robust z; a column that the reference lacks or that does not vary in it is left out, a value that a model lacks
    is the median's."""
    with numpy.errstate(all="ignore"):
        enough = numpy.isfinite(reference).mean(axis=0) > 0.5
        values, reference = values[:, enough], reference[:, enough]
        median = numpy.nanmedian(reference, axis=0)
        mad = 1.4826 * numpy.nanmedian(numpy.abs(reference - median), axis=0)
        spread = numpy.where(mad > 0, mad, numpy.nanstd(reference, axis=0))
        varies = spread > 1e-9
        z = (values[:, varies] - median[varies]) / spread[varies]
    return numpy.clip(numpy.nan_to_num(z, nan=0.0, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)


def scores(reference, values):
    """Squared Mahalanobis distances of `values`, fitted on `reference` (models x columns)."""
    fitted = scaled(reference, reference)
    if fitted.shape[1] == 0:
        return None
    return LedoitWolf().fit(fitted).mahalanobis(scaled(values, reference))


def matrix(columns, files, names):
    return numpy.array([[numpy.nan if columns[file][name] is None else columns[file][name] for name in names]
                        for file in files], dtype=float)


def stratum(columns, truth, chosen):
    """Scores of one family, as estimates.attack_means takes them; None where the reference has none of the columns.
    columns: {part: {file: {column: value}}}."""
    reference = matrix(columns["reference"], sorted(columns["reference"]), chosen)
    found = {"clean": [], "attacks": {}}
    for part in ("clean", "development", "held-out"):
        files = [file for file in sorted(columns[part]) if part == "clean" or truth[part][file]["works"]]
        told = scores(reference, matrix(columns[part], files, chosen)) if files else []
        if told is None:
            return None
        for file, score in zip(files, told):
            into = found["clean"] if part == "clean" else found["attacks"].setdefault(truth[part][file]["label"], [])
            into.append(score)
    return found


def ablation(families):
    """`families`: list of (columns, truth). {choice: mean AUROC over attacks}, choices: all, without GROUP, GROUP."""
    every = sorted(next(iter(families[0][0]["reference"].values())))
    known = groups(every)
    choices = {"all": every}
    choices |= {f"without {name}": [n for n in every if n not in own] for name, own in known.items()}
    choices |= {f"{name} alone": own for name, own in known.items()}
    result = {}
    for choice, names in choices.items():
        strata = [s for s in (stratum(columns, truth, names) for columns, truth in families) if s]
        values = estimates.attack_means(strata, estimates.area_statistic)
        if values:
            low, high = estimates.bootstrap(strata, estimates.area_statistic, 300)[1]
            result[choice] = {"value": estimates.mean(values.values()), "low": low, "high": high, "columns": len(names)}
    return result
