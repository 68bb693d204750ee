"""How well objectives rank the trials of a random search by their test error."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from experiments import grid
from experiments.grid import Cell
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.provenance import ROOT
from tfadgm.run import Run
from tuner.__main__ import make_parser
from tuner.keras_tuner_private import oracle_of
from tuner.objectives import CLASSES, TrialScorer, disagreement
from tuner.process import ScorerProcess
from tuner.report import third
from tuner.space import configured
from tuner.spec import SearchSpec, make_spec

RUNS = grid.RUNS / "tuning"
SEARCHES = {"digits": ["--labels", "50", "--epochs", "60"], "moons": ["--labels", "6"]}
TRIALS = 30
OBJECTIVES = "cv_error", "cv_nll", "bound", "combined"
ALONE = "disagreement", "bound", "val_error"  # which train on all labels
ERRORS = "test_error", "unseen_training_error"
VALIDATION = 50  # test points that stand for a validation set
DRAWS = 10_000  # of trials with replacement, for the interval of a correlation


def correlation(dataset: str, jobs: int) -> dict[str, Any]:
    """What every objective says of the trials, beside the test error after training on all labels."""
    flags, folder = _flags(dataset, "cv_error"), RUNS / dataset
    searched(flags, folder, jobs)
    configs = configs_of(dataset, folder)
    scores = {row["trial"]: row["scores"] for row in report_of(folder)["trials"]}
    rows = trained([Cell(folder / "tested" / trial, config) for trial, config in configs.items()], jobs)
    trials = [
        {"trial": trial, **scores[trial], **{key: row[key] for key in ERRORS if key in row}}
        for trial, row in zip(configs, rows, strict=True)
    ]
    return {"search": _command(flags), "failed": TRIALS - len(trials), **ranked(trials, OBJECTIVES)}


def alone(dataset: str, jobs: int) -> dict[str, Any]:
    """The trials of a random search by `bound`, trained by `train.py`, and by another seed on the same labels."""
    flags, folder = _flags(dataset, "bound"), RUNS / f"{dataset}-alone"
    spec = make_spec(make_parser().parse_args(flags))
    values = drawn(spec)
    cells = [Cell(folder / str(number), spec.scorer.config(own)) for number, own in enumerate(values)]
    rows, others = trained(cells, jobs), classes_by_another_seed(spec.scorer, values, folder / "again", jobs)
    trials = [
        {"bound": -row["elbo"], **tested(Run(cell.folder), spec.scorer, other)}
        for cell, row, other in zip(cells, rows, others, strict=True)
    ]
    found = {"search": _command(flags), **ranked(trials, ALONE)}
    found["test_error_of_the_choice"]["finalists"] = of_finalists(trials)
    return found


def _flags(dataset: str, objective: str) -> list[str]:
    random = ["--algorithm", "random", "--objective", objective, "--trials", str(TRIALS)]
    return ["--dataset", dataset, *SEARCHES[dataset], *random]


def _command(flags: Sequence[str]) -> str:
    return " ".join(["python -m tuner", *flags])


def searched(flags: Sequence[str], folder: Path, jobs: int) -> None:
    """Runs a search, or what is left of it."""
    if not (folder / "report.json").exists():
        resume = ["--resume"] if (folder / "search.json").exists() else []
        command = [sys.executable, "-m", "tuner", *flags, "--workers", str(jobs), "--directory", str(folder), *resume]
        subprocess.run(command, cwd=ROOT, check=True)


def report_of(folder: Path) -> dict[str, Any]:
    """That of a search."""
    return json.loads((folder / "report.json").read_text())


def trained(cells: Sequence[Cell], jobs: int) -> list[dict[str, Any]]:
    """The numbers and reports of trainings on a thread each, `jobs` at a time."""
    grid.complete(cells, jobs, threads=1)
    return [(grid.collect(cell) or {}) | Run(cell.folder).report for cell in cells]


def ranked(trials: list[dict[str, Any]], objectives: Iterable[str]) -> dict[str, Any]:
    """How well objectives rank trials by their test error, and the test error of what each would choose."""
    return {
        "trials": trials,
        "spearman": {name: interval(trials, name) for name in objectives},
        "test_error_of_the_choice": {name: min(trials, key=lambda row: row[name])["test_error"] for name in objectives},
    }


def interval(trials: list[dict[str, Any]], name: str, error: str = "test_error") -> list[float]:
    """Spearman's rank correlation of an objective with an error, and its 95 % interval by the bootstrap."""
    pairs = np.array([(row[name], row[error]) for row in trials])
    resampled = np.random.default_rng(0).integers(0, len(pairs), [DRAWS, len(pairs)])
    many = [spearmanr(*pairs[rows].T).statistic for rows in resampled]
    return [round(float(x), 2) for x in (spearmanr(*pairs.T).statistic, *np.nanquantile(many, [0.025, 0.975]))]


def of_finalists(trials: list[dict[str, Any]]) -> float:
    """The test error of what a search by `bound` ends with: the least disagreement of the best and the preset."""
    finalists = sorted(trials, key=lambda row: row["bound"])[: third(len(trials))]
    return min([*finalists, trials[0]], key=lambda row: row["disagreement"])["test_error"]


def tested(run: Run, scorer: TrialScorer, other: np.ndarray) -> dict[str, float]:
    """Percent of errors of a run among some test points and among all others, and its disagreement with another."""
    model: Any = run.load_model()
    dataset = run.load_dataset()
    wrong = 100.0 * (class_probabilities(model, dataset.x_test).argmax(1) != dataset.y_test)
    wrong = np.random.default_rng(0).permutation(wrong)
    own = class_probabilities(model, scorer.dataset.x).argmax(1)
    return {
        "disagreement": disagreement([own, other], scorer.dataset.y),
        "val_error": float(wrong[:VALIDATION].mean()),
        "test_error": float(wrong[VALIDATION:].mean()),
    }


def classes_by_another_seed(
    scorer: TrialScorer, trials: list[dict[str, Any]], folder: Path, jobs: int
) -> list[np.ndarray]:
    """The classes of all training points by a further training of every trial, on the labels of `scorer`."""

    def classes(number: int) -> np.ndarray:
        path = folder / str(number) / "all" / CLASSES
        if not path.exists():
            with ScorerProcess(scorer, threads=1) as process:
                process(trials[number], path.parents[1], seed=1)
        return np.load(path)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(classes, range(len(trials))))


def drawn(spec: SearchSpec) -> list[dict[str, Any]]:
    """What a random search would try."""
    oracle = oracle_of(spec)
    with tempfile.TemporaryDirectory() as folder:
        oracle.open(Path(folder))
        return [oracle.create_trial(str(number)).hyperparameters.values for number in range(TRIALS)]


def configs_of(dataset: str, folder: Path) -> dict[str, Config]:
    """The configuration of every trial that did not fail."""
    plan = json.loads((folder / "search.json").read_text())
    base = Config.of(**plan["config"])
    points = len(load_dataset(dataset, None, base.seed).x)
    rows = report_of(folder)["trials"]
    return {row["trial"]: configured(base, row["values"], points, plan["labels_seen"]) for row in rows}
