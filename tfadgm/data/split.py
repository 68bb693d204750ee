"""Which labels training sees."""

from __future__ import annotations

import numpy as np

from tfadgm.data.sources import UNKNOWN
from tfadgm.errors import InputError


def choose_labels(y: np.ndarray, class_names: tuple[str, ...], labels: int | None, seed: int) -> np.ndarray:
    """Sorted indices [labels] into `y`, drawn by `seed`, as evenly over the classes as `labels` allows.

    Every label that is not chosen stays unseen. `labels=None` takes all that are known.

    Raises:
        InputError: if there are no labels, fewer than classes, or a class has too few labels to choose from.
    """
    if not class_names:
        raise InputError(
            "Expected labels for a classifier, arrays x_labeled and y_labeled. Received points alone: "
            "a model of x alone, like --model avae, learns from them"
        )
    if labels is None:
        return np.flatnonzero(y != UNKNOWN)
    classes = len(class_names)
    if labels < classes:
        raise InputError(f"Expected at least one label for each of the {classes} classes. Received: {labels} labels")
    generator = np.random.default_rng(seed)
    wanted = np.full(classes, labels // classes)
    wanted[generator.permutation(classes)[: labels % classes]] += 1
    chosen = []
    for index, name in enumerate(class_names):
        known = np.flatnonzero(y == index)
        if len(known) < wanted[index]:
            raise InputError(
                f"Expected at least {wanted[index]} labels of class {name!r} to choose {labels} labels evenly. "
                f"Received: {len(known)}"
            )
        chosen.append(generator.choice(known, wanted[index], replace=False))
    return np.sort(np.concatenate(chosen))
