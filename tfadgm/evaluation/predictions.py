"""Labels out: what a classifier says of points, as rows of a CSV file.

id                  the number of a point, from 0, or what its source calls it
label, probability  the most probable class and its probability, as the export answers them
second, second_probability
familiarity         percent of the training points that the model finds less familiar; empty if it cannot tell
accepted            yes or no, where --accept-error or --coverage was given
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.evaluation.calibration import temper
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.files import replace_file
from tfadgm.models import Classifier, DeepGenerativeClassifier

HEAD = "id", "label", "probability", "second", "second_probability", "familiarity"
BATCH = 1000
POINTS = 2000  # of the training points, by which familiarity is measured
Batches = Iterable[tuple[Sequence[str], np.ndarray]]  # ids [B] and points [B, *features]


def unlabeled_batches(dataset: Dataset) -> Iterator[tuple[list[str], np.ndarray]]:
    """The training points that have no label, a batch at a time."""
    rows = np.flatnonzero(dataset.y == UNLABELED)
    ids = np.arange(len(dataset.x)).astype(str) if dataset.ids is None else dataset.ids
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        yield ids[some].tolist(), dataset.x[some]


def write_predictions(file: Path, model: Any, batches: Batches, report: dict[str, Any]) -> int:
    """Writes what `model` says of points into `file`, whole or not at all; returns how many rows it has.

    Args:
        file: a CSV file, see above.
        model: a trained classifier.
        batches: ids and points in the units of the data.
        report: of the run: its `classes`, `temperature`, `familiarity_quantiles` and what it has `accepted`.
    """
    rows = 0

    def write(partial: Path) -> None:
        nonlocal rows
        with partial.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(HEAD if threshold_of(report) is None else [*HEAD, "accepted"])
            for ids, x in batches:
                writer.writerows(_rows(model, ids, x, report))
                rows += len(x)

    replace_file(file, write)
    return rows


def _rows(model: Any, ids: Sequence[str], x: np.ndarray, report: dict[str, Any]) -> Iterator[list[str]]:
    names, quantiles = list(map(str, report["classes"])), report["familiarity_quantiles"]
    threshold = threshold_of(report)
    probabilities = temper(class_probabilities(model, x, BATCH), report["temperature"])
    second, first = np.argsort(probabilities, 1, kind="stable")[:, -2:].T
    familiar = [""] * len(x)
    if len(quantiles):
        places = np.searchsorted(quantiles, familiarity(model, x, first)) * 100 / len(quantiles)
        familiar = [f"{place:.0f}" for place in places]
    for row, name in enumerate(ids):
        shares = probabilities[row, first[row]], probabilities[row, second[row]]
        told = [name, names[first[row]], f"{shares[0]:.6f}", names[second[row]], f"{shares[1]:.6f}", familiar[row]]
        yield told if threshold is None else [*told, "yes" if shares[0] >= threshold else "no"]


def threshold_of(report: dict[str, Any]) -> float | None:
    """The probability from which an answer of a run is accepted; None where nobody asked, or no label could tell."""
    return (report.get("accepted") or {}).get("threshold")


def familiarity(model: DeepGenerativeClassifier, x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """-L(x,y) of points x [N, *features] with the classes `label` [N] that they seem to have; nats, [N]."""
    bound: Callable[..., tf.Tensor] = model.traced(model.labeled_elbo, reduce_retracing=True)
    batches = range(0, len(x), BATCH)
    return np.concatenate([bound(x[i : i + BATCH], label[i : i + BATCH].astype(np.int32)).numpy() for i in batches])


def familiarity_quantiles(model: Classifier, x: np.ndarray) -> list[float]:
    """The percentiles 1 to 100 of the familiarity of some training points x; empty of a model that has no bound."""
    if not isinstance(model, DeepGenerativeClassifier):
        return []
    some = x[np.random.default_rng(0).permutation(len(x))[:POINTS]]
    found = familiarity(model, some, class_probabilities(model, some, BATCH).argmax(1))
    return [float(f"{value:.6g}") for value in np.quantile(found, np.arange(1, 101) / 100)]
