"""The error that a user may expect, from the labels alone: over folds of them, each judged by a training without it.

Simpler classifiers answer the same folds, so that a user learns whether the generative model is worth its time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import folds_of, without_labels
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError, TrainingError, line
from tfadgm.evaluation import baselines
from tfadgm.evaluation.intervals import LEVEL, difference, error_interval, true_shares, weights_of_classes
from tfadgm.evaluation.metrics import class_probabilities, confusion_matrix
from tfadgm.inference.regularizers import REGULARIZERS
from tfadgm.models import Classifier
from tfadgm.resolve import fitted_scaling
from tfadgm.training.trainer import train_on_each

FOLDS = 5
MOST_STEPS = {"mlp": 2000, "conv": 250}  # of a training by trunk, which bounds what folds cost
MOST_POINTS = 20_000  # of training, beyond which scikit-learn's classifiers take too long
CERTAIN = 0.05  # a p-value below it tells two methods apart
OURS = "model"


@dataclasses.dataclass(frozen=True)
class Folds:
    """What each method says of each label, having learned without it.

    Args:
        y: the labels, [L].
        probabilities: of the model, [L, C].
        classes: by method, [L] each.
    """

    y: np.ndarray
    probabilities: np.ndarray
    classes: dict[str, np.ndarray]

    def wrong(self, method: str) -> np.ndarray:
        return self.classes[method] != self.y


def announce() -> str:
    return (
        f"In the end {FOLDS} more trainings estimate the error by folds of the labels; --no-estimate leaves them out."
    )


def estimate(config: Config, dataset: Dataset, model: Classifier) -> dict[str, Any]:
    """What `report.json` has as `estimate`: the error by folds, percent, and how simpler classifiers compare.

    Args:
        config: resolved.
        dataset: whose y holds the labels that training sees.
        model: trained on all of them; the shares of the classes that it finds, and how the folds confuse them, tell how
            much a label weighs.
    """
    try:
        found = answer_folds(config, dataset)
    except (InputError, TrainingError) as error:
        return {"left_out": line(error)}
    shares = np.bincount(class_probabilities(model, dataset.x).argmax(1), minlength=dataset.classes) / len(dataset.x)
    return judged(found, true_shares(confusion_matrix(found.probabilities, found.y), shares))


def judged(found: Folds, shares: np.ndarray) -> dict[str, Any]:
    """The error of each method, percent, for points whose classes have the `shares` [C], and a comparison in words."""
    weights = weights_of_classes(found.y, shares)
    error, low, high = error_interval(found.wrong(OURS), weights)
    others = {
        name: round(100 * error_interval(found.wrong(name), weights)[0], 2) for name in found.classes if name != OURS
    }
    told: dict[str, Any] = {
        "error": round(100 * error, 2), "low": round(100 * low, 2), "high": round(100 * high, 2), "level": LEVEL,
        "labels": len(found.y), "others": others,
    }  # fmt: skip
    if others:
        best = min(others, key=lambda name: others[name])
        told |= {"best": best, "p_value": round(_p_value(found, best, others[best] < told["error"], len(others)), 4)}
    return told


def _p_value(found: Folds, best: str, is_better: bool, methods: int) -> float:
    """That the best of so many other methods is wrong as often as the model: it `is_better` by the weighted errors.

    The best of many is the better for having been chosen (Bonferroni).
    """
    ours, other = found.wrong(OURS), found.wrong(best)
    if is_better != (other.sum() < ours.sum()):  # labels and points tell different things
        return 1.0
    return min(1.0, difference(ours, other) * (methods if is_better else 1))


def in_words(told: dict[str, Any]) -> str:
    """Two lines for a user."""
    if "left_out" in told:
        return f"No estimate of the error. {told['left_out']}"
    low, high = told["low"], told["high"]
    text = (
        f"{OURS.capitalize()}: error about {told['error']:.0f} %, "
        f"{told['level']:.0%} interval {low:.0f} to {high:.0f} %, from {told['labels']} labels."
    )
    if "best" not in told:
        return text
    best, error = told["best"], told["others"][told["best"]]
    if told["p_value"] >= CERTAIN:
        return f"{text}\nNo difference that so few labels show: {best} errs on about {error:.0f} % of the same folds."
    if error < told["error"]:
        return f"{text}\n{best} is better on your data, with about {error:.0f} %: use it, or add --use best."
    return f"{text}\nWorth it: the best of the simpler methods, {best}, errs on about {error:.0f} %."


def better(told: dict[str, Any]) -> str | None:
    """The method that errs less than the model by an estimate, if one does."""
    return told["best"] if "best" in told and told["others"][told["best"]] < told["error"] else None


def taught(name: str, config: Config, dataset: Dataset) -> tuple[Any, float]:
    """A network that has learned the answers of a method to every training point; the percent that it repeats."""
    x, y = dataset.x, dataset.y
    if name == baselines.SUPERVISED:
        (teacher,) = baselines.supervised(config, [dataset])
        answers = class_probabilities(teacher, x).argmax(1)
    else:
        scaled = fitted_scaling(dataset, config.likelihood)(x).numpy()
        answers = baselines.answers(name, scaled, y, scaled)
    answers = np.where(y == UNLABELED, answers, y)
    student = config.replace(model="discriminative", **{f"{part}_weight": 0.0 for part in REGULARIZERS})
    (model,) = train_on_each(student, [dataset.replace(y=answers)])
    return model, round(100 * float(np.mean(class_probabilities(model, x).argmax(1) == answers)), 2)


def most_steps(config: Config) -> int:
    return MOST_STEPS.get(config.trunk, MOST_STEPS["mlp"])


def answer_folds(config: Config, dataset: Dataset) -> Folds:
    """Trains every method once a fold.

    Raises:
        InputError: if a class has one label only.
        TrainingError: if a training diverges.
    """
    labels = dataset.label_indices
    y = dataset.y[labels]
    fold = folds_of(y, FOLDS, config.seed)
    held_out = [np.flatnonzero(fold == number) for number in range(fold.max() + 1)]
    parts = [without_labels(dataset, labels[rows]) for rows in held_out]
    most = -(-most_steps(config) // steps_per_epoch(len(dataset.x), config.unlabeled_batch))
    config = config.replace(epochs=min(config.epochs or most, most))
    probabilities = np.zeros([len(y), dataset.classes])
    networks = np.zeros(len(y), np.int64)
    for rows, model in zip(held_out, train_on_each(config, parts), strict=True):
        probabilities[rows] = class_probabilities(model, dataset.x[labels])[rows]
    for rows, model in zip(held_out, baselines.supervised(config, parts), strict=True):
        networks[rows] = class_probabilities(model, dataset.x[labels])[rows].argmax(1)
    classes = {OURS: probabilities.argmax(1), baselines.SUPERVISED: networks}
    if len(dataset.x) <= MOST_POINTS:
        classes |= _by_scikit_learn(config, dataset, list(zip(held_out, parts, strict=True)))
    return Folds(y, probabilities, classes)


def _by_scikit_learn(
    config: Config, dataset: Dataset, folds: list[tuple[np.ndarray, Dataset]]
) -> Iterator[tuple[str, np.ndarray]]:
    x, labels = fitted_scaling(dataset, config.likelihood)(dataset.x).numpy(), dataset.label_indices
    for name in baselines.BASELINES:
        classes = np.zeros(len(labels), np.int64)
        for rows, part in folds:
            classes[rows] = baselines.answers(name, x, part.y, x[labels[rows]])
        yield name, classes
