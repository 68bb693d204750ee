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
from tfadgm.training.trainer import train_on_each

FOLDS = 5
MOST_STEPS = {"mlp": 2000, "conv": 250}  # of a training by trunk, which bounds what folds cost
CERTAIN = 0.05  # a p-value below it tells two methods apart
OURS = "model"


@dataclasses.dataclass(frozen=True)
class Folds:
    """What each method says of each label, having learned without it.

    Args:
        y: the labels, [L].
        fold: which they were left out with, [L].
        probabilities: by method, [L, C] each.
    """

    y: np.ndarray
    fold: np.ndarray
    probabilities: dict[str, np.ndarray]

    @property
    def others(self) -> list[str]:
        """The methods beside the model."""
        return [name for name in self.probabilities if name != OURS]

    def wrong(self, method: str) -> np.ndarray:
        return self.probabilities[method].argmax(1) != self.y


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
    return judged(found, true_shares(confusion_matrix(found.probabilities[OURS], found.y), shares))


def judged(found: Folds, shares: np.ndarray) -> dict[str, Any]:
    """The error of each method, percent, for points whose classes have the `shares` [C], and a comparison in words."""
    weights = weights_of_classes(found.y, shares)
    error, low, high = error_interval(found.wrong(OURS), weights)
    others = {name: round(100 * error_interval(found.wrong(name), weights)[0], 2) for name in found.others}
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
    (shares,) = baselines.answers(name, config, [dataset])
    answers = np.where(y == UNLABELED, shares.argmax(1), y)
    student = config.replace(model="discriminative", **{f"{part}_weight": 0.0 for part in REGULARIZERS})
    (model,) = train_on_each(student, [dataset.replace(y=answers)])
    return model, round(100 * float(np.mean(class_probabilities(model, x).argmax(1) == answers)), 2)


def most_steps(config: Config) -> int:
    return MOST_STEPS.get(config.trunk, MOST_STEPS["mlp"])


def answer_folds(config: Config, dataset: Dataset) -> Folds:
    """Trains every method once a fold. A class with one label keeps it in every training, and is not judged.

    Raises:
        InputError: if no class has two labels.
        TrainingError: if a training diverges.
    """
    labels = dataset.label_indices
    labels = labels[np.bincount(dataset.y[labels])[dataset.y[labels]] > 1]
    if not len(labels):
        raise InputError("Expected two labels of a class, at least, for an estimate of the error. Received one of each")
    y = dataset.y[labels]
    fold = folds_of(y, FOLDS, config.seed)
    parts = [without_labels(dataset, labels[fold == number]) for number in range(fold.max() + 1)]
    most = -(-most_steps(config) // steps_per_epoch(len(dataset.x), config.unlabeled_batch))
    config = config.replace(epochs=min(config.epochs or most, most))
    models = train_on_each(config, parts)
    found: dict[str, Iterator[np.ndarray]] = {OURS: (class_probabilities(model, dataset.x[labels]) for model in models)}
    found |= {name: baselines.answers(name, config, parts, labels) for name in baselines.methods(dataset)}
    return Folds(y, fold, {name: np.stack(list(each))[fold, np.arange(len(y))] for name, each in found.items()})
