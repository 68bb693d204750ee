"""The task of classifiers: errors on test points beside those of simpler methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.evaluation import abstention, baselines, folds
from tfadgm.evaluation.calibration import calibrate, temper
from tfadgm.evaluation.likelihood import prepare_inputs
from tfadgm.evaluation.metrics import balanced_error, by_class, class_probabilities, classification_report
from tfadgm.evaluation.pool import POOL, teach_pool
from tfadgm.evaluation.predictions import familiarity_quantiles, unlabeled_batches, write_predictions
from tfadgm.evaluation.task import History, Task
from tfadgm.models import Classifier, DeepGenerativeClassifier

SCIKIT_POINTS = 20, 20_000  # scikit-learn's baselines need some neighbors, and are slow beyond this many points
PREDICTIONS = "predictions.csv"  # in the folder of a run
ELBO_POINTS = 1000  # training points that a bound is reported of


def mean_elbo(model: Classifier, x: np.ndarray) -> float | None:
    """-U(x), the larger the better: its mean over ELBO_POINTS of the training points x [N, *features]; nats.

    None of a method that has no such bound.
    """
    if not isinstance(model, DeepGenerativeClassifier):
        return None
    rows = np.random.default_rng(0).permutation(len(x))[:ELBO_POINTS]
    return float(model.log_likelihood_bound(prepare_inputs(model, x[rows])).mean())


def announce(config: Config, dataset: Dataset) -> str:
    told = (
        f"{len(dataset.label_indices)} labels of {len(dataset.x)} training points, {dataset.classes} classes. "
        f"{len(dataset.y_test)} test labels: for the report only, never for a choice."
    )
    return "\n".join([*dataset.notes, told, *([folds.announce()] if config.estimate else [])])


def metrics(model: Classifier, dataset: Dataset) -> dict[str, float | None]:
    return classification_report(class_probabilities(model, dataset.x_test), dataset.y_test)


def finish(config: Config, dataset: Dataset, model: Classifier) -> tuple[Classifier, dict[str, Any]]:
    """The model, which may have learned from a method that is better by the estimate, or from a pool of all."""
    told = folds.estimate(config, dataset, model) if config.estimate else {}
    used = accepted = None
    if weights := told.get("weights"):
        method = POOL if config.use == POOL else told["best"]
        used = {"method": method, "agreement": teach_pool(weights, config, dataset, model)}
    temperature = told.get("temperature") or calibrate(model)["temperature"]
    if told:
        accepted = abstention.accepted(config, told, unlabeled_probabilities(model, dataset, temperature))
    return model, {"estimate": told or None, "used": used, "temperature": temperature, "accepted": accepted}


def unlabeled_probabilities(model: Classifier, dataset: Dataset, temperature: float) -> np.ndarray:
    """Of the answers to the training points that have no label, [U]; to all where each has one."""
    unlabeled = dataset.y == UNLABELED
    x = dataset.x[unlabeled] if unlabeled.any() else dataset.x
    return temper(class_probabilities(model, x), temperature).max(1)


def report(config: Config, dataset: Dataset, model: Classifier) -> dict[str, Any]:
    """Errors in percent, None where there are no test labels; the bound in nats a training point."""
    probabilities = class_probabilities(model, dataset.x_test)
    scores = classification_report(probabilities, dataset.y_test)
    scored = len(dataset.y_test) > 0
    small = scored and SCIKIT_POINTS[0] <= len(dataset.x) <= SCIKIT_POINTS[1]
    elbo = mean_elbo(model, dataset.x)
    return {
        "classes": list(dataset.class_names),
        "test_error": scores["error"],
        "test_nll": scores["nll"],
        "test_ece": scores["ece"],
        "test_balanced_error": balanced_error(probabilities, dataset.y_test),
        "test_by_class": by_class(probabilities, dataset.y_test) if scored else None,
        "elbo": elbo,
        "bound": None if elbo is None else -elbo,  # of version 0.1: U(x); goes with 0.3
        "supervised_error": baselines.supervised_error(config, dataset) if scored else None,
        "label_spreading_error": baselines.error("LabelSpreading", config, dataset) if small else None,
        "self_training_error": baselines.error("self-training", config, dataset) if small else None,
        "familiarity_quantiles": familiarity_quantiles(model, dataset.x),
        "test_labels_used_for_choices": 0,
        "label_indices": dataset.label_indices.tolist(),
    }


def label(folder: Path, model: Classifier, dataset: Dataset, report: dict[str, Any]) -> None:
    write_predictions(folder / PREDICTIONS, model, unlabeled_batches(dataset), report)


def table(report: dict[str, Any]) -> str:
    used = report.get("used")
    name = report["model"].upper() + (f" taught by {used['method']}" if used else "")
    rows = [
        (f"{name}, {report['labels']} labels of {report['training_points']} points", "test_error"),
        ("the same classifier on the labels alone", "supervised_error"),
        ("scikit-learn LabelSpreading", "label_spreading_error"),
        ("scikit-learn SelfTraining", "self_training_error"),
    ]
    if unequal(report):
        rows.insert(1, ("mean over the classes, which are of unequal size", "test_balanced_error"))
    lines = [f"{'test error':>66}"]
    for name, key in rows:
        value = report[key]
        lines.append(f"{name:<56}" + (f"{value:>8.2f} %" if value is not None else f"{'-':>8}"))
    if report["test_error"] is None:
        lines = [f"{rows[0][0]}. No test labels."]
    if told := report.get("estimate"):
        lines.append(folds.in_words(told))
        if used and used["method"] != POOL:
            lines.append(
                f"Kept: {used['method']}, about {told['others'][used['method']]:.0f} %; "
                f"the model has learned {used['agreement']:.0f} % of its answers."
            )
        if accepted := report.get("accepted"):
            lines.append(abstention.in_words(accepted))
    return "\n".join(lines)


def unequal(report: dict[str, Any]) -> bool:
    """Whether the test points of a report are more than twice as many of one class as of another."""
    points = [told["points"] for told in report.get("test_by_class") or () if told["points"]]
    return bool(points) and max(points) > 2 * min(points)


def draw(folder: Path, model: Any, dataset: Dataset, history: History, report: dict[str, Any]) -> None:
    from tfadgm.evaluation import plots

    plots.draw_classifier(folder, model, dataset, history)
    if answers := (report["estimate"] or {}).get("answers"):
        plots.draw_acceptance(folder, abstention.curve_of(answers), report["accepted"])


TASK = Task(announce, finish, metrics, report, label, table, draw)
