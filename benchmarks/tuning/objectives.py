"""How well objectives rank the trials of a random search by their test error."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.stats import spearmanr

from benchmarks.tuning.runs import RUNS, SEARCHES, TRIALS, searched, trained
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.evaluation import class_probabilities
from tuner.__main__ import make_parser
from tuner.apart import Apart
from tuner.objectives import CLASSES, Judge, disagreement
from tuner.plan import Plan, make_plan
from tuner.report import third
from tuner.space import configured

OBJECTIVES = "cv_error", "cv_nll", "bound", "combined"
ALONE = "disagreement", "bound", "val_error"  # which train on all labels
VALIDATION = 50  # test points that stand for a validation set
DRAWS = 10_000  # of trials with replacement, for the interval of a correlation


def correlation(dataset: str, jobs: int) -> dict[str, Any]:
    """What every objective says of the trials, beside the test error after training on all labels."""
    flags = ["--dataset", dataset, *SEARCHES[dataset], "--algorithm", "random", "--objective", "cv_error"]
    flags += ["--trials", str(TRIALS)]
    folder = searched(flags, RUNS / dataset, jobs)
    configs, scores = configs_of(dataset, folder), scores_of(folder)
    reports = trained([(folder / "tested" / trial, config) for trial, config in configs.items()], jobs)
    trials: list[dict[str, Any]] = [
        {"trial": trial, **scores[trial], "test_error": report["test_error"]}
        for trial, report in zip(configs, reports, strict=True)
    ]
    return {
        "search": "python -m tuner " + " ".join(flags),
        "failed": TRIALS - len(trials),
        **ranked(trials, OBJECTIVES),
    }


def alone(dataset: str, jobs: int) -> dict[str, Any]:
    """The trials of a random search by `bound`, trained by `train.py`, and by another seed on the same labels."""
    flags = ["--dataset", dataset, *SEARCHES[dataset], "--algorithm", "random", "--objective", "bound"]
    flags += ["--trials", str(TRIALS)]
    plan, folder = make_plan(make_parser().parse_args(flags)), RUNS / f"{dataset}-alone"
    judge, values = plan.judge, drawn(plan)
    configs = [configured(judge.base, own, len(judge.dataset.x), len(judge.labels)) for own in values]
    runs = [(folder / str(number), config) for number, config in enumerate(configs)]
    reports, others = trained(runs, jobs), classes_by_another_seed(judge, values, folder / "again", jobs)
    trials = [
        {"bound": report["bound"], **tested(run, judge, other)}
        for (run, _), report, other in zip(runs, reports, others, strict=True)
    ]
    found = {"search": "python -m tuner " + " ".join(flags), **ranked(trials, ALONE)}
    found["test_error_of_the_choice"]["finalists"] = of_finalists(trials)
    return found


def ranked(trials: list[dict[str, Any]], objectives: Iterable[str]) -> dict[str, Any]:
    """How well objectives rank trials by their test error, and the test error of what each would choose."""
    return {
        "trials": trials,
        "spearman": {name: interval(trials, name) for name in objectives},
        "test_error_of_the_choice": {name: min(trials, key=lambda row: row[name])["test_error"] for name in objectives},
    }


def interval(trials: list[dict[str, float]], name: str, error: str = "test_error") -> list[float]:
    """Spearman's rank correlation of an objective with an error, and its 95 % interval by the bootstrap."""
    pairs = np.array([(row[name], row[error]) for row in trials])
    drawn = np.random.default_rng(0).integers(0, len(pairs), [DRAWS, len(pairs)])
    many = [spearmanr(*pairs[rows].T).statistic for rows in drawn]
    return [round(float(x), 2) for x in (spearmanr(*pairs.T).statistic, *np.nanquantile(many, [0.025, 0.975]))]


def of_finalists(trials: list[dict[str, Any]]) -> float:
    """The test error of what a search by `bound` ends with: the least disagreement of the best and the preset."""
    finalists = sorted(trials, key=lambda row: row["bound"])[: third(len(trials))]
    return min([*finalists, trials[0]], key=lambda row: row["disagreement"])["test_error"]


def tested(folder: Path, judge: Judge, other: np.ndarray) -> dict[str, float]:
    """Percent of errors of a run among some test points and among all others, and its disagreement with another."""
    model, dataset = keras.models.load_model(folder / "model.keras", compile=False), load_dataset(judge.base.dataset)
    wrong = 100.0 * (class_probabilities(model, dataset.x_test).argmax(1) != dataset.y_test)
    wrong = np.random.default_rng(0).permutation(wrong)
    own = class_probabilities(model, judge.dataset.x).argmax(1)
    return {
        "disagreement": disagreement([own, other], judge.dataset.y),
        "val_error": wrong[:VALIDATION].mean(),
        "test_error": wrong[VALIDATION:].mean(),
    }


def classes_by_another_seed(judge: Judge, trials: list[dict[str, Any]], folder: Path, jobs: int) -> list[np.ndarray]:
    """The classes of all training points by a further training of every trial, on the labels of `judge`."""

    def classes(number: int) -> np.ndarray:
        path = folder / str(number) / "all" / CLASSES
        if not path.exists():
            with Apart(judge, threads=1) as apart:
                apart(trials[number], path.parents[1], seed=1)
        return np.load(path)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(classes, range(len(trials))))


def drawn(plan: Plan) -> list[dict[str, Any]]:
    """What a random search would try."""
    oracle = plan.oracle()
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as folder:
        oracle._set_project_dir(folder, "drawn")
        return [oracle.create_trial(str(number)).hyperparameters.values for number in range(TRIALS)]


def configs_of(dataset: str, folder: Path) -> dict[str, Config]:
    """The configuration of every trial that did not fail."""
    report, plan = (json.loads((folder / name).read_text()) for name in ("report.json", "search.json"))
    base = Config(**plan["config"])
    points = len(load_dataset(dataset, None, base.seed).x)
    return {row["trial"]: configured(base, row["values"], points, plan["labels_seen"]) for row in report["trials"]}


def scores_of(folder: Path) -> dict[str, dict[str, float]]:
    """Everything that every trial was scored by, but for those that failed."""
    return {row["trial"]: row["scores"] for row in json.loads((folder / "report.json").read_text())["trials"]}
