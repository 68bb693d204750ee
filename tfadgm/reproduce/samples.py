"""Conditional samples (the class fixed, the style drawn) and analogies (the style of a test image, every class)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.reproduce.common import plt, save, trained

EACH = 10


def reproduce(output: Path, run_dir: Path | None = None, **choices: Any) -> dict[str, Any]:
    """Writes samples.png, .pdf and .json into `output`; the run is `run_dir`, by default made in `output`.

    The numbers are how often the model's own classifier agrees with the class that was asked for.
    """
    config = Config.for_dataset("mnist", **choices)
    model, dataset, report = trained(config, run_dir or output / "mnist")
    asked = np.repeat(np.arange(dataset.classes), EACH)
    samples = model.generate(asked, (0, 1)).numpy()
    shown = np.array([np.flatnonzero(dataset.y_test == index)[0] for index in range(dataset.classes)])
    styles = dataset.x_test[shown].astype(np.float32)
    analogies = model.analogies(styles, dataset.y_test[shown]).numpy()
    many = np.tile(asked, 10)
    numbers = {
        "model": report["model"],
        "labels": report["labels"],
        "seed": report["seed"],
        "agreement_on_samples": _agreement(model, model.generate(many, (0, 2)).numpy(), many),
        "agreement_on_analogies": _agreement(
            model, analogies.reshape(-1, *styles.shape[1:]), np.tile(np.arange(dataset.classes), len(styles))
        ),
    }
    figure = plt.figure(figsize=(0.6 * (EACH + dataset.classes + 3), 0.6 * dataset.classes + 0.5))
    parts: np.ndarray = np.asarray(figure.subfigures(1, 2, width_ratios=(EACH, dataset.classes + 1)))
    left, right = parts
    left.suptitle("a class a row, styles drawn")
    right.suptitle("test image, then its style in every class")
    _grid(left.subplots(dataset.classes, EACH), samples, dataset.x)
    rows = np.concatenate([styles[:, None], analogies], 1).reshape(-1, *styles.shape[1:])
    _grid(right.subplots(len(styles), dataset.classes + 1), rows, dataset.x)
    return save(output, "samples", numbers)


def _agreement(model: Any, x: np.ndarray, asked: np.ndarray) -> float:
    return round(float(np.mean(class_probabilities(model, x).argmax(1) == asked)), 4)


def _grid(axes: np.ndarray, images: np.ndarray, x: np.ndarray) -> None:
    low, high = float(x.min()), float(x.max())
    axes.flat[0].get_figure().subplots_adjust(left=0.03, right=0.97, bottom=0.02, top=0.92, wspace=0.06, hspace=0.06)
    axis: plt.Axes
    for axis, image in zip(axes.flat, images, strict=True):
        axis.imshow(image.squeeze(), cmap="gray_r", vmin=low, vmax=high)
        axis.set(xticks=[], yticks=[])
