"""The pictures of a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.data.dataset import Dataset
from tfadgm.errors import extra
from tfadgm.evaluation.metrics import class_probabilities, confusion_matrix
from tfadgm.evaluation.task import History
from tfadgm.files import replace_file
from tfadgm.models import Classifier, DensityModel

with extra("figures"):
    import matplotlib

    matplotlib.use("Agg")

    import matplotlib.pyplot as plt

SAMPLES_PER_CLASS = 10
MOST_CLASSES = 20  # of a figure of samples or a confusion matrix with numbers
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")  # Okabe and Ito


def draw_classifier(folder: Path, model: Classifier, dataset: Dataset, history: History) -> None:
    """Writes `curves.png`; of a generative model `samples.png`, with test labels `confusion.png`, of points in the
    plane `regions.png`.
    """
    plain = tuple(name.replace("$", r"\$") for name in dataset.class_names)  # a dollar would start a formula
    dataset = dataclasses.replace(dataset, class_names=plain)
    _save(folder / "curves.png", draw_curves, history)
    if hasattr(model, "generate") and dataset.schema is None:
        _save(folder / "samples.png", draw_samples, model, dataset)
    if len(dataset.y_test):
        counts = confusion_matrix(class_probabilities(model, dataset.x_test), dataset.y_test)
        _save(folder / "confusion.png", draw_confusion, counts, dataset.class_names)
    if dataset.x.shape[1:] == (2,) and dataset.schema is None:
        _save(folder / "regions.png", draw_regions, model, dataset)


def draw_density(folder: Path, model: DensityModel, dataset: Dataset, history: History) -> None:
    """Writes `curves.png`, `samples.png` and, of images, `reconstructions.png`."""
    _save(folder / "curves.png", draw_elbos, history)
    if dataset.schema is None:
        _save(folder / "samples.png", draw_density_samples, model, dataset)
    if _are_images(dataset.x.shape[1:]):
        _save(folder / "reconstructions.png", draw_reconstructions, model, dataset)


def draw_acceptance(folder: Path, curve: np.ndarray, accepted: dict[str, Any] | None) -> None:
    """Writes `risk_coverage.png`.

    Args:
        folder: of pictures.
        curve: see `tfadgm.evaluation.abstention.risk_coverage`.
        accepted: what `report.json` has of the answers that are accepted, if a threshold was asked for.
    """
    _save(folder / "risk_coverage.png", draw_risk, curve, accepted)


def draw_risk(curve: np.ndarray, accepted: dict[str, Any] | None) -> None:
    """The share of errors over that of accepted answers, and where the threshold is."""
    threshold, coverage, error = curve.T
    _, axis = plt.subplots(figsize=(5.6, 4), layout="constrained")
    axis.plot(100 * coverage, 100 * error, color=COLOURS[0], marker=".", drawstyle="steps-pre")
    if reached := threshold[threshold >= (accepted or {}).get("threshold", np.inf)].size:
        place = reached - 1
        axis.scatter(100 * coverage[place], 100 * error[place], s=60, color=COLOURS[5], zorder=3, label="accepted")
        axis.legend(frameon=False)
    axis.set(xlabel="accepted answers, the surest first, %", ylabel="of these wrong, %", xlim=(0, 102))
    axis.set_ylim(bottom=0)


def draw_curves(history: History) -> None:
    """Bounds, the fit of the labels and the test error by epoch, whichever there are."""
    panels = [("labeled_elbo", "unlabeled_elbo"), ("label_nll", "test_nll"), ("test_error",)]
    names = ("bound, nats", "negative log-likelihood, nats", "test error, %")
    _figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for axis, panel, name in zip(axes, panels, names, strict=True):
        _plot(axis, history, {key: key.replace("_", " ") for key in panel})
        axis.set(xlabel="epoch", ylabel=name)
    _frame(axes[0], history, panels[0])
    axes[2].set_ylim(bottom=0)


def draw_elbos(history: History) -> None:
    """The bound of training, warm-up included, of test points, and an estimate of their log p(x), by epoch."""
    _, axis = plt.subplots(figsize=(5.6, 4), layout="constrained")
    names = {"elbo": "training", "test_elbo": "test", "test_log_likelihood": "log p(x), test"}
    _plot(axis, history, names)
    axis.set(xlabel="epoch", ylabel="bound of log p(x), nats")
    _frame(axis, history, names)


def _plot(axis: Any, history: History, names: dict[str, str]) -> None:
    """The columns `names` that there are, by epoch."""
    for (key, name), colour in zip(names.items(), COLOURS, strict=False):
        rows = [(row["epoch"], row[key]) for row in history if key in row]
        if rows:
            axis.plot(*zip(*rows, strict=True), color=colour, label=name)
    if axis.lines:
        axis.legend(frameon=False)


def _frame(axis: Any, history: History, keys: Iterable[str]) -> None:
    """Shows what follows the first tenth of training, which is far below."""
    shown = [row[key] for row in history[len(history) // 10 :] for key in keys if key in row]
    if shown:
        axis.set_ylim(min(shown) - 1, max(shown) + 1)


def draw_confusion(counts: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Share of each true class by predicted class, with counts where they fit."""
    classes = len(class_names)
    figure, axis = plt.subplots(figsize=(5.6, 5), layout="constrained")
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    axis.set(xlabel="predicted class", ylabel="true class")
    if classes <= MOST_CLASSES:
        axis.set_xticks(range(classes), class_names, rotation=90 if max(map(len, class_names)) > 2 else 0)
        axis.set_yticks(range(classes), class_names)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def draw_samples(model: Any, dataset: Dataset) -> None:
    """Examples of each class from p(x|.), drawn as images, points in the plane or profiles."""
    classes = min(dataset.classes, MOST_CLASSES)
    labels = np.repeat(np.arange(classes), SAMPLES_PER_CLASS)
    samples = model.generate(labels, (0, 1)).numpy()
    shape = samples.shape[1:]
    if _are_images(shape):
        _image_grid(samples, dataset, dataset.class_names[:classes])
    elif shape == (2,):
        _scatter(samples, labels, dataset)
    else:
        _profiles(samples.reshape(classes, SAMPLES_PER_CLASS, -1), dataset)


