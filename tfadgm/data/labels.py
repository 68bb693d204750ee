"""Which labels training sees: every other one is taken out of the data, so that none can leak."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError

FOLDS = 5  # of the labels, by which an error is estimated


def choose_labels(dataset: Dataset, labels: int | None, seed: int, proportional: bool = False) -> Dataset:
    """`dataset` with `labels` of its labels, drawn by `seed` as evenly over the classes as they allow.

    A class that has fewer labels than its share gives all, and the others give the rest. `labels=None` keeps all. With
    `proportional`, each class gives one label, and the rest by its share of the labels that are known.

    Raises:
        InputError: if there are no labels, fewer than classes, or fewer than `labels`.

    Examples:
        >>> x = np.zeros([6, 2])
        >>> data = Dataset(x, np.array([0, 0, 0, 1, 1, 1]), x[:0], np.zeros(0, int), ("no", "yes"), "gaussian")
        >>> choose_labels(data, 2, seed=0).y.tolist()
        [-1, 0, -1, -1, 1, -1]
    """
    if not dataset.class_names:
        raise InputError(
            "Expected labels for a classifier: arrays x and y, or --target with a table. Received points alone: "
            "a density model, like --model avae, learns from them"
        )
    if labels is None:
        return dataset
    if labels < dataset.classes:
        raise InputError(
            f"Expected at least one label for each of the {dataset.classes} classes. Received: {labels} labels"
        )
    known = [np.flatnonzero(dataset.y == index) for index in range(dataset.classes)]
    for rows, name in zip(known, dataset.class_names, strict=True):
        if not len(rows):
            raise InputError(f"Expected at least one label of class {name!r} to choose from. Received: none")
    generator = np.random.default_rng(seed)
    order = generator.permutation(dataset.classes)
    counts = np.array([len(rows) for rows in known])
    wanted = _proportional(counts, labels, order) if proportional else _shares(counts, labels, order)
    chosen = [generator.choice(rows, count, replace=False) for rows, count in zip(known, wanted, strict=True)]
    y = np.full_like(dataset.y, UNLABELED)
    for index, rows in enumerate(chosen):
        y[rows] = index
    return dataclasses.replace(dataset, y=y)


def folds_of(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each of the labels y [L], evenly over classes; as many folds as labels, where they are fewer.

    Raises:
        InputError: if a class has one label only, so that no part can do without it.
    """
    generator = np.random.default_rng(seed)
    if np.bincount(np.unique(y, return_inverse=True)[1]).min() < 2:
        raise InputError(
            "Expected at least two labels of every class for cross-validation. Received a class with one: label more, "
            "or let a search have --objective bound or a validation set"
        )
    folds, fold = min(folds, len(y)), np.empty(len(y), np.int64)
    start = 0
    for c in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == c))
        fold[members] = (start + np.arange(len(members))) % folds
        start += len(members)  # so that folds are even over all classes too
    return fold


def without_labels(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """`dataset` in which the points `rows` have no label."""
    y = dataset.y.copy()
    y[rows] = UNLABELED
    return dataset.replace(y=y)


def _shares(known: np.ndarray, labels: int, order: np.ndarray) -> np.ndarray:
    """How many labels each class gives, [C]; the first of `order` give one more where they cannot be even."""
    if labels > known.sum():
        raise InputError(f"Expected at most {known.sum()} labels, as many as are known. Received: {labels}")
    wanted = np.zeros_like(known)
    while (left := labels - wanted.sum()) > 0:
        able = order[wanted[order] < known[order]]
        wanted[able] += left // len(able)
        wanted[able[: left % len(able)]] += 1
        wanted = np.minimum(wanted, known)
    return wanted


def _proportional(known: np.ndarray, labels: int, order: np.ndarray) -> np.ndarray:
    """How many labels each class gives by its share, [C], one at least; the largest remainders give one more."""
    if labels > known.sum():
        raise InputError(f"Expected at most {known.sum()} labels, as many as are known. Received: {labels}")
    rest = labels - len(known)
    exact = rest * (known - 1) / max(1, (known - 1).sum())
    wanted = np.floor(exact).astype(int)
    late = order[np.argsort(wanted[order] - exact[order], kind="stable")]
    wanted[late[: rest - wanted.sum()]] += 1
    return wanted + 1
