"""scikit-learn's fits on the rows that `driftseal-fit-bench --save rows.f32` wrote; one line of JSON.

    fit_sklearn.py svm    rows.f32 --cols 64 --nu 0.1 --gamma 0.01 [--tolerance 1e-3]
    fit_sklearn.py forest rows.f32 --cols 64 [--jobs 1]
"""

import argparse
import json
import statistics
import time

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["svm", "forest"])
    parser.add_argument("rows")
    parser.add_argument("--cols", type=int, required=True)
    parser.add_argument("--nu", type=float, default=0.1)
    parser.add_argument("--gamma", type=float, default=1.0)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    rows = np.fromfile(arguments.rows, dtype=np.float32).reshape(-1, arguments.cols)
    seconds = []
    for _ in range(arguments.repetitions):
        if arguments.model == "svm":
            model = OneClassSVM(gamma=arguments.gamma, nu=arguments.nu, tol=arguments.tolerance, cache_size=4000)
        else:
            model = IsolationForest(n_estimators=200, max_samples=256, random_state=1, n_jobs=arguments.jobs)
        start = time.perf_counter()
        model.fit(rows)
        seconds.append(time.perf_counter() - start)
    answer = {"fit": arguments.model, "peer": f"scikit-learn {sklearn.__version__}", "rows": len(rows),
              "cols": arguments.cols, "seconds": statistics.median(seconds)}
    if arguments.model == "svm":
        answer["rho"] = float(-model.intercept_[0])
        answer["vectors"] = len(model.support_)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
