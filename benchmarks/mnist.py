"""The paper's headline, MNIST with 100 labels: ADGM and SDGM for five label seeds.

    make reproduce-mnist                                  every run that is missing, then the tables
    python -m benchmarks.mnist --models adgm --seeds 0 1  part of them

Trainings run side by side, one for each core with one thread each, which does more of them an hour than one training
on all cores. A run that was stopped is resumed, one that is complete is not repeated. Errors are those of the last,
averaged weights. The results are results/mnist_100.json and results/mnist_100.md.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product, repeat
from typing import Any

import numpy as np

from benchmarks.seeds import FLAGS, RESULTS, RUNS, collect, train
from tfadgm.provenance import machine

PAPER = {"adgm": "0.96 ± 0.02", "sdgm": "1.32 ± 0.07"}  # Maaløe et al. 2016, table 1
SEEDS = range(5)
LIMITS = """## What limits it

The SDGM stands where the paper's does, within its standard error; the ADGM does not reach the paper's 0.96 %, for
which no public code is known.
On the training points that `results/ablation.md` holds out, more time does not help: an ADGM has 2.23 % after 20 epochs
and 1.91 % after 300, an SDGM 2.12 % after 20 and 1.55 % after 100. What is left are not borderline images: a whole rare
way to write a digit, most often one that no labeled example shows, sits in the cluster of another digit with certainty,
under most label seeds the same one, and the bound has no reason to move it: it is the same for good and for bad
classifiers. With 40,000 labels the same network and 20 epochs reach 1.04 % there. Labels were not chosen, training was
not stopped early, and no setting was picked by test points.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=PAPER, default=list(PAPER), help="(default: both)")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="label seeds (default: 0 to 4)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time (default: one a core)")
    arguments = parser.parse_args()
    names, seeds = zip(*product((f"mnist_100_{model}" for model in arguments.models), arguments.seeds), strict=True)
    with ThreadPoolExecutor(arguments.jobs) as jobs:
        list(jobs.map(train, names, seeds, repeat(1 if arguments.jobs > 1 else None)))
    rows = {model: [row for seed in SEEDS if (row := complete(model, seed))] for model in PAPER}
    result = {
        "command": "python -m benchmarks.mnist",
        "training": {model: f"python train.py {' '.join(FLAGS[f'mnist_100_{model}'])} --seed SEED" for model in PAPER},
        "machine": machine(),
        "paper": PAPER,
        "mean": {model: round(float(np.mean(errors(runs))), 3) for model, runs in rows.items() if runs},
        "standard_error": {
            model: round(float(np.std(errors(runs), ddof=1) / len(runs) ** 0.5), 3)
            for model, runs in rows.items()
            if len(runs) > 1
        },
        "runs": rows,
    }
    (RESULTS / "mnist_100.json").write_text(json.dumps(result, indent=2) + "\n")
    (RESULTS / "mnist_100.md").write_text(table(result))


def complete(model: str, seed: int) -> dict[str, Any] | None:
    """One row of the result, or None for a run that is not complete."""
    row = collect(f"mnist_100_{model}", seed)
    if row:
        report = json.loads((RUNS / f"mnist_100_{model}-{seed}" / "report.json").read_text())
        row |= {"epochs": report["epochs"], "minutes": round(report["seconds"] / 60, 1)}
    return row


def errors(rows: list[dict[str, Any]]) -> list[float]:
    return [row["test_error"] for row in rows]


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "# MNIST with 100 labels",
        "",
        "Test error in percent of the last, averaged weights; mean ± standard error over label seeds.",
        "",
        "| model | label seeds | test error | the paper's |",
        "|---|---|---|---|",
    ]
    for model, mean in result["mean"].items():
        spread = result["standard_error"].get(model)
        error = f"{mean:.2f}" + (f" ± {spread:.2f}" if spread is not None else "")
        lines.append(f"| {model.upper()} | {len(result['runs'][model])} | {error} | {PAPER[model]} |")
    lines += [
        "",
        "| model | seed | test error | epochs | minutes | threads | commit |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, rows in result["runs"].items():
        for row in rows:
            lines.append(
                f"| {model.upper()} | {row['seed']} | {row['test_error']:.2f} | {row['epochs']} | {row['minutes']} | "
                f"{row['threads']} | `{row['commit']}` |"
            )
    lines += ["", LIMITS]
    lines += [f"`{result['command']}` on {result['machine']}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
