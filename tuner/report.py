"""What a search ends with: the finalists judged again by other seeds, a table, and the configuration of the best."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from tfadgm.errors import TrainingError
from tfadgm.training import write_text
from tuner.apart import Apart
from tuner.objectives import clean
from tuner.plan import Plan
from tuner.space import configured

BEST, REPORT = "best_config.json", "report.json"


def finish(plan: Plan, oracle: Any, judges: Sequence[Apart], finalists: int, seeds: int) -> str:
    """Judges the best trials by `seeds` more seeds, writes best_config.json and report.json, and returns the table.

    `judges` work side by side.

    Raises:
        TrainingError: if no trial succeeded.
    """
    objective, folder = plan.judge.objective, plan.folder
    trials = list(oracle.trials.values())
    done = [trial for trial in trials if trial.status == "COMPLETED"]
    failed = [trial for trial in trials if trial.status in ("FAILED", "INVALID")]
    if not done:
        reason = (failed[0].message or "no message").strip().splitlines()[-1] if failed else "no trial"
        raise TrainingError(f"Expected at least one of {len(trials)} trials to succeed. Received: {reason}")
    done.sort(key=lambda trial: (trial.score, trial.trial_id))
    rows: list[dict[str, Any]] = []
    for trial in done:
        values = {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith("tuner/")}
        rows.append({"trial": trial.trial_id, "scores": [trial.score], "mean": trial.score, "values": values})
    for row, more in zip(rows, _judged_again(plan, judges, rows[:finalists], seeds), strict=False):
        row["scores"] += more
        row["mean"] = float(np.mean(row["scores"]))
    best = min(rows[:finalists], key=lambda row: row["mean"])
    config = configured(plan.judge.base, best["values"], len(plan.judge.dataset.x), len(plan.judge.labels))
    write_text(folder / BEST, config.to_json())
    report = {
        "objective": objective,
        "labels_seen": plan.judge.labels_seen,
        "best": best,
        "trials": rows,
        "failed": {trial.trial_id: trial.message for trial in failed},
        "config": dataclasses.asdict(config),
    }
    write_text(folder / REPORT, json.dumps(report, indent=2) + "\n")
    return _table(report, folder)


def _judged_again(plan: Plan, judges: Sequence[Apart], rows: list[dict[str, Any]], seeds: int) -> list[list[float]]:
    """The scores of finalists under `seeds` further seeds each."""
    free: SimpleQueue[Apart] = SimpleQueue()
    for judge in judges:
        free.put(judge)

    def again(row: dict[str, Any], seed: int) -> float:
        judge = free.get()
        try:
            return _again(plan, judge, row["trial"], row["values"], seed)[plan.judge.objective]
        finally:
            free.put(judge)

    calls = [(row, seed) for row in rows for seed in range(1, seeds + 1)]
    with ThreadPool(len(judges)) as pool:  # of daemons, for which an interrupt does not wait
        scores = pool.starmap(again, calls, chunksize=1)
    return [scores[first : first + seeds] for first in range(0, len(scores), seeds)]


def _again(plan: Plan, judge: Apart, name: str, values: dict[str, Any], seed: int) -> dict[str, float]:
    """The scores of a finalist under another seed; kept in a file, so that a resume does not repeat them."""
    path = plan.folder / "finalists" / f"{name}-{seed}.json"
    if path.exists():
        return json.loads(path.read_text())
    scores = judge(values, path.with_suffix(""), seed=seed)
    write_text(path, json.dumps(scores) + "\n")
    clean(path.with_suffix(""))
    print(f"Trial {name} by seed {seed}: {plan.judge.objective} {scores[plan.judge.objective]:.4f}", flush=True)
    return scores


def _table(report: dict[str, Any], folder: Path) -> str:
    names = list(report["best"]["values"])
    lines = [f"{'trial':<7}{report['objective']:>12}{'seeds':>7}  " + "  ".join(names)]
    for row in report["trials"][:10]:
        values = [row["values"][name] for name in names]  # a trial of a worker has them in another order
        cells = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
        cells = [cell.ljust(len(name)) for cell, name in zip(cells, names, strict=True)]
        lines.append(f"{row['trial']:<7}{row['mean']:>12.4f}{len(row['scores']):>7}  " + "  ".join(cells))
    lines.append(f"\nThe search saw {report['labels_seen']} labels, all of them yours, and no test label.")
    if report["failed"]:
        lines.append(f"{len(report['failed'])} trials failed; {folder / REPORT} tells why.")
    best = report["best"]
    lines.append(f"Best: trial {best['trial']}, {report['objective']} {best['mean']:.4f}. Train it with")
    lines.append(f"  python train.py --config {folder / BEST}")
    return "\n".join(lines)
