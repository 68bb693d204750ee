"""What a training step costs: milliseconds, floating-point operations, share of the machine's peak, memory.

    python -m benchmarks.step             every case below, about ten minutes on two free cores
    python -m benchmarks.step --threads 1

Each case is a process of its own that trains on random binary data of MNIST's shape, 100 labeled and 100 unlabeled
examples a step unless it says otherwise, and measures the float32 matrix product at its peak beside it. The operations
counted are those of the matrix products of a step, forward and backward: 2 n k m for each [n, k] x [k, m].
Results go to results/step.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.seeds import RESULTS, ROOT
from tfadgm.provenance import commit, machine

REPEATS, MOST_SECONDS = 15, 10.0
PEAK_SIZE = 2048
KINDS = "exact", "rao_blackwellised"
CASES: list[dict[str, Any]] = [
    *({"model": model, "marginalization": kind} for model in ("sdgm", "adgm", "m2") for kind in KINDS),
    {"adversarial_radius": 4.0, "prior_matching": 10.0},
    {"adversarial_radius": 4.0, "prior_matching": 10.0, "labeled_batch": 20},
    {"xla": False, "marginalization": "exact"},
    {"xla": False},
    *({"classes": classes, "marginalization": "exact"} for classes in (2, 100, 1000)),
    *({"classes": classes} for classes in (2, 100, 1000)),
    *({"labeled_batch": batch, "unlabeled_batch": batch} for batch in (25, 50, 200, 400)),
]  # fmt: skip
DEFAULTS = {
    "model": "sdgm", "marginalization": "rao_blackwellised", "classes": 10, "labeled_batch": 100,
    "unlabeled_batch": 100, "adversarial_radius": 0.0, "prior_matching": 0.0, "xla": True,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="threads of each process (default: all cores)")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(json.loads(arguments.case))))
        return
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
    if arguments.threads:
        environment |= {f"TF_NUM_{kind}OP_THREADS": str(arguments.threads) for kind in ("INTRA", "INTER")}
    rows = []
    for changes in CASES:
        case = DEFAULTS | changes
        command = [sys.executable, "-m", "benchmarks.step", "--case", json.dumps(case)]
        child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if child.returncode:
            sys.exit(child.stderr)
        rows.append(case | json.loads(child.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    name = "step" if arguments.threads is None else f"step_{arguments.threads}_threads"
    result = {
        "command": "python -m benchmarks.step" + (f" --threads {arguments.threads}" if arguments.threads else ""),
        "commit": commit(),
        "machine": machine(),
        "cases": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def measure(case: dict[str, Any]) -> dict[str, float]:
    """Medians over REPEATS of one case, its product peak measured between them."""
    import numpy as np
    import tensorflow as tf

    from tfadgm.config import Config
    from tfadgm.data.sources import Dataset
    from tfadgm.data.streams import mixed_stream
    from tfadgm.training import build_model, count_flops

    choices, classes = dict(case), case["classes"]
    del choices["classes"]
    random = np.random.default_rng(0)
    slow = classes >= 1000 and case["marginalization"] == "exact"
    points = 19_900 if slow else 20_000  # 199 steps an epoch return to Python after each, 200 after twenty
    x = (random.random([points, 784]) < 0.2).astype(np.uint8)
    y = random.integers(0, classes, len(x))
    dataset = Dataset(x, y, x[:0], y[:0], tuple(map(str, range(classes))), "bernoulli")
    config = Config(dataset="mnist", labels=None, epochs=1, **choices)
    model = build_model(config, dataset, labels=1000)
    stream = mixed_stream(
        x, y, np.arange(1000), labeled_batch=config.labeled_batch, unlabeled_batch=config.unlabeled_batch, seed=0
    )
    model.make_train_function()
    batches = iter(stream)
    steps = model.steps_per_execution
    started = time.perf_counter()
    model.train_function(batches)
    compile_seconds = time.perf_counter() - started
    square = tf.random.normal([PEAK_SIZE, PEAK_SIZE])
    product = tf.function(lambda: tf.matmul(square, square))
    product()
    alone = iter(stream)
    times = np.array([
        (
            _seconds(lambda: float(model.train_function(batches)["loss"])) / steps,
            _seconds(lambda: product().numpy()),
            _seconds(lambda: [next(alone) for _ in range(20)]) / 20,
        )
        for _ in _enough()
    ])  # fmt: skip
    step, peak, pipeline = np.median(times, 0)
    flops = count_flops(model, next(alone))
    return {
        "ms": round(1e3 * step, 2),
        "examples_per_second": round((config.labeled_batch + config.unlabeled_batch) / step),
        "gflop": round(flops / 1e9, 3),
        "gflop_per_second": round(flops / step / 1e9, 1),
        "peak_gflop_per_second": round(2 * PEAK_SIZE**3 / peak / 1e9, 1),
        "share_of_peak": round(flops / step / (2 * PEAK_SIZE**3 / peak), 3),
        "pipeline_share": round(pipeline / step, 4),
        "first_seconds": round(compile_seconds, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _enough() -> Iterator[int]:
    """REPEATS, or at least three when MOST_SECONDS are over."""
    started = time.perf_counter()
    for repeat in range(REPEATS):
        if repeat >= 3 and time.perf_counter() - started > MOST_SECONDS:
            break
        yield repeat


if __name__ == "__main__":
    main()
