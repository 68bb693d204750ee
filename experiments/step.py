"""What a training step costs: milliseconds, floating-point operations, share of the machine's peak, memory.

    python -m experiments step             every case below, about ten minutes on two free cores
    python -m experiments step --threads 1

Each case is a process of its own that trains on random binary data of MNIST's shape, 100 labeled and 100 unlabeled
examples a step unless it says otherwise, and measures the float32 matrix product at its peak beside it. The operations
counted are those of the matrix products of a step, forward and backward: 2 n k m for each [n, k] x [k, m].
Results go to results/step.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.grid import environment
from experiments.results import origin, parser, save
from tfadgm.provenance import ROOT, commit

REPEATS, MOST_SECONDS = 15, 10.0
PEAK_SIZE = 2048
LABELS = 1000
KINDS = "exact", "rao_blackwellised"
ADDITIONS = {"vat_epsilon": 4.0, "distribution_alignment_weight": 10.0}
CASES: list[dict[str, Any]] = [
    *({"model": model, "marginalization": kind} for model in ("sdgm", "adgm", "m2") for kind in KINDS),
    ADDITIONS,
    {**ADDITIONS, "labeled_batch": 20},
    {"xla": False, "marginalization": "exact"},
    {"xla": False},
    *({"classes": classes, "marginalization": "exact"} for classes in (2, 100, 1000)),
    *({"classes": classes} for classes in (2, 100, 1000)),
    *({"labeled_batch": batch, "unlabeled_batch": batch} for batch in (25, 50, 200, 400)),
]
DEFAULTS = {
    "model": "sdgm", "marginalization": "rao_blackwellised", "classes": 10, "labeled_batch": 100,
    "unlabeled_batch": 100, **dict.fromkeys(ADDITIONS, 0.0), "xla": True,
}  # fmt: skip


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("--threads", type=int, help="threads of each process (default: all cores)")
    flags.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    asked = flags.parse_args(arguments)
    if asked.case:
        print(json.dumps(measure(asked.case)))
        return
    told = {**origin(name + f" --threads {asked.threads}" * bool(asked.threads)), "commit": commit()}
    rows = []
    for changes in CASES:
        case = DEFAULTS | changes
        command = [sys.executable, "-m", "experiments", name, "--case", json.dumps(case)]
        child = subprocess.run(
            command, cwd=ROOT, env=environment(asked.threads), stdout=subprocess.PIPE, text=True, check=True
        )
        rows.append(case | json.loads(child.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    save(name + f"_{asked.threads}_threads" * bool(asked.threads), {**told, "cases": rows})


def measure(case: dict[str, Any]) -> dict[str, float]:
    """Medians over REPEATS of one case, its product peak measured between them."""
    import numpy as np
    import tensorflow as tf

    from tfadgm.config import Config
    from tfadgm.data.dataset import UNLABELED, Dataset, numbered
    from tfadgm.data.streams import mixed_stream
    from tfadgm.resolve import resolve
    from tfadgm.training.build import build_model, count_flops

    choices, classes = dict(case), case["classes"]
    del choices["classes"]
    random = np.random.default_rng(0)
    slow = classes >= 1000 and case["marginalization"] == "exact"
    points = 19_900 if slow else 20_000  # 199 steps an epoch return to Python after each, 200 after twenty
    x = (random.random([points, 784]) < 0.2).astype(np.uint8)
    y = random.integers(0, classes, len(x))
    y[LABELS:] = UNLABELED
    dataset = Dataset(x, y, x[:0], y[:0], numbered(classes), "bernoulli")
    config = resolve(Config.of(dataset="mnist", epochs=1, **choices), dataset)
    model: Any = build_model(config, dataset)
    stream = mixed_stream(
        x, y, labeled_batch=config.labeled_batch, unlabeled_batch=config.unlabeled_batch, seed=config.seed
    )
    model.make_train_function()
    batches, steps = iter(stream), model.steps_per_execution
    compile_seconds = _seconds(lambda: model.train_function(batches))
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
    flops, peak = count_flops(model, next(alone)), 2 * PEAK_SIZE**3 / peak
    return {
        "ms": round(1e3 * step, 2),
        "examples_per_second": round((config.labeled_batch + config.unlabeled_batch) / step),
        "gflop": round(flops / 1e9, 3),
        "gflop_per_second": round(flops / step / 1e9, 1),
        "peak_gflop_per_second": round(peak / 1e9, 1),
        "share_of_peak": round(flops / step / peak, 3),
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
