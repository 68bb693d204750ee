"""What a search ends with: the finalists judged again by other seeds, a table, and the configuration of the best."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.errors import TrainingError
from tfadgm.files import write_json, write_text
from tfadgm.resolve import resolve
from tuner.keras_tuner_private import HYPERBAND_FACTOR
from tuner.objectives import CLASSES, clean, disagreement
from tuner.process import Scorer
from tuner.progress import tell
from tuner.search import own_values
from tuner.spec import SearchSpec

BEST, REPORT = "best_config.json", "report.json"


def finish(spec: SearchSpec, oracle: Any, scorers: Sequence[Scorer], finalists: int | None, seeds: int) -> str:
    """Judges the best trials by `seeds` more seeds, writes best_config.json and report.json, and returns the table.

    The score by which a trial was chosen is too good on average, so what is announced is the mean of the further seeds.
    The best of these is chosen where labels judge; `bound` knows of none, and the choice is the trial whose trainings,
    that of the search with them, disagree least. The preset, if it was a trial, is judged with the finalists: it is
    what there was to beat.

    Args:
        spec, oracle: of the search.
        scorers: work side by side.
        finalists: how many are judged again; by default a third of the trials.
        seeds: how many more.

    Raises:
        TrainingError: if no trial succeeded.
    """
    objective, folder = spec.scorer.objective, spec.folder
    for training in (folder / "trainings").glob("*"):
        clean(training)
    rows, failed = _ranked(spec, oracle)
    preset = oracle.start_order[0] if oracle.first is not None else None
    count = finalists or third(spec.trials)
    chosen = rows[:count] + [row for row in rows[count:] if row["trial"] == preset]
    for row, again in zip(chosen, _judged_again(spec, scorers, chosen, seeds), strict=True):
        found = [score for score in again if score is not None]
        row["again"] = again
        row["mean"] = float(np.mean(found)) if len(found) == len(again) else None
        row["disagreement"] = _disagreement(spec, row["trial"], seeds)
    chosen.sort(key=_order(chosen, objective))
    rows, best = chosen + [row for row in rows if "again" not in row], chosen[0]
    config = resolve(spec.scorer.config(best["values"]), spec.scorer.dataset)
    write_text(folder / BEST, config.to_json())
    report = {
        "objective": objective,
        "labels_seen": spec.scorer.labels_seen,
        "best": best,
        "trials": rows,
        "failed": failed,
        "preset": preset,
        "config": config.flat(),
    }
    write_json(folder / REPORT, report)
    return _table(report, folder)


def third(trials: int) -> int:
    """Of so many trials, how many are judged again: as many as a round of hyperband keeps."""
    return -(-trials // HYPERBAND_FACTOR)


def _ranked(spec: SearchSpec, oracle: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The trials that succeeded, the best of those with the most epochs first, and why others failed."""
    trials = list(oracle.trials.values())
    failed = {trial.trial_id: trial.message for trial in trials if trial.status in ("FAILED", "INVALID")}
    rows = [
        {
            "trial": trial.trial_id,
            "score": trial.score,
            "scores": {name: trial.metrics.get_best_value(name) for name in trial.metrics.metrics if name != "seconds"},
            "epochs": trial.hyperparameters.values.get("tuner/epochs", spec.scorer.base.epochs),
            "values": own_values(trial.hyperparameters.values),
        }
        for trial in trials
        if trial.status == "COMPLETED"
    ]
    if not rows:
        reason = (next(iter(failed.values()), None) or "no message").strip().splitlines()[-1]
        raise TrainingError(f"Expected at least one of {len(trials)} trials to succeed. Received: {reason}")
    return sorted(rows, key=lambda row: (-row["epochs"], row["score"], row["trial"])), failed


def _judged_again(
    spec: SearchSpec, scorers: Sequence[Scorer], rows: list[dict[str, Any]], seeds: int
) -> list[list[float | None]]:
    """The scores of finalists under `seeds` further seeds each, None where a training diverges."""
    free: SimpleQueue[Scorer] = SimpleQueue()
    for scorer in scorers:
        free.put(scorer)

    def again(row: dict[str, Any], seed: int) -> float | None:
        scorer = free.get()
        try:
            return _again(spec, scorer, row["trial"], row["values"], seed)
        finally:
            free.put(scorer)

    calls = [(row, seed) for row in rows for seed in range(1, seeds + 1)]
    with ThreadPool(len(scorers)) as pool:  # of daemons, for which an interrupt does not wait
        scores = pool.starmap(again, calls, chunksize=1)
    return [scores[first : first + seeds] for first in range(0, len(scores), seeds)]


