"""results/serving.md from what `benchmarks.serving` and `benchmarks.trust` have measured."""

from __future__ import annotations

import json
import statistics
from typing import Any

import numpy as np

from benchmarks.seeds import RESULTS

TABLE = RESULTS / "serving.md"
MANY = 256  # samples in place of infinitely many
POINTS = 2000  # test points that the curve of samples is measured on

Runs = dict[str, list[dict[str, Any]]]  # by data set and model


def write() -> None:
    """The tables of whatever has been measured."""
    parts = ["# Serving\n"]
    for name, part in (("serving", speed_table), ("trust", trust_tables)):
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(part(json.loads(path.read_text())))
    TABLE.write_text("\n".join(parts))


def speed_table(result: dict[str, Any]) -> str:
    """What a prediction costs, by size of batch."""
    seconds = result["export_seconds"]
    lines = [
        "## What a prediction costs\n",
        "Milliseconds a call in a Session, and as a multiple of a plain classifier of the same hidden layers, exported",
        "the same way. `python export.py` as a whole (load, calibrate, export, verify in two processes, warm-up",
        f"requests) took {statistics.median(seconds)} s (median of {len(seconds)}).\n",
        "| | batch 1: p50 | p99 | x plain | batch 256: p50 | p99 | x plain | rows a second |",
        "|---" * 8 + "|",
    ]
    found = {(row["batch"], row["model"]): row for row in result["cases"]}
    for name in dict.fromkeys(row["model"] for row in result["cases"]):
        cells = []
        for size in (1, 256):
            row, plain = found[size, name], found[size, "plain"]
            cells += [f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", f"{row['p50_ms'] / plain['p50_ms']:.1f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {256_000 / found[256, name]['p50_ms']:,.0f} |")
    return "\n".join([*lines, _made_by(result)])


def trust_tables(result: dict[str, Any]) -> str:
    """How far predictions can be trusted, means over the runs of a data set."""
    groups: Runs = {}
    for run in result["runs"]:
        groups.setdefault(f"{run['dataset']}, {run['model'].upper()}", []).append(run)
    return "\n".join([*_samples(groups), *_calibration(groups), *_novelty(groups), _made_by(result)])


def _samples(groups: Runs) -> list[str]:
    lines = [
        "## How many samples a prediction needs\n",
        f"Change of the most changed probability and share of other labels against {MANY} samples, on {POINTS} test",
        "points; means over runs. Labels settle at 4 samples. The likelihood of the half-moons improves further; the",
        "default is 16.\n",
        "| | runs | samples | change | other labels | error | NLL | ECE |",
        "|---" * 8 + "|",
    ]
    for name, runs in groups.items():
        for rows in zip(*(run["samples"] for run in runs), strict=True):
            mean = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
            lines.append(
                f"| {name} | {len(runs)} | {rows[0]['samples']} | {mean['mean_change']:.4f} | "
                f"{mean['other_labels']:.2f} % | {mean['error']:.2f} % | {mean['nll']:.3f} | {mean['ece']:.4f} |"
            )
    return lines


def _calibration(groups: Runs) -> list[str]:
    lines = [
        "\n## Calibration\n",
        "The temperature is fitted on the model's own examples, never below 1; NLL and ECE are of all test points.\n",
        "| | runs | temperature | NLL before | after | runs it helps or leaves | ECE before | after | runs |",
        "|---" * 9 + "|",
    ]
    for name, runs in groups.items():
        before, after = ([run["calibration"][when] for run in runs] for when in ("before", "after"))
        temperatures = [run["temperature"] for run in runs]
        cells = [f"{min(temperatures):.2f} to {max(temperatures):.2f}"]
        for key, digits in (("nll", 3), ("ece", 4)):
            for scores in (before, after):
                cells.append(f"{np.mean([score[key] for score in scores]):.{digits}f}")
            better = sum(new[key] <= old[key] + 1e-6 for old, new in zip(before, after, strict=True))
            cells.append(f"{better} of {len(runs)}")
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return lines


def _novelty(groups: Runs) -> list[str]:
    lines = [
        "\n## Unfamiliar inputs\n",
        "Area under the ROC curve of telling MNIST's test images from others: by `log_likelihood_bound` of `score`,",
        "and by the largest class probability. 0.5 is a coin.\n",
        "| | images | bound | confidence |",
        "|---" * 4 + "|",
    ]
    for name, runs in groups.items():
        for kind in runs[0]["novelty"] or {}:
            area = {key: np.mean([run["novelty"][kind][key] for run in runs]) for key in ("bound", "confidence")}
            lines.append(f"| {name} | {kind} | {area['bound']:.3f} | {area['confidence']:.3f} |")
    return lines


def _made_by(result: dict[str, Any]) -> str:
    return f"\n`{result['command']}` at `{result['commit']}` on {result['machine']}.\n"
