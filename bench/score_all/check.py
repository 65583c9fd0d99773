"""Before anything is timed: did both programs do the same work on the same models? Fails with what differs.

    python bench/score_all/check.py --report scoring_report.json --baseline baseline.json

Same models, none with an error, both digests of every model equal in both reports, the same division into families,
and, within each family, scores that rank the models alike (Spearman), as different detectors over features of the same
kind do.
"""
import argparse, json, pathlib, statistics
from collections import defaultdict

LEAST_RANK_CORRELATION = 0.3


def ranks(values):
    out = [0.0] * len(values)
    for rank, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        out[i] = float(rank)
    return out


def standardised(values):
    mean, deviation = statistics.fmean(values), statistics.pstdev(values) or 1.0
    return [(v - mean) / deviation for v in values]


def require(condition, text):
    if not condition:
        raise SystemExit(f"check.py: {text}")


def compare_model(path, ours, theirs):
    verdict = ours["verdict"]
    require(verdict in ("pass", "review", "quarantine"), f"{path}: verdict {verdict}, expected a scored model")
    digests = {file["role"]: file["actual_sha256"] for file in ours["files"]}
    require(digests == theirs["sha256"], f"{path}: {digests} here, {theirs['sha256']} in the baseline")
    require(theirs["intact"], f"{path}: the baseline found other digests than the meta file records")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=pathlib.Path, required=True)
    parser.add_argument("--baseline", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    ours = {entry["path"]: entry for entry in json.loads(arguments.report.read_text())["models"]}
    theirs = {entry["path"]: entry for entry in json.loads(arguments.baseline.read_text())["models"]}
    require(ours and ours.keys() == theirs.keys(),
            f"{len(ours)} models here, {len(theirs)} in the baseline, not the same")
    families, partner = defaultdict(list), {}
    for path, entry in ours.items():
        compare_model(path, entry, theirs[path])
        require(partner.setdefault(entry["family"], theirs[path]["family"]) == theirs[path]["family"],
                f"{path}: {entry['family']} here, {theirs[path]['family']} in the baseline")
        families[entry["family"]].append((entry["score"]["combined"], theirs[path]["forest"], theirs[path]["svm"]))
    require(len(set(partner.values())) == len(partner), "the baseline joins families that are apart here")
    for family, scores in families.items():
        if len(scores) < 50:
            continue
        combined, forest, svm = zip(*scores)
        outlying = [-f - s for f, s in zip(standardised(forest), standardised(svm))]  # scikit-learn: low is outlying.
        correlation = statistics.correlation(ranks(combined), ranks(outlying))
        print(f"{family}: {len(scores)} models, rank correlation with the baseline's scores {correlation:.2f}")
        require(correlation >= LEAST_RANK_CORRELATION, f"{family}: expected at least {LEAST_RANK_CORRELATION}")
    print(f"{len(ours)} models: the same digests and families in both")


if __name__ == "__main__":
    main()
