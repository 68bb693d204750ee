"""Class probabilities and their scores, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def class_probabilities(model: Any, x: np.ndarray, batch_size: int = 1000) -> np.ndarray:
    """`model.predict` without its progress and set-up, for a call every epoch; [N, C]."""
    batches = [model.predict_on_batch(x[first : first + batch_size]) for first in range(0, len(x), batch_size)]
    return np.concatenate(batches) if batches else np.zeros([0, model.classes], np.float32)


def classification_report(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """`error` (percent), `nll` (nats, mean) and `ece` (0 to 1) of probabilities [N, C]; None where N is 0.

    Examples:
        >>> classification_report(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))["error"]
        50.0
    """
    if not len(y):
        return {"error": None, "nll": None, "ece": None}
    likelihood = probabilities[np.arange(len(y)), y].astype(np.float64)
    return {
        "error": float(100 * np.mean(probabilities.argmax(1) != y)),
        "nll": float(-np.log(np.maximum(likelihood, 1e-30)).mean()),
        "ece": expected_calibration_error(probabilities, y),
    }


def balanced_error(probabilities: np.ndarray, y: np.ndarray) -> float | None:
    """Percent, the mean over the classes of y [N] of how many of a class are missed; None where N is 0."""
    if not len(y):
        return None
    wrong = probabilities.argmax(1) != y
    return float(100 * np.mean([wrong[y == index].mean() for index in np.unique(y)]))


def by_class(probabilities: np.ndarray, y: np.ndarray) -> list[dict[str, float | None]]:
    """Of each class: how many points of it there are, its recall and its precision in percent, None of nothing.

    Examples:
        >>> by_class(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 1, 1]))[1]
        {'points': 2, 'recall': 50.0, 'precision': 100.0}
    """
    counts = confusion_matrix(probabilities, y)
    right, true, told = np.diag(counts), counts.sum(1), counts.sum(0)
    return [
        {
            "points": int(true[index]),
            "recall": float(100 * right[index] / true[index]) if true[index] else None,
            "precision": float(100 * right[index] / told[index]) if told[index] else None,
        }
        for index in range(len(counts))
    ]


def expected_calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 5)."""
    confidence = probabilities.max(1).astype(np.float64)
    gap = (probabilities.argmax(1) == y) - confidence
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(index, gap, bins)).sum() / len(y))


def confusion_matrix(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Counts [C, C]: true class by predicted class."""
    classes = probabilities.shape[1]
    counts = np.bincount(y * classes + probabilities.argmax(1), minlength=classes**2)
    return counts.reshape(classes, classes)
