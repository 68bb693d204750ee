"""How good a configuration is, judged by no label but the user's own.

    disagreement  percent of the points on which two trainings differ, plus percent of the labels that they get wrong
    bound         U(x), nats an unlabeled example: -`mean_elbo`, as a search minimises; the labels only train
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

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import folds_of, without_labels
from tfadgm.errors import TrainingError
from tfadgm.evaluation.classification import class_probabilities, mean_elbo
from tfadgm.evaluation.metrics import classification_report
from tfadgm.files import writing
from tfadgm.resolve import default_alpha, resolve
from tfadgm.training.trainer import train
from tuner.space import configured

OBJECTIVES = "disagreement", "bound", "cv_error", "combined", "val_error"
BY_FOLDS, BY_ELBO = ("cv_error", "combined"), ("bound", "combined")
FOLDS = 5
CLASSES = "classes.npy"  # of all points, in the folder of a training


class Fold(NamedTuple):
    """A training: its name, the rows of the labels that it does without and that judge it, its seed."""

    name: str
    held_out: np.ndarray
    seed: int


@dataclasses.dataclass(frozen=True)
class TrialScorer:
    """Trains a configuration as often as its objective asks, and scores it.

    Args:
        base: the configuration that trials change.
        dataset: the training points and the labels that the search sees, without test points.
        objective: one of OBJECTIVES.
        folds: parts of the labels in cross-validation.
        validation: points and classes of the user's validation set, for `val_error`.
    """

    base: Config
    dataset: Dataset
    objective: str
    folds: int = FOLDS
    validation: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def labels_seen(self) -> int:
        """How many labels the search sees in all."""
        return len(self.dataset.label_indices) + (len(self.validation[1]) if self.validation else 0)

    def config(self, values: dict[str, Any], held_out: int = 0) -> Config:
        """That of a trial which trains on all labels but `held_out`."""
        return configured(self.base, values, len(self.dataset.x), len(self.dataset.label_indices) - held_out)

    def __call__(
        self, values: dict[str, Any], folder: Path, seed: int = 0, epochs: int | None = None
    ) -> dict[str, float]:
        """All scores of a trial whose trainings are checkpointed in `folder`; `seed` changes folds, weights and noise.

        Raises:
            TrainingError: if a training diverges, or a score is not finite.
        """
        folds = list(self.trainings(seed))
        scores = [self._train(values, fold, folder / fold.name, epochs) for fold in folds]
        means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
        if self.objective == "disagreement":
            trainings = [np.load(folder / fold.name / CLASSES) for fold in folds]
            means["disagreement"] = disagreement(trainings, self.dataset.y)
        if not np.isfinite(list(means.values())).all():
            raise TrainingError(f"Expected finite scores. Received: {means}")
        return means

    def trainings(self, seed: int) -> Iterator[Fold]:
        """Those of a trial."""
        own, labels = self.base.seed + seed, self.dataset.label_indices
        if self.objective in BY_FOLDS:
            y = self.dataset.y[labels]
            fold = folds_of(y, min(self.folds, int(np.unique(y, return_counts=True)[1].min())), own)
            for number in range(fold.max() + 1):
                yield Fold(f"fold{number}", labels[fold == number], own)
        elif self.objective == "disagreement":
            for number in range(2):
                yield Fold(f"seed{number}", labels[:0], self.base.seed + 2 * seed + number)
        else:
            yield Fold("all", labels[:0], own)

    def _train(self, values: dict[str, Any], fold: Fold, folder: Path, epochs: int | None) -> dict[str, float]:
        x, y, held_out = self.dataset.x, self.dataset.y, fold.held_out
        dataset, config = without_labels(self.dataset, held_out), self.config(values, len(held_out))
        config = resolve(config.replace(seed=fold.seed, epochs=epochs or config.epochs), dataset)
        keras.backend.clear_session()
        folder.mkdir(parents=True, exist_ok=True)
        model, _ = train(config, dataset, folder, resume=True, verbose=0)
        elbo = mean_elbo(model, x)
        scores: dict[str, Any] = {} if elbo is None else {"bound": -elbo}
        with writing(folder):
            np.save(folder / CLASSES, class_probabilities(model, x).argmax(1))
        if len(held_out):
            found = classification_report(class_probabilities(model, x[held_out]), y[held_out])
            scores |= {"cv_error": found["error"], "cv_nll": found["nll"]}
            if elbo is not None:
                alpha = default_alpha(len(x), len(self.dataset.label_indices))
                scores["combined"] = scores["bound"] + alpha * scores["cv_nll"]
        if self.validation:
            points, classes = self.validation
            scores["val_error"] = classification_report(class_probabilities(model, points), classes)["error"]
        return scores


def disagreement(trainings: Sequence[np.ndarray], y: np.ndarray) -> float:
    """Percent of the points on which two trainings differ, plus percent of the labels from which one does.

    A class that changes with the seed is not known well (Jiang et al. 2022). Where all points fall into one class,
    trainings agree, but miss labels.

    Args:
        trainings: at least two; the class of every point by each, [N].
        y: [N], UNLABELED where there is no label.
    """
    known = y != UNLABELED
    apart = [np.mean(one != other) for one, other in itertools.combinations(trainings, 2)]
    wrong = [np.mean(classes[known] != y[known]) for classes in trainings]
    return float(100 * (np.mean(apart) + np.mean(wrong)))


def clean(folder: Path) -> None:
    """Removes the checkpoints of a trial that is done."""
    for training in folder.glob("*/checkpoint"):
        shutil.rmtree(training, ignore_errors=True)
