"""What a search gains: its choice against the preset, on label seeds that it has not seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.seeds import ROOT
from benchmarks.tuning.objectives import configs_of, interval
from benchmarks.tuning.runs import RUNS, TRIALS, searched, trained
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.data.split import choose_labels
from tfadgm.runs import read_config
from tuner.report import classes_of

OWN_TRIALS = 20
FRESH = range(10, 20)  # label seeds; the search has seen 0


def gain(name: str, search: list[str], algorithms: list[str], jobs: int) -> dict[str, Any]:
    """The digits with 50 labels, by searches with the flags `search`.

    Beside it stand what a judge would choose that sees all labels of the training points: the trial that makes the
    fewest errors on them, and the finalist that does, a mean of three trainings.
    """
    flags = ["--dataset", "digits", *search, "--trials", str(TRIALS)]
    rivals, told = choices(name, flags, algorithms, jobs)
    for algorithm, found in told.items():
        folder = RUNS / name / algorithm
        found |= hidden("digits", folder)
        configs = configs_of("digits", folder)
        rivals[f"{algorithm}, the best in hindsight"] = configs[found["hindsight"]]
        rivals[f"{algorithm}, the fewest errors"] = configs[found["fewest"]]
    return {"searches": told, **compared(name, rivals, jobs)}


def own(jobs: int) -> dict[str, Any]:
    """The same of the digits as a user's own arrays, where the preset is that of such files."""
    files = {seed: own_file(seed) for seed in (0, *FRESH)}
    rivals, told = choices("own", ["--dataset", files[0], "--trials", str(OWN_TRIALS)], ["random"], jobs)
    return {"searches": told, **compared("own", rivals, jobs, files)}


def choices(
    name: str, flags: list[str], algorithms: list[str], jobs: int
) -> tuple[dict[str, Config], dict[str, dict[str, Any]]]:
    """The preset and what searches choose, also with the preset's epochs; and what is told of the searches."""
    rivals: dict[str, Config] = {}
    told: dict[str, dict[str, Any]] = {}
    for algorithm in algorithms:
        asked = [*flags, "--algorithm", algorithm]
        folder = searched(asked, RUNS / name / algorithm, jobs)
        best, report = read_config(folder / "best_config.json"), json.loads((folder / "report.json").read_text())
        preset, chosen = Config.for_dataset(best.dataset), report["best"]["trial"]
        rivals |= {"preset": preset, algorithm: best}
        if preset.epochs not in (None, best.epochs) and chosen != report["preset"]:
            rivals[f"{algorithm}, {preset.epochs} epochs"] = dataclasses.replace(best, epochs=preset.epochs)
        command = " ".join(["python -m tuner", *asked, *(["--workers", str(jobs)] if jobs > 1 else [])])
        told[algorithm] = {"search": command, "chosen": chosen, "preset": report["preset"]}
    return rivals, told


def hidden(dataset: str, folder: Path) -> dict[str, Any]:
    """How well the bound ranks the trials of a search by their errors on training points, most unseen by it.

    `error`, percent, is that of the search's own training, `again` those of a finalist's further ones.
    """
    y, report = load_dataset(dataset).y, json.loads((folder / "report.json").read_text())
    trials: list[dict[str, Any]] = []
    for row in report["trials"]:
        trainings = classes_of(folder, row["trial"], len(row.get("again", [])))
        error, *again = (float(100 * np.mean(classes != y)) for classes in trainings)
        trials.append({"trial": row["trial"], "bound": row["score"], "error": error, "again": again})
    finalists = [row for row in trials if row["again"]]
    return {
        "trials": trials,
        "spearman": interval(trials, "bound", "error"),
        "fewest": min(trials, key=lambda row: row["error"])["trial"],
        "hindsight": min(finalists, key=lambda row: np.mean([row["error"], *row["again"]]))["trial"],
    }


def own_file(seed: int) -> str:
    """The digits with the 50 labels that `seed` chooses, in an .npz file; its path."""
    data, path = load_dataset("digits"), RUNS / f"digits-{seed}.npz"
    labels = choose_labels(data.y, data.class_names, 50, seed)
    arrays = {"x_labeled": data.x[labels], "y_labeled": data.y[labels], "x_unlabeled": np.delete(data.x, labels, 0)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays, x_test=data.x_test, y_test=data.y_test)
    return str(path.relative_to(ROOT))


def compared(folder: str, rivals: dict[str, Config], jobs: int, files: dict[int, str] | None = None) -> dict[str, Any]:
    """Test errors of configurations by label seeds that no search has seen; `files` hold their data, if it differs."""
    runs = {}
    for name, config in rivals.items():
        fresh = [
            dataclasses.replace(config, seed=seed, dataset=files[seed] if files else config.dataset) for seed in FRESH
        ]
        runs[name] = [(RUNS / folder / f"{name}-{config.seed}", config) for config in fresh]
    reports = trained([run for group in runs.values() for run in group], jobs)
    errors = iter([report["test_error"] for report in reports])
    return {
        "seeds": list(FRESH),
        "runs": {
            name: {"config": dataclasses.asdict(rivals[name]), "test_errors": [next(errors) for _ in group]}
            for name, group in runs.items()
        },
    }
