"""A run from flags to report: config -> data -> labels -> training -> run folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm import figures, rivals
from tfadgm.checkpoint import CONSTANT, Progress, writing
from tfadgm.config import DENSITY, Config
from tfadgm.data.sources import Dataset, load_dataset
from tfadgm.data.split import choose_labels
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError
from tfadgm.evaluation import class_probabilities, classification_report, unlabeled_bound
from tfadgm.likelihood import drawn, log_likelihood, preparation, refit_statistics, summary
from tfadgm.models import DensityModel, Model, SemiSupervisedModel
from tfadgm.training import train, write_history, write_text

CONFIG = "config.json"
RIVALS_POINTS = 20, 20_000  # scikit-learn's rivals need some neighbours, and are slow beyond this many points
REPORT_SAMPLES = 100  # importance samples of the report; tfadgm.evaluation takes as many as one likes
LEAST_STEPS = 2000  # of a run whose epochs are not given; results/lengths.md tells what more of them bring


def run(config: Config, run_dir: Path, resume: bool = False) -> dict[str, Any]:
    """Trains `config` into `run_dir` and returns the report that it also writes there.

    Raises:
        InputError: if flags, data or the folder cannot be used; a new folder is then not left behind.
        TrainingError: if training fails; the folder keeps its last good checkpoint.
    """
    with writing(run_dir):
        present = [path.name for path in run_dir.iterdir()] if run_dir.exists() else []
    if not resume and any(not name.endswith(".partial") for name in present):
        raise InputError(
            f"Expected a new run folder. Received the existing {run_dir}: continue it with --resume, "
            "or name another with --run-dir"
        )
    dataset = load_dataset(config.dataset, config.data_dir, config.seed)
    label_indices = np.zeros(0, np.int64)
    if config.model not in DENSITY:
        label_indices = choose_labels(dataset.y, dataset.class_names, config.labels, config.seed)
    check_likelihood(config, dataset)
    config = with_epochs(config, len(dataset.x))
    print(_told(config, dataset, len(label_indices)), flush=True)
    existed = run_dir.exists()
    try:
        with writing(run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
        write_text(run_dir / CONFIG, config.to_json())
        model, progress = train(config, dataset, label_indices, run_dir, resume)
    except InputError:
        if not existed and not any((run_dir / "checkpoint").glob("[0-9]*")):
            shutil.rmtree(run_dir, ignore_errors=True)
        raise
    if isinstance(model, DensityModel):
        refit_statistics(model, dataset.x)
    with writing(run_dir):
        model.save(run_dir / "partial.keras")
        (run_dir / "partial.keras").replace(run_dir / "model.keras")
    report = make_report(config, dataset, label_indices, model, progress)
    with writing(run_dir):
        figures.draw_all(run_dir / "figures", model, dataset, label_indices, progress.history)
    write_history(run_dir / "metrics.csv", progress.history)
    write_text(run_dir / "report.json", json.dumps(report, indent=2) + "\n")
    return report


def with_epochs(config: Config, points: int) -> Config:
    """`config` with epochs, unless it gives them: 25, or as many as make LEAST_STEPS steps on so few `points`."""
    if config.epochs is not None:
        return config
    steps = steps_per_epoch(points, config.unlabeled_batch)
    return dataclasses.replace(config, epochs=max(25, -(-LEAST_STEPS // steps)))


def read_config(path: Path) -> Config:
    """The configuration in the file `path`. Raises InputError if it is none."""
    try:
        return Config.from_json(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected {path} to hold the configuration of a run. Received: {error}") from None


def resumed_config(run_dir: Path, flags: dict[str, Any]) -> Config:
    """The configuration of the run in `run_dir`; `flags` may repeat it or raise its epochs.

    A run whose step size falls goes on from the end of its constant step size, if it has come there.

    Raises:
        InputError: if there is no run, or a flag contradicts it.
    """
    path = run_dir / CONFIG
    if not path.exists():
        raise InputError(f"Expected a run to resume in {run_dir}. Received a folder without {CONFIG}")
    saved = read_config(path)
    wanted = dataclasses.replace(saved, **flags)
    constant = not saved.decay or (run_dir / "checkpoint" / CONSTANT).exists()
    longer = ", or more epochs," if constant else ""
    for name in flags:
        kept, value = getattr(saved, name), getattr(wanted, name)
        lengthened = longer and name == "epochs" and value > kept
        if name not in ("dataset", "data_dir") and value != kept and not lengthened:
            raise InputError(f"Expected {name}={kept} as in {path}{longer} to resume. Received: {name}={value}")
    return wanted


def make_report(
    config: Config, dataset: Dataset, label_indices: np.ndarray, model: Model, progress: Progress
) -> dict[str, Any]:
    """What `report.json` holds: the run, then what it learned."""
    steps = progress.epoch * steps_per_epoch(len(dataset.x), config.unlabeled_batch)
    batch = min(config.labeled_batch, len(label_indices)) + min(config.unlabeled_batch, len(dataset.x))
    report = {
        "model": config.model,
        "dataset": config.dataset,
        "labels": len(label_indices),
        "seed": config.seed,
        "training_points": len(dataset.x),
        "likelihood": model.likelihood,
        "epochs": progress.epoch,
        "steps": steps,
        "seconds": round(progress.seconds, 2),
        "examples_per_second": round(steps * batch / max(progress.seconds, 1e-9), 1),
    }
    if isinstance(model, DensityModel):
        return report | _density_report(dataset, model)
    return report | _classifier_report(config, dataset, label_indices, model)


def _density_report(dataset: Dataset, model: DensityModel) -> dict[str, Any]:
    """Nats of the scaled features; None where there are no test points."""
    told: dict[str, Any] = {
        "test_bound": None,
        "test_log_likelihood": None,
        "test_log_likelihood_standard_error": None,
        "test_effective_samples": None,
        "importance_samples": REPORT_SAMPLES,
        **preparation(model),
    }
    if len(dataset.x_test):
        x = drawn(model, dataset.x_test)
        found = summary(log_likelihood(model, x, REPORT_SAMPLES))
        bound = model.log_likelihood_bound(x, importance_samples=model.importance_samples)
        told["test_bound"] = float(bound.mean())
        told["test_log_likelihood"] = found["log_likelihood"]
        told["test_log_likelihood_standard_error"] = found["standard_error"]
        told["test_effective_samples"] = found["median_effective_samples"]
    return told


def _classifier_report(
    config: Config, dataset: Dataset, label_indices: np.ndarray, model: SemiSupervisedModel
) -> dict[str, Any]:
    """Errors in percent, None where there are no test labels; the bound as the tuner's, nats a training point."""
    scores = classification_report(class_probabilities(model, dataset.x_test), dataset.y_test)
    scored = len(dataset.y_test) > 0
    small = scored and RIVALS_POINTS[0] <= len(dataset.x) <= RIVALS_POINTS[1]
    return {
        "classes": list(dataset.class_names),
        "test_error": scores["error"],
        "test_nll": scores["nll"],
        "test_ece": scores["ece"],
        "bound": unlabeled_bound(model, dataset.x),
        "supervised_error": rivals.supervised_error(config, dataset, label_indices) if scored else None,
        "label_spreading_error": rivals.label_spreading_error(dataset, label_indices) if small else None,
        "self_training_error": rivals.self_training_error(dataset, label_indices) if small else None,
        "test_labels_used_for_choices": 0,
        "label_indices": label_indices.tolist(),
    }


