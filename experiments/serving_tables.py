"""results/serving.md from what `python -m experiments serving` and `trust` have measured."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from experiments.results import RESULTS, command_of, load, table
from tfadgm.files import write_text

MANY = 256  # samples in place of infinitely many
POINTS = 2000  # test points that the curve of samples is measured on
SPEED = """## What a prediction costs

Milliseconds a call in a Session, and as a multiple of a plain classifier of the same hidden layers, exported
the same way. `python export.py` as a whole (load, calibrate, export, verify in two processes, warm-up
requests) took {median} s (median of {exports}).
"""
SAMPLES = f"""## How many samples a prediction needs

Change of the most changed probability and share of other labels against {MANY} samples, on {POINTS} test
points; means over runs. Labels settle at 4 samples. The likelihood of the half-moons improves further; the
default is 16.
"""
CALIBRATION = """
## Calibration

The temperature is fitted on the model's own examples, never below 1; NLL and ECE are of all test points.
"""
NOVELTY = """
## Unfamiliar inputs

Area under the ROC curve of telling MNIST's test images from others: by `log_likelihood_bound` of `score`,
and by the largest class probability. 0.5 is a coin.
"""

Runs = dict[str, list[dict[str, Any]]]  # by data set and model


def write() -> None:
    write_text(RESULTS / "serving.md", tables(load("serving"), load("trust")))


def tables(speed: dict[str, Any], trust: dict[str, Any]) -> str:
    """results/serving.md, of whatever has been measured."""
    lines = ["# Serving\n"]
    if speed:
        lines += [*_speed(speed), _made_by(speed)]
    if trust:
        groups: Runs = {}
        for run in trust["runs"]:
            groups.setdefault(f"{run['dataset']}, {run['model'].upper()}", []).append(run)
        lines += [*_samples(groups), *_calibration(groups), *_novelty(groups), _made_by(trust)]
    return "\n".join(lines)


def _speed(result: dict[str, Any]) -> list[str]:
    found = {(row["batch"], row["model"]): row for row in result["cases"]}
    rows = []
    for name in dict.fromkeys(row["model"] for row in result["cases"]):
        cells = [name]
        for size in (1, 256):
            row, plain = found[size, name], found[size, "plain"]
            cells += [f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", f"{row['p50_ms'] / plain['p50_ms']:.1f}"]
        rows.append([*cells, f"{256_000 / found[256, name]['p50_ms']:,.0f}"])
    header = "| | batch 1: p50 | p99 | x plain | batch 256: p50 | p99 | x plain | rows a second |"
    seconds = result["export_seconds"]
    return [SPEED.format(median=statistics.median(seconds), exports=len(seconds)), *table(header, rows)]


def _samples(groups: Runs) -> list[str]:
    rows = []
    for name, runs in groups.items():
        for points in zip(*(run["samples"] for run in runs), strict=True):
            mean = {key: np.mean([point[key] for point in points]) for key in points[0]}
            rows.append((
                name, len(runs), points[0]["samples"], f"{mean['mean_change']:.4f}", f"{mean['other_labels']:.2f} %",
                f"{mean['error']:.2f} %", f"{mean['nll']:.3f}", f"{mean['ece']:.4f}",
            ))  # fmt: skip
    return [SAMPLES, *table("| | runs | samples | change | other labels | error | NLL | ECE |", rows)]


def _calibration(groups: Runs) -> list[str]:
    rows = []
    for name, runs in groups.items():
        temperatures = [run["temperature"] for run in runs]
        cells: list[Any] = [name, len(runs), f"{min(temperatures):.2f} to {max(temperatures):.2f}"]
        for key, digits in (("nll", 3), ("ece", 4)):
            scores = np.array([[run["calibration"][when][key] for when in ("before", "after")] for run in runs])
            better = np.sum(scores[:, 1] <= scores[:, 0] + 1e-6)
            cells += [*(f"{mean:.{digits}f}" for mean in scores.mean(0)), f"{better} of {len(runs)}"]
        rows.append(cells)
    header = "| | runs | temperature | NLL before | after | runs it helps or leaves | ECE before | after | runs |"
    return [CALIBRATION, *table(header, rows)]


def _novelty(groups: Runs) -> list[str]:
    rows = [
        (name, kind, *(f"{np.mean([run['novelty'][kind][by] for run in runs]):.3f}" for by in ("bound", "confidence")))
        for name, runs in groups.items()
        for kind in runs[0]["novelty"] or {}
    ]
    return [NOVELTY, *table("| | images | bound | confidence |", rows)]


def _made_by(result: dict[str, Any]) -> str:
    return f"\n`{command_of(result)}` at `{result['commit']}` on {result['machine']}.\n"