def draw_density_samples(model: DensityModel, dataset: Dataset) -> None:
    """A hundred examples from p(x), drawn as images, points in the plane or profiles."""
    samples = model.generate(SAMPLES_PER_CLASS**2, (0, 1)).numpy()
    if _are_images(samples.shape[1:]):
        _image_grid(samples, dataset)
    elif samples.shape[1:] == (2,):
        _scatter(samples, np.zeros(len(samples), int), dataclasses.replace(dataset, class_names=("samples",)))
    else:
        rows = samples.reshape(SAMPLES_PER_CLASS, SAMPLES_PER_CLASS, -1)
        _profiles(rows, dataclasses.replace(dataset, class_names=("",) * len(rows)))


def draw_reconstructions(model: DensityModel, dataset: Dataset) -> None:
    """Test images, or training images where there are none, above what becomes of them through z.

    Where there are too few to fill a row, they come again.
    """
    x = dataset.x_test if len(dataset.x_test) else dataset.x
    rows = min(5, -(-len(x) // SAMPLES_PER_CLASS))
    x = x[np.arange(rows * SAMPLES_PER_CLASS) % len(x)]
    pairs = [
        part
        for first in range(0, len(x), SAMPLES_PER_CLASS)
        for part in (
            x[first : first + SAMPLES_PER_CLASS],
            model.predict(x[first : first + SAMPLES_PER_CLASS], verbose=0),
        )
    ]
    _image_grid(np.concatenate(pairs), dataset, ("x", "mean") * rows)


def _are_images(shape: tuple[int, ...]) -> bool:
    return (len(shape) == 3 and shape[-1] in (1, 2, 3)) or len(shape) == 2


def _image_grid(samples: np.ndarray, dataset: Dataset, names: tuple[str, ...] = ()) -> None:
    """Rows of images; two channels, of a pair of cameras, one below the other."""
    channels = samples.shape[-1] if samples.ndim == 4 else 1
    images = samples
    if samples.ndim == 4 and channels < 3:
        images = np.concatenate(np.moveaxis(samples, -1, 0), 1)
    low, high = float(dataset.x.min()), float(dataset.x.max())
    images = np.clip((images - low) / ((high - low) or 1.0), 0, 1)
    rows, height = len(samples) // SAMPLES_PER_CLASS, 2 if channels == 2 else 1
    figure, axes = plt.subplots(rows, SAMPLES_PER_CLASS, figsize=(0.62 * SAMPLES_PER_CLASS + 0.8, 0.62 * rows * height))
    for axis, image in zip(axes.flat, images, strict=True):
        axis.imshow(image, cmap="gray_r" if channels == 1 else "gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[:, 0], names or ("",) * rows, strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.subplots_adjust(left=0.12, right=0.99, bottom=0.01, top=0.99, wspace=0.05, hspace=0.05)


def _scatter(samples: np.ndarray, labels: np.ndarray, dataset: Dataset) -> None:
    _, axis = plt.subplots(figsize=(5.6, 4), layout="constrained")
    axis.scatter(dataset.x[:, 0], dataset.x[:, 1], s=2, color="0.8", label="unlabeled points")
    for index in np.unique(labels):
        colour = COLOURS[index % len(COLOURS)]
        own = samples[labels == index]
        axis.scatter(own[:, 0], own[:, 1], s=14, color=colour, label=_shown(dataset.class_names[index]))
    axis.set(xlabel="feature 0", ylabel="feature 1")
    axis.legend(frameon=False)


def _profiles(samples: np.ndarray, dataset: Dataset) -> None:
    rows = len(samples)
    _figure, axes = plt.subplots(
        rows, 1, figsize=(7, 1.1 * rows + 0.8), sharex=True, squeeze=False, layout="constrained"
    )
    for axis, group, name in zip(axes[:, 0], samples, dataset.class_names[:rows], strict=True):
        axis.plot(group.T, color=COLOURS[0], alpha=0.5, linewidth=0.8)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axes[-1, 0].set_xlabel("feature")


def draw_regions(model: Classifier, dataset: Dataset) -> None:
    """The most probable class over the plane, the unlabeled points and the labeled ones."""
    low, high = dataset.x.min(0) - 0.3, dataset.x.max(0) + 0.3
    grid = np.stack(np.meshgrid(*(np.linspace(low[i], high[i], 300) for i in (0, 1))), -1).astype(np.float32)
    probabilities = class_probabilities(model, grid.reshape(-1, 2))
    classes = min(dataset.classes, len(COLOURS))
    _, axis = plt.subplots(figsize=(5.6, 4), layout="constrained")
    regions = probabilities.argmax(1).reshape(grid.shape[:2])
    levels = np.arange(classes + 1) - 0.5
    axis.contourf(grid[..., 0], grid[..., 1], regions, levels=levels, colors=COLOURS[:classes], alpha=0.3)
    axis.scatter(dataset.x[::3, 0], dataset.x[::3, 1], s=1, color="0.4", alpha=0.5)
    for index in range(classes):
        own, name = dataset.x[dataset.y == index], _shown(dataset.class_names[index])
        axis.scatter(own[:, 0], own[:, 1], s=60, color=COLOURS[index], edgecolor="black", label=name)
    axis.set(xlabel="feature 0", ylabel="feature 1", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axis.legend(frameon=False, title="labeled points")


def _shown(name: str) -> str:
    """A name that a legend shows: Matplotlib leaves out what begins with an underscore."""
    return f"\N{ZERO WIDTH SPACE}{name}" if name.startswith("_") else name


def _save(path: Path, draw: Callable[..., None], *arguments: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(*arguments)
    replace_file(path, lambda partial: plt.savefig(partial, dpi=150))
    plt.close("all")