def format_report(report: dict[str, Any]) -> str:
    """The table that a run prints."""
    if report["model"] in DENSITY:
        return _format_density(report)
    rows = [
        (f"{report['model'].upper()}, {report['labels']} labels of {report['training_points']} points", "test_error"),
        ("the same classifier on the labels alone", "supervised_error"),
        ("scikit-learn LabelSpreading", "label_spreading_error"),
        ("scikit-learn SelfTraining", "self_training_error"),
    ]
    lines = [f"{'test error':>66}"]
    for name, key in rows:
        value = report[key]
        lines.append(f"{name:<56}" + (f"{value:>8.2f} %" if value is not None else f"{'-':>8}"))
    return "\n".join(lines)


def _format_density(report: dict[str, Any]) -> str:
    if report["test_bound"] is None:
        return "No test points to report on."
    error = report["test_log_likelihood_standard_error"]
    return (
        f"{report['model'].upper()}, nats a test point{', of scaled features' * (report['likelihood'] == 'gaussian')}\n"
        f"{'lower bound':<40}{report['test_bound']:>10.2f}\n"
        f"{'log p(x), ' + str(report['importance_samples']) + ' importance samples':<40}"
        f"{report['test_log_likelihood']:>10.2f} ± {error:.2f}"
    )


def _told(config: Config, dataset: Dataset, labels: int) -> str:
    """The first line of a run."""
    if config.model in DENSITY:
        return f"{len(dataset.x)} training points. {len(dataset.x_test)} test points: for the report only."
    return (
        f"{labels} labels of {len(dataset.x)} training points, {dataset.classes} classes. "
        f"{len(dataset.y_test)} test labels: for the report only, never for a choice."
    )


def check_likelihood(config: Config, dataset: Dataset) -> None:
    """Raises InputError unless the likelihood and its noise suit the data."""
    if config.dequantize:
        if (config.likelihood if config.likelihood != "auto" else dataset.likelihood) != "gaussian":
            raise InputError(
                "Expected the gaussian likelihood with --dequantize. Received bernoulli: name --likelihood"
            )
        if any((part[:1000] != np.rint(part[:1000])).any() for part in (dataset.x, dataset.x_test)):
            raise InputError("Expected integers with --dequantize. Received fractions: leave it out")
    if config.likelihood == "bernoulli" and dataset.x.min() < 0:
        raise InputError(
            "Expected features of 0 or more for the bernoulli likelihood. "
            f"Received the minimum {dataset.x.min()}: choose --likelihood gaussian"
        )
