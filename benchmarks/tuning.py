"""Whether a search can be trusted, and what it gains.

    python -m benchmarks.tuning digits        30 random trials by folds, every one then trained on all labels and tested
    python -m benchmarks.tuning moons
    python -m benchmarks.tuning digits-alone  30 trials trained on all labels, by objectives that ask for no more
    python -m benchmarks.tuning moons-alone
    python -m benchmarks.tuning gain          digits: a search and the preset, on ten label seeds that it has not seen
    python -m benchmarks.tuning own           the same of the digits as a user's own arrays, with the preset of such
    python -m benchmarks.tuning speed         digits: trials a minute with one worker and two; nothing beside it

Test labels enter this report only: the search itself sees the labels of its training. Searches and trainings are kept
in runs/tuning/ and go on where they were stopped. Results go to results/tuning.json and results/tuning.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.stats import spearmanr

from benchmarks.seeds import RESULTS, ROOT
from benchmarks.tuning_speed import speed
from benchmarks.tuning_tables import table
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.data.split import choose_labels
from tfadgm.evaluation import class_probabilities
from tfadgm.provenance import commit, machine
from tfadgm.runs import read_config
from tuner.__main__ import make_parser
from tuner.apart import Apart
from tuner.objectives import CLASSES, Judge, disagreement
from tuner.plan import Plan, make_plan
from tuner.report import third
from tuner.space import configured

RUNS = ROOT / "runs" / "tuning"
SEARCHES = {"digits": ["--labels", "50", "--epochs", "60"], "moons": ["--labels", "6"]}
PARTS = *SEARCHES, *(f"{name}-alone" for name in SEARCHES), "gain", "own", "speed"
TRIALS, OWN_TRIALS = 30, 20
OBJECTIVES = "cv_error", "cv_nll", "bound", "combined"
ALONE = "disagreement", "bound", "val_error"  # which train on all labels
VALIDATION = 50  # test points that stand for a validation set
FRESH = range(10, 20)  # label seeds; the search has seen 0
DRAWS = 10_000  # of trials with replacement, for the interval of a correlation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time (default: one a core)")
    flags = parser.parse_args()
    measured = {"gain": gain, "own": own, "speed": lambda _: speed()}
    for name in SEARCHES:
        measured[name] = functools.partial(correlation, name)
        measured[f"{name}-alone"] = functools.partial(alone, name)
    for part in flags.parts:
        found = measured[part](flags.jobs)
        path = RESULTS / "tuning.json"
        result = json.loads(path.read_text()) if path.exists() else {}
        result |= {"command": "python -m benchmarks.tuning " + " ".join(PARTS), "machine": machine()}
        result[part] = found | {"commit": commit()}
        path.write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "tuning.md").write_text(table(result, SEARCHES))


def searched(flags: list[str], folder: Path, jobs: int) -> Path:
    """Runs a search, or what is left of it; its folder."""
    if not (folder / "report.json").exists():
        resume = ["--resume"] if (folder / "search.json").exists() else []
        command = [sys.executable, "-m", "tuner", *flags, "--workers", str(jobs), "--directory", str(folder), *resume]
        subprocess.run(command, cwd=ROOT, check=True)
    return folder


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


def ranked(trials: list[dict[str, Any]], objectives: Iterable[str]) -> dict[str, Any]:
    """How well objectives rank trials by their test error, and the test error of what each would choose."""
    return {
        "trials": trials,
        "spearman": {name: interval(trials, name) for name in objectives},
        "test_error_of_the_choice": {name: min(trials, key=lambda row: row[name])["test_error"] for name in objectives},
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


def interval(trials: list[dict[str, float]], name: str, error: str = "test_error") -> list[float]:
    """Spearman's rank correlation of an objective with an error, and its 95 % interval by the bootstrap."""
    pairs = np.array([(row[name], row[error]) for row in trials])
    drawn = np.random.default_rng(0).integers(0, len(pairs), [DRAWS, len(pairs)])
    many = [spearmanr(*pairs[rows].T).statistic for rows in drawn]
    return [round(float(x), 2) for x in (spearmanr(*pairs.T).statistic, *np.nanquantile(many, [0.025, 0.975]))]


def gain(jobs: int) -> dict[str, Any]:
    """The digits with 50 labels, by trainings of fewer epochs than the preset's, because there are many of them."""
    flags = ["--dataset", "digits", *SEARCHES["digits"], "--trials", str(TRIALS), "--algorithm"]
    found = gained("gain", {name: [*flags, name] for name in ("random", "bayesian")}, jobs)
    for name, told in found["searches"].items():
        told |= hidden("digits", RUNS / "gain" / name)
    return found


def own(jobs: int) -> dict[str, Any]:
    """The same of the digits as a user's own arrays, where the preset is that of such files."""
    files = {seed: own_file(seed) for seed in (0, *FRESH)}
    return gained("own", {"random": ["--dataset", files[0], "--trials", str(OWN_TRIALS)]}, jobs, files)


def gained(name: str, searches: dict[str, list[str]], jobs: int, files: dict[int, str] | None = None) -> dict[str, Any]:
    """The preset, and what searches choose, also with the preset's epochs, on label seeds that they have not seen."""
    rivals: dict[str, Config] = {}
    told: dict[str, dict[str, Any]] = {}
    for algorithm, flags in searches.items():
        folder = searched(flags, RUNS / name / algorithm, jobs)
        best = read_config(folder / "best_config.json")
        preset = Config.for_dataset(best.dataset)
        rivals |= {"preset": preset, algorithm: best}
        if preset.epochs not in (None, best.epochs):
            rivals[f"{algorithm}, {preset.epochs} epochs"] = dataclasses.replace(best, epochs=preset.epochs)
        command = " ".join(["python -m tuner", *flags, *(["--workers", str(jobs)] if jobs > 1 else [])])
        told[algorithm] = {"search": command}
    return {"searches": told, **compared(name, rivals, jobs, files)}


def hidden(dataset: str, folder: Path) -> dict[str, Any]:
    """How well the bound ranks the trials of a search by their errors on training points, most unseen by it."""
    y, report = load_dataset(dataset).y, json.loads((folder / "report.json").read_text())
    trials = [
        {
            "bound": row["score"],
            "hidden_error": float(100 * np.mean(np.load(folder / "trainings" / row["trial"] / "all" / CLASSES) != y)),
        }
        for row in report["trials"]
    ]
    chosen, preset = report["best"]["trial"], report["preset"]
    return {"trials": trials, "spearman": interval(trials, "bound", "hidden_error"), "chosen": chosen, "preset": preset}


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


def trained(runs: list[tuple[Path, Config]], jobs: int) -> list[dict[str, Any]]:
    """The reports of trainings by `train.py` on a thread each, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda run: report_of(*run), runs))


def report_of(folder: Path, config: Config) -> dict[str, Any]:
    report = folder / "report.json"
    if not report.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.with_suffix(".json")
        path.write_text(config.to_json())
        resume = ["--resume"] if (folder / "checkpoint").exists() else []
        threads = {f"TF_NUM_{kind}OP_THREADS": "1" for kind in ("INTRA", "INTER")}
        command = [sys.executable, "train.py", "--config", str(path), "--run-dir", str(folder), *resume]
        subprocess.run(command, cwd=ROOT, check=True, env=os.environ | threads, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())


if __name__ == "__main__":
    main()
