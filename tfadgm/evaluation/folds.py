"""The error that a user may expect, from the labels alone: over folds of them, each judged by a training without it.

Simpler classifiers answer the same folds, so that a user learns whether the generative model is worth its time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.labels import FOLDS, folds_of, without_labels
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError, TrainingError, line
from tfadgm.evaluation import baselines
from tfadgm.evaluation.calibration import best_temperature, temper
from tfadgm.evaluation.intervals import LEVEL, difference, error_interval, true_shares, weights_of_classes
from tfadgm.evaluation.metrics import class_probabilities, confusion_matrix
from tfadgm.evaluation.pool import OURS, POOL, cross_fitted, pool_weights
from tfadgm.models import Classifier
from tfadgm.training.trainer import fitting_batch, train_on_each

MOST_STEPS = {"mlp": 2000, "conv": 250}  # of a training by trunk, which bounds what folds cost
NAMES = {OURS: "Model", POOL: "Model with what simpler methods say"}
CERTAIN = 0.05  # a p-value below it tells two methods apart
# What an error with the labels of all folds but one becomes with all: it falls about with the root of their number.
LEARNED = (1 - 1 / FOLDS) ** 0.5


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

    def of(self, method: str) -> np.ndarray:
        """What a method or the pool says, [L, C]."""
        if method == POOL:
            return cross_fitted(self.probabilities, self.y, self.fold)
        return self.probabilities[method]

    def wrong(self, method: str) -> np.ndarray:
        """Which labels it misses, [L] bool."""
        return self.of(method).argmax(1) != self.y


def announce() -> str:
    return (
        f"In the end {FOLDS} more trainings estimate the error by folds of the labels; --no-estimate leaves them out."
    )


def estimate(config: Config, dataset: Dataset, model: Classifier) -> dict[str, Any]:
    """What `report.json` has as `estimate`: the error by folds, percent, and how simpler classifiers compare.

    It is that of the model, or of the pool of all methods where this is used, whose weights are then told too; beside
    it the temperature of the model's probabilities, and what the method that is kept answers to each label.

    Args:
        config: resolved.
        dataset: whose y holds the labels that training sees.
        model: trained on all of them; the shares of the classes that it finds, and how the folds confuse them, tell how
            much a label weighs.
    """
    try:
        found = answer_folds(config, dataset, model)
    except (InputError, TrainingError) as error:
        return {"left_out": line(error)}
    shares = np.bincount(class_probabilities(model, dataset.x).argmax(1), minlength=dataset.classes) / len(dataset.x)
    shares = true_shares(confusion_matrix(found.probabilities[OURS], found.y), shares)
    kept = POOL if config.use == POOL else OURS
    told = judged(found, shares, kept)
    if config.use == POOL:
        told["weights"] = pool_weights(found.probabilities, found.y)
    elif config.use == "best" and (name := better(told)):
        kept, told["weights"] = name, {name: 1.0}
    told["temperature"] = best_temperature(found.probabilities[OURS], found.y) if kept == OURS else 1.0
    told["answers"] = {
        "probability": temper(found.of(kept), told["temperature"]).max(1).tolist(),
        "wrong": found.wrong(kept).tolist(),
        "weight": weights_of_classes(found.y, shares).tolist(),
    }
    return told


def judged(found: Folds, shares: np.ndarray, kept: str = OURS) -> dict[str, Any]:
    """The errors of the method that is `kept` and of simpler ones, percent, for points with such `shares` [C].

    They are those of a training with all labels, see LEARNED; the upper end of the interval alone stays as it is.
    """
    weights = weights_of_classes(found.y, shares)
    error, low, high = error_interval(found.wrong(kept), weights)
    errors = {name: LEARNED * error_interval(found.wrong(name), weights)[0] for name in found.others}
    others = {name: round(100 * error, 2) for name, error in errors.items()}
    told: dict[str, Any] = {
        "of": kept,
        "error": round(100 * LEARNED * error, 2), "low": round(100 * LEARNED * low, 2), "high": round(100 * high, 2),
        "level": LEVEL,
        "labels": len(found.y), "others": others,
    }  # fmt: skip
    if others:
        best = min(others, key=lambda name: others[name])
        p_value = _p_value(found.wrong(kept), found.wrong(best), others[best] < told["error"], len(others))
        told |= {"best": best, "p_value": round(p_value, 4)}
    return told


def _p_value(ours: np.ndarray, other: np.ndarray, is_better: bool, methods: int) -> float:
    """That the best of so many other methods is wrong as often as ours, [L] each: it `is_better` by weighted errors.

    The best of many is the better for having been chosen (Bonferroni).
    """
    if is_better != (other.sum() < ours.sum()):  # labels and points tell different things
        return 1.0
    return min(1.0, difference(ours, other) * (methods if is_better else 1))


def in_words(told: dict[str, Any]) -> str:
    """Two lines for a user."""
    if "left_out" in told:
        return f"No estimate of the error. {told['left_out']}"
    low, high = told["low"], told["high"]
    text = (
        f"{NAMES[told.get('of', OURS)]}: error about {told['error']:.0f} %, "
        f"{told['level']:.0%} interval {low:.0f} to {high:.0f} %, from {told['labels']} labels."
    )
    if "best" not in told:
        return text
    best, error = told["best"], told["others"][told["best"]]
    if told["p_value"] >= CERTAIN:
        return f"{text}\nNo difference that so few labels show: {best} errs on about {error:.0f} %."
    if error < told["error"]:
        return f"{text}\n{best} is better on your data, with about {error:.0f} %: use it, or add --use best."
    return f"{text}\nWorth it: the best of the simpler methods, {best}, errs on about {error:.0f} %."


def better(told: dict[str, Any]) -> str | None:
    """The method that errs less than the model by an estimate, if one does."""
    return told["best"] if "best" in told and told["others"][told["best"]] < told["error"] else None


def most_steps(config: Config) -> int:
    return MOST_STEPS.get(config.trunk, MOST_STEPS["mlp"])


def answer_folds(config: Config, dataset: Dataset, model: Classifier | None = None) -> Folds:
    """Trains every method once a fold. A class with one label keeps it in every training, and is not judged.

    The compiled step of `model`, one that `config` has trained, serves where the folds take no fewer steps.

    Raises:
        InputError: if no class has two labels.
        TrainingError: if a training diverges.
    """
    labels = _judged(dataset)
    y = dataset.y[labels]
    fold = folds_of(y, FOLDS, config.seed)
    most = -(-most_steps(config) // steps_per_epoch(len(dataset.x), config.unlabeled_batch))
    epochs = min(config.epochs or most, most)
    serves = model if epochs == config.epochs else None
    config = fitting_batch(config, dataset).replace(epochs=epochs)
    models = train_on_each(config, _parts(dataset, labels, fold), serves)
    found: dict[str, Iterator[np.ndarray]] = {OURS: (class_probabilities(model, dataset.x[labels]) for model in models)}
    some = baselines.some_points(dataset)
    rows = _judged(some)
    for name in baselines.methods(some):
        found[name] = baselines.answers(name, config, _parts(some, rows, fold), rows)
    return Folds(y, fold, {name: np.stack(list(each))[fold, np.arange(len(y))] for name, each in found.items()})


def _judged(dataset: Dataset) -> np.ndarray:
    """The rows with a label of a class that has another."""
    labels = dataset.label_indices
    labels = labels[np.bincount(dataset.y[labels])[dataset.y[labels]] > 1]
    if not len(labels):
        raise InputError("Expected two labels of a class, at least, for an estimate of the error. Received one of each")
    return labels


def _parts(dataset: Dataset, labels: np.ndarray, fold: np.ndarray) -> list[Dataset]:
    return [without_labels(dataset, labels[fold == number]) for number in range(fold.max() + 1)]
