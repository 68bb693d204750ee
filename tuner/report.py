"""What a search ends with: the finalists judged again by other seeds, a table, and the configuration of the best."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.errors import TrainingError
from tfadgm.training import write_text
from tuner.objectives import clean
from tuner.plan import Plan
from tuner.space import configured

BEST, REPORT = "best_config.json", "report.json"


def finish(plan: Plan, oracle: Any, finalists: int, seeds: int) -> str:
    """Judges the best trials by `seeds` more seeds, writes best_config.json and report.json, and returns the table.

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
    rows = []
    for rank, trial in enumerate(done):
        values = {name: value for name, value in trial.hyperparameters.values.items() if not name.startswith("tuner/")}
        scores = [trial.score]
        if rank < finalists:
            scores += [_again(plan, trial.trial_id, values, seed)[objective] for seed in range(1, seeds + 1)]
        rows.append({"trial": trial.trial_id, "scores": scores, "mean": float(np.mean(scores)), "values": values})
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


def _again(plan: Plan, name: str, values: dict[str, Any], seed: int) -> dict[str, float]:
    """The scores of a finalist under another seed; kept in a file, so that a resume does not repeat them."""
    path = plan.folder / "finalists" / f"{name}-{seed}.json"
    if path.exists():
        return json.loads(path.read_text())
    scores = plan.judge(values, path.with_suffix(""), seed=seed)
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
