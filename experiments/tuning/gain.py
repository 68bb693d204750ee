"""What a search gains: its choice against the preset, on label seeds that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.grid import Cell
from experiments.tuning.objectives import RUNS, TRIALS, configs_of, interval, report_of, searched, trained
from tfadgm.config import Config
from tfadgm.data.labels import choose_labels
from tfadgm.data.sources import load_dataset
from tfadgm.files import write_arrays
from tfadgm.provenance import ROOT
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
        asked, folder = [*flags, "--algorithm", algorithm], RUNS / name / algorithm
        searched(asked, folder, jobs)
        best, report = Config.read(folder / "best_config.json"), report_of(folder)
        preset, chosen = Config.for_dataset(best.dataset), report["best"]["trial"]
        rivals |= {"preset": preset, algorithm: best}
        if preset.epochs not in (None, best.epochs) and chosen != report["preset"]:
            rivals[f"{algorithm}, {preset.epochs} epochs"] = best.replace(epochs=preset.epochs)
        command = " ".join(["python -m tuner", *asked, *(["--workers", str(jobs)] if jobs > 1 else [])])
        told[algorithm] = {"search": command, "chosen": chosen, "preset": report["preset"]}
    return rivals, told


def hidden(dataset: str, folder: Path) -> dict[str, Any]:
    """How well the bound ranks the trials of a search by their errors on training points, most unseen by it.

    `error`, percent, is that of the search's own training, `again` those of a finalist's further ones.
    """
    y = load_dataset(dataset).y
    trials: list[dict[str, Any]] = []
    for row in report_of(folder)["trials"]:
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
    labels = choose_labels(data, 50, seed).label_indices
    arrays = {"x_labeled": data.x[labels], "y_labeled": data.y[labels], "x_unlabeled": np.delete(data.x, labels, 0)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, **arrays, x_test=data.x_test, y_test=data.y_test)
    return str(path.relative_to(ROOT))


def compared(folder: str, rivals: dict[str, Config], jobs: int, files: dict[int, str] | None = None) -> dict[str, Any]:
    """Test errors of configurations by label seeds that no search has seen; `files` hold their data, if it differs."""
    cells = {
        name: [
            Cell(RUNS / folder / f"{name}-{seed}", config.replace(
                seed=seed, label_seed=seed, dataset=files[seed] if files else config.dataset
            ))
            for seed in FRESH
        ]
        for name, config in rivals.items()
    }  # fmt: skip
    trained([cell for group in cells.values() for cell in group], jobs)
    runs = {}
    for name, group in cells.items():
        rows = trained(group, jobs)  # all complete
        runs[name] = {
            "config": rivals[name].flat(),
            "test_errors": [row["test_error"] for row in rows],
            "unseen_training_errors": [row.get("unseen_training_error") for row in rows],
        }
    return {"seeds": list(FRESH), "runs": runs}
