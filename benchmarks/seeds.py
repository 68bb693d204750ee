"""The accuracy benchmark: one training for each label seed, collected into results/<name>.json.

    python -m benchmarks.seeds digits                 ten label seeds, about 15 minutes on two cores
    python -m benchmarks.seeds moons                  ten label seeds, with the best possible classifier beside them
    python -m benchmarks.seeds mnist --seeds 0 1      part of the label seeds; a later call adds the rest
    python -m benchmarks.seeds mnist_epoch            three epochs of MNIST, for their duration with nothing beside it
    python -m benchmarks.seeds mnist_12_epochs        a whole run with nothing beside it; 55 and 170 likewise

Each training is `python train.py` in a process of its own; one that is complete is not repeated, one that was stopped
is resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.provenance import ROOT, commit, machine

RUNS, RESULTS = ROOT / "runs" / "benchmark", ROOT / "results"
PLAIN = ["--dataset", "mnist", "--recipe", "paper", "--learning-rate", "1e-3", "--weight-average", "0.999"]
MINUTES_EPOCHS = 12, 55, 170  # of whole runs of MNIST's preset on all cores: how far they get in 4, 15 and 45 minutes
FLAGS: dict[str, list[str]] = {
    "digits": ["--dataset", "digits"],
    "moons": ["--dataset", "moons"],
    "mnist": [*PLAIN, "--epochs", "25"],
    "mnist_epoch": [*PLAIN, "--epochs", "3"],
    "mnist_100_sdgm": ["--dataset", "mnist", "--model", "sdgm"],
    "mnist_100_adgm": ["--dataset", "mnist", "--model", "adgm"],
    **{f"mnist_{epochs}_epochs": ["--dataset", "mnist", "--epochs", str(epochs)] for epochs in MINUTES_EPOCHS},
}
SEEDS = {
    "digits": range(10), "moons": range(10), "mnist": range(3), "mnist_epoch": range(1),
    **{f"mnist_{epochs}_epochs": range(1) for epochs in MINUTES_EPOCHS},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SEEDS)
    parser.add_argument("--seeds", type=int, nargs="+", help="label seeds to run now (default: all)")
    arguments = parser.parse_args()
    for seed in arguments.seeds or SEEDS[arguments.name]:
        train(arguments.name, seed)
    rows = [row for seed in SEEDS[arguments.name] if (row := collect(arguments.name, seed))]
    result = {
        "command": f"python -m benchmarks.seeds {arguments.name}",
        "training": "python train.py " + " ".join(FLAGS[arguments.name]) + " --seed SEED",
        "machine": machine(),
        "mean": {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0] if key.endswith("error")},
        "standard_error": {
            key: round(float(np.std([row[key] for row in rows], ddof=1) / len(rows) ** 0.5), 3)
            for key in rows[0]
            if key.endswith("error") and len(rows) > 1
        },
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    if arguments.name == "moons":
        shutil.copy(RUNS / "moons-0" / "figures" / "regions.png", RESULTS / "moons_regions.png")
    (RESULTS / f"{arguments.name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["mean"], indent=2))


def train(name: str, seed: int, threads: int | None = None) -> None:
    """One run in `runs/benchmark/<name>-<seed>`, with how it was made in `benchmark.json`."""
    environment = dict(os.environ)
    if threads:
        environment |= {f"TF_NUM_{kind}OP_THREADS": str(threads) for kind in ("INTRA", "INTER")}
    folder = RUNS / f"{name}-{seed}"
    record = folder / "benchmark.json"
    if record.exists():
        return
    resume = ["--resume"] if (folder / "checkpoint").exists() else []
    command = [sys.executable, "train.py", *FLAGS[name], "--seed", str(seed), "--run-dir", str(folder), *resume]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"benchmarks.seeds: {' '.join(command)} ended with status {status}")
    made = {
        "commit": commit(),
        "whole_process_seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mib": round(usage.ru_maxrss / 1024),
        "threads": environment.get("TF_NUM_INTRAOP_THREADS", "all"),
    }
    if resume:
        made |= {"whole_process_seconds": None, "peak_memory_mib": None}  # of the last part only
    record.write_text(json.dumps(made))


def collect(name: str, seed: int) -> dict[str, Any] | None:
    """One row of the result, or None for a run that is not complete."""
    folder = RUNS / f"{name}-{seed}"
    if not (folder / "benchmark.json").exists():
        return None
    report = json.loads((folder / "report.json").read_text())
    keys = ["seed", "test_error", "test_nll", "test_ece", "supervised_error"]
    keys += [key for key in ("label_spreading_error", "self_training_error") if report[key] is not None]
    row = {key: round(report[key], 4) for key in keys}
    ends = np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)["seconds"]
    row |= {"seconds_an_epoch": round(float(np.median(np.diff(ends))), 2)}
    if name == "moons":
        row |= against_the_best(folder)
    return row | json.loads((folder / "benchmark.json").read_text())


def against_the_best(folder: Path) -> dict[str, float]:
    """Percent: the error of the best possible classifier of the half-moons, and how often the model differs from it."""
    import keras
    from scipy.special import logsumexp

    import tfadgm  # noqa: F401  Keras finds the models by it
    from tfadgm.data.sources import MOONS_NOISE, MOONS_SHIFT, moons

    angle = np.linspace(0, np.pi, 500)  # scikit-learn spaces the points of a moon evenly in angle
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    centres = np.stack([upper, [1, 0.5] - upper]) + MOONS_SHIFT
    data = moons(0)
    squares = ((data.x_test[:, None, None] - centres) ** 2).sum(-1)  # [N, 2, angles]
    best = logsumexp(-squares / (2 * MOONS_NOISE**2), axis=-1).argmax(1)
    predicted = keras.models.load_model(folder / "model.keras").predict(data.x_test, verbose=0).argmax(1)
    error, best_error = (100 * float(np.mean(labels != data.y_test)) for labels in (predicted, best))
    return {
        "best_possible_error": round(best_error, 2),
        "excess_error": round(error - best_error, 2),
        "differs_from_best": round(100 * float(np.mean(predicted != best)), 2),
    }


if __name__ == "__main__":
    main()
