"""What an estimate of log p(x) costs: minutes and memory of `tfadgm evaluate RUN_DIR --samples 5000`.

    python -m experiments likelihood RUN_DIR ... [--points N]

measures one run after another, with nothing beside it, and leaves the estimates in their folders, which hold none
before. With --points only the first so many test points, to which the minutes are nearly proportional. Results go to
results/likelihood.json, a row for each name of a run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.grid import timed
from experiments.results import load, origin, parser, save
from tfadgm.cli import path
from tfadgm.errors import InputError
from tfadgm.evaluation.estimate import estimates
from tfadgm.provenance import commit

SAMPLES = 5000


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("run_dirs", nargs="+", type=path, metavar="RUN_DIR")
    flags.add_argument("--points", type=int, help="the first so many test points (default: all)")
    asked = flags.parse_args(arguments)
    for run_dir in asked.run_dirs:
        row = run_dir.name if asked.points is None else f"{run_dir.name}, {asked.points} points"
        rows = load(name).get("rows", {}) | {row: measure(run_dir, asked.points)}
        save(name, {"rows": rows, **origin(f"{name} RUN_DIR")}, indent=1)


def measure(run_dir: Path, points: int | None) -> dict[str, Any]:
    estimate = estimates(run_dir, SAMPLES, points)
    if estimate.exists():
        raise InputError(f"Expected a run without an estimate. Received {run_dir}: remove its {estimate.stem}.*")
    command = [sys.executable, "-m", "tfadgm.evaluation", str(run_dir.resolve()), "--samples", str(SAMPLES)]
    code = commit()
    seconds, memory = timed([*command, *([] if points is None else ["--points", str(points)])])
    return {
        "points": json.loads(estimate.with_suffix(".json").read_text())["points"],
        "minutes": round(seconds / 60, 2),
        "peak_mib": memory,
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
        "commit": code,
    }