def _again(spec: SearchSpec, scorer: Scorer, name: str, values: dict[str, Any], seed: int) -> float | None:
    """The score of a finalist under another seed; kept in a file, so that a resume does not repeat it.

    A failure is not kept: it may have been for want of memory.
    """
    path, objective = spec.folder / "finalists" / f"{name}-{seed}.json", spec.scorer.objective
    if path.exists():
        return json.loads(path.read_text())[objective]
    try:
        scores = scorer(values, path.with_suffix(""), seed=seed)
    except TrainingError as error:
        tell(f"Trial {name} by seed {seed}: failed: {error}")
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, scores, indent=None)
    clean(path.with_suffix(""))
    tell(f"Trial {name} by seed {seed}: {objective} {scores[objective]:.4f}")
    return scores[objective]


def _disagreement(spec: SearchSpec, trial: str, seeds: int) -> float | None:
    """That of the trainings of a finalist; None where there are fewer than two."""
    trainings = classes_of(spec.folder, trial, seeds)
    return disagreement(trainings, spec.scorer.dataset.y) if len(trainings) > 1 else None


def classes_of(folder: Path, trial: str, seeds: int) -> list[np.ndarray]:
    """The class of every point, [N], by each training of a trial: those of the search, then those of further seeds."""
    folders = [folder / "trainings" / trial]
    folders += [folder / "finalists" / f"{trial}-{seed}" for seed in range(1, seeds + 1)]
    return [np.load(path) for own in folders for path in sorted(own.glob(f"*/{CLASSES}"))]


def _order(rows: list[dict[str, Any]], objective: str) -> Callable[[dict[str, Any]], tuple[bool, float, float]]:
    """A key for the best finalist first, those that failed last."""
    rows = [row for row in rows if row["mean"] is not None]
    agree = objective == "bound" and all(row["disagreement"] is not None for row in rows)
    by = "disagreement" if agree else "mean"
    return lambda row: (row["mean"] is None, row[by] or 0.0, row["mean"] or 0.0)


def _table(report: dict[str, Any], folder: Path) -> str:
    names, objective = list(report["best"]["values"]), report["objective"]
    head = f"{'trial':<7}{objective:>12}{'again':>12}{'disagree':>10}{'epochs':>8}  "
    lines = [head + "  ".join(names)]
    for row in report["trials"][:10]:
        values = [row["values"][name] for name in names]  # a trial of a worker has them in another order
        cells = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
        cells = [cell.ljust(len(name)) for cell, name in zip(cells, names, strict=True)]
        again = _told(row["mean"]) if "again" in row else "-"
        apart = "-" if row.get("disagreement") is None else f"{row['disagreement']:.2f} %"
        told = f"{row['trial']:<7}{row['score']:>12.4f}{again:>12}{apart:>10}{row['epochs']:>8}  "
        lines.append(told + "  ".join(cells))
    lines.append(f"\nThe search saw {report['labels_seen']} labels, all of them yours, and no test label.")
    if report["failed"]:
        lines.append(f"{len(report['failed'])} trials failed; {folder / REPORT} tells why.")
    best = report["best"]
    for row in report["trials"]:
        if row["trial"] == report["preset"] != best["trial"]:
            lines.append(f"The preset: trial {row['trial']}, {_judgement(objective, row)}.")
    lines.append(
        f"Best: trial {best['trial']}{', the preset' * (best['trial'] == report['preset'])}, "
        f"{_judgement(objective, best)}. Train it with"
    )
    lines.append(f"  python train.py {shlex.join(['--config', str(folder / BEST), '--run-dir', str(folder / 'best')])}")
    if objective == "bound":
        lines.append(f"whose report.json tells its bound, by the seed of the search {best['score']:.4f}.")
    own, usual = report["config"]["epochs"], Config.for_dataset(report["config"]["dataset"]).epochs
    if usual is not None and own < usual:
        lines.append(f"Trainings had {own} epochs, those of the preset have {usual}: what learns fast may end worse.")
    return "\n".join(lines)


def _judgement(objective: str, row: dict[str, Any]) -> str:
    by_seed = ", ".join(map(_told, row["again"]))
    apart = "" if row["disagreement"] is None else f", disagreement {row['disagreement']:.2f} %"
    return f"{objective} {_told(row['mean'])} by other seeds ({by_seed}){apart}"


def _told(mean: float | None) -> str:
    return "failed" if mean is None else f"{mean:.4f}"
