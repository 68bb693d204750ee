"""How good a configuration is, judged by no label but the user's own.

    disagreement  percent of the points on which two trainings differ, plus percent of the labels that they get wrong
    bound         -U(x) per unlabeled example, turned into a loss: the labels only train
    cv_error      percent of the labels that a model trained without them gets wrong, over folds of the labels
    combined      the paper's objective on labels that training has not seen: bound + alpha * negative log-likelihood
    val_error     percent of a validation set of the user's own

Every one is the smaller the better.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from tfadgm.checkpoint import writing
from tfadgm.config import Config
from tfadgm.data.sources import UNKNOWN, Dataset
from tfadgm.errors import InputError, TrainingError
from tfadgm.evaluation import class_probabilities, classification_report, unlabeled_bound
from tfadgm.training import ALPHA_SCALE, train
from tuner.space import configured

OBJECTIVES = "disagreement", "bound", "cv_error", "combined", "val_error"
BY_FOLDS = "cv_error", "combined"
FOLDS = 5
CLASSES = "classes.npy"  # of all points, in the folder of a training


class Part(NamedTuple):
    """A training: its name, the labels that train, those that judge, its seed."""

    name: str
    train_on: np.ndarray
    held_out: np.ndarray
    seed: int


@dataclasses.dataclass(frozen=True)
class Judge:
    """Trains a configuration as often as its objective asks, and scores it.

    base: the configuration that trials change.
    dataset: the training points, with test points dropped.
    labels: indices of the labeled points.
    objective: one of OBJECTIVES.
    folds: parts of the labels in cross-validation.
    validation: points and classes of the user's validation set, for `val_error`.
    """

    base: Config
    dataset: Dataset
    labels: np.ndarray
    objective: str
    folds: int = FOLDS
    validation: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def labels_seen(self) -> int:
        """How many labels the search sees in all."""
        return len(self.labels) + (len(self.validation[1]) if self.validation else 0)

    def __call__(
        self, values: dict[str, Any], folder: Path, seed: int = 0, epochs: int | None = None
    ) -> dict[str, float]:
        """All scores of a trial whose trainings are checkpointed in `folder`; `seed` changes folds, weights and noise.

        Raises:
            TrainingError: if a training diverges, or a score is not finite.
        """
        parts = list(self._parts(seed))
        scores = [self._train(values, part, folder / part.name, epochs) for part in parts]
        means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
        if self.objective == "disagreement":
            trainings = [np.load(folder / part.name / CLASSES) for part in parts]
            means["disagreement"] = disagreement(trainings, self.dataset.y)
        if not np.isfinite(list(means.values())).all():
            raise TrainingError(f"Expected finite scores. Received: {means}")
        return means

    def _parts(self, seed: int) -> Iterator[Part]:
        own, every, none = self.base.seed + seed, self.labels, self.labels[:0]
        if self.objective in BY_FOLDS:
            fold = folds_of(self.dataset.y[every], self.folds, own)
            for number in range(fold.max() + 1):
                yield Part(f"fold{number}", every[fold != number], every[fold == number], own)
        elif self.objective == "disagreement":
            for number in range(2):
                yield Part(f"seed{number}", every, none, self.base.seed + 2 * seed + number)
        else:
            yield Part("all", every, none, own)

    def _train(self, values: dict[str, Any], part: Part, folder: Path, epochs: int | None) -> dict[str, float]:
        points, held_out = len(self.dataset.x), part.held_out
        config = configured(self.base, values, points, len(part.train_on))
        config = dataclasses.replace(config, seed=part.seed, epochs=epochs or config.epochs)
        keras.backend.clear_session()
        folder.mkdir(parents=True, exist_ok=True)
        model, _ = train(config, self.dataset, part.train_on, folder, resume=True, verbose=0)
        scores: dict[str, Any] = {"bound": unlabeled_bound(model, self.dataset.x)}
        with writing(folder):
            np.save(folder / CLASSES, class_probabilities(model, self.dataset.x).argmax(1))
        if len(held_out):
            found = classification_report(
                class_probabilities(model, self.dataset.x[held_out]), self.dataset.y[held_out]
            )
            scores |= {"cv_error": found["error"], "cv_nll": found["nll"]}
            scores["combined"] = scores["bound"] + ALPHA_SCALE * points / len(self.labels) * scores["cv_nll"]
        if self.validation:
            x, y = self.validation
            scores["val_error"] = classification_report(class_probabilities(model, x), y)["error"]
        return scores


def folds_of(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each of the labels y [L], evenly over classes; fewer folds where a class has fewer labels.

    Raises:
        InputError: if a class has one label only, so that no part can do without it.
    """
    generator = np.random.default_rng(seed)
    fewest = int(np.bincount(np.unique(y, return_inverse=True)[1]).min())
    if fewest < 2:
        raise InputError(
            "Expected at least two labels of every class for cross-validation. Received a class with one: "
            "choose --objective bound, or give a validation set"
        )
    folds, fold = min(folds, fewest), np.empty(len(y), np.int64)
    start = 0
    for c in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == c))
        fold[members] = (start + np.arange(len(members))) % folds
        start += len(members)  # so that folds are even over all classes too
    return fold


def disagreement(trainings: Sequence[np.ndarray], y: np.ndarray) -> float:
    """Percent of the points on which two trainings differ, plus percent of the labels from which one does.

    A class that changes with the seed is not known well (Jiang et al. 2022). Where all points fall into one class,
    trainings agree, but miss labels.

    Args:
        trainings: at least two; the class of every point by each, [N].
        y: [N], UNKNOWN where there is no label.
    """
    known = y != UNKNOWN
    apart = [np.mean(one != other) for one, other in itertools.combinations(trainings, 2)]
    wrong = [np.mean(classes[known] != y[known]) for classes in trainings]
    return float(100 * (np.mean(apart) + np.mean(wrong)))


def without_tests(dataset: Dataset) -> Dataset:
    """The training points alone."""
    return dataclasses.replace(dataset, x_test=dataset.x_test[:0], y_test=dataset.y_test[:0])


def with_labels_only(dataset: Dataset, labels: np.ndarray) -> Dataset:
    """The data that a search may see: no test point, and no label but those of `labels`."""
    y = np.full_like(dataset.y, UNKNOWN)
    y[labels] = dataset.y[labels]
    return dataclasses.replace(without_tests(dataset), y=y)


def clean(folder: Path) -> None:
    """Removes the checkpoints of a trial that is done."""
    for part in folder.glob("*/checkpoint"):
        shutil.rmtree(part, ignore_errors=True)
