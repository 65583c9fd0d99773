"""How long libsvm, as scikit-learn calls it (one core), takes for the one-class SVM that `make gpu-check` fits:
`name<TAB>seconds`."""
import time

import numpy
from sklearn.svm import OneClassSVM

ROWS, COLS = 50_000, 64


def main():
    rows = numpy.random.default_rng(1).standard_normal((ROWS, COLS))
    start = time.perf_counter()
    OneClassSVM(nu=0.1, gamma=1 / COLS, tol=1e-3, cache_size=4000).fit(rows)
    print(f"libsvm on one core, svm fit, seconds\t{time.perf_counter() - start}", flush=True)


if __name__ == "__main__":
    main()
