"""What PyTorch makes of the same models on the same GPU: rows a second, `name<TAB>rows per second` a line.

Each model is written the way PyTorch is fast at it: the forest as complete trees in tensors, walked level by level with
gathers (all trees and rows at once); the SVM as a matrix product, exp and a matrix-vector product. Eager and compiled;
the best of a few batch sizes counts.
"""
import sys
import time

import torch

COLS, TREES, DEPTH, VECTORS = 64, 100, 8, 1024


def forest(generator):
    nodes = 2 ** (DEPTH + 1)
    feature = torch.randint(COLS, (TREES, nodes), generator=generator, device="cuda")
    threshold = torch.randn((TREES, nodes), generator=generator, device="cuda")
    path = torch.rand((TREES, nodes), generator=generator, device="cuda") * 10

    def score(rows):
        at = torch.ones((TREES, rows.shape[0]), dtype=torch.int64, device="cuda")
        for _ in range(DEPTH):
            x = torch.gather(rows.t(), 0, feature.gather(1, at))
            at = 2 * at + (x > threshold.gather(1, at))
        return torch.exp2(-path.gather(1, at).mean(0) / 10.2)

    return score


def forest_int32(generator):
    """Flat int32 indices: half the bytes of gather's int64."""
    nodes = 2 ** (DEPTH + 1)
    feature = torch.randint(COLS, (TREES * nodes,), generator=generator, device="cuda", dtype=torch.int32)
    threshold = torch.randn(TREES * nodes, generator=generator, device="cuda")
    path = torch.rand(TREES * nodes, generator=generator, device="cuda") * 10
    base = (torch.arange(TREES, device="cuda", dtype=torch.int32) * nodes)[:, None]

    def score(rows):
        flat = rows.reshape(-1)
        first = (torch.arange(rows.shape[0], device="cuda", dtype=torch.int32) * COLS)[None, :]
        at = torch.ones((TREES, rows.shape[0]), dtype=torch.int32, device="cuda")
        for _ in range(DEPTH):
            node = base + at
            at = 2 * at + (flat[first + feature[node]] > threshold[node]).to(torch.int32)
        return torch.exp2(-path[base + at].mean(0) / 10.2)

    return score


def svm(generator):
    vectors = torch.randn((VECTORS, COLS), generator=generator, device="cuda")
    alpha = torch.rand(VECTORS, generator=generator, device="cuda")
    norms = (vectors * vectors).sum(1)

    def score(rows):
        squared = (rows * rows).sum(1, keepdim=True) + norms - 2 * rows @ vectors.t()
        return 50 - torch.exp(squared * (-1 / COLS)) @ alpha

    return score


def autoencoder(generator):
    widths = [64, 32, 16, 32, 64]
    weights = [torch.randn((o, i), generator=generator, device="cuda") / i**0.5 for i, o in zip(widths, widths[1:])]

    def score(rows):
        x = rows
        for i, weight in enumerate(weights):
            x = x @ weight.t()
            if i + 1 < len(weights):
                x = torch.relu(x)
        return ((rows - x) ** 2).mean(1)

    return score


def seconds(score, rows):
    for _ in range(3):
        score(rows)
    torch.cuda.synchronize()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        score(rows)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[3]


def main():
    torch.backends.cuda.matmul.allow_tf32 = False
    models = [("forest, gather", forest), ("forest, int32", forest_int32), ("svm 1,024", svm), ("autoencoder", autoencoder)]
    for name, make in models:
        generator = torch.Generator(device="cuda").manual_seed(1)
        score = make(generator)
        for mode in ("eager", "compiled"):
            best = 0.0
            for rows in (1 << 14, 1 << 17, 1 << 19):
                batch = torch.randn((rows, COLS), generator=generator, device="cuda")
                try:
                    with torch.no_grad():
                        called = score if mode == "eager" else torch.compile(score, dynamic=False)
                        best = max(best, rows / seconds(called, batch))
                except Exception as error:  # out of memory, or the compiler lacks what it needs: the next size may do
                    print(f"{name}, {mode}, {rows} rows: {error}", file=sys.stderr)
            if best > 0:
                print(f"PyTorch {torch.__version__} {mode}: {name}\t{best}", flush=True)


if __name__ == "__main__":
    main()
