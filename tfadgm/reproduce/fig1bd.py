"""Figures 1b to 1d: half-moons from six labels: the points, the regions of the classes, the auxiliary variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.evaluation.plots import COLOURS
from tfadgm.models import Classifier
from tfadgm.reproduce.common import plt, principal_components, save, trained

SHOWN = 2000


def reproduce(output: Path, run_dir: Path | None = None, **choices: Any) -> dict[str, Any]:
    """Writes fig1bd.png, .pdf and .json into `output`; the run is `run_dir`, by default made in `output`."""
    config = Config.for_dataset("moons", **choices)
    model, dataset, report = trained(config, run_dir or output / "moons")
    a = np.asarray(model.embed(dataset.x_test))
    components, shares = principal_components(a)
    numbers = {
        "test_error": report["test_error"],
        "seed": report["seed"],
        "labeled_points": dataset.x[dataset.label_indices].tolist(),
        "variance_of_a_along_its_components": shares,
        "distance_of_the_classes_in_a": round(separation(a, dataset.y_test), 3),
        "distance_of_the_classes_in_x": round(separation(dataset.x_test, dataset.y_test), 3),
    }
    _, (points, regions, auxiliary) = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
    _draw_points(points, dataset)
    _draw_regions(regions, model, dataset, report["test_error"])
    for index, name in enumerate(dataset.class_names):
        own = components[:SHOWN][dataset.y_test[:SHOWN] == index]
        auxiliary.scatter(own[:, 0], own[:, 1], s=3, color=COLOURS[index], label=name, alpha=0.6)
    regions.get_figure().get_layout_engine().set(wspace=0.05)
    auxiliary.set(xlabel=f"first component of a, {shares[0]:.0%}", ylabel=f"second, {shares[1]:.0%}",
                  title="(d) mean of q(a|x), test points")  # fmt: skip
    auxiliary.legend(frameon=False)
    return save(output, "fig1bd", numbers)


def separation(points: np.ndarray, y: np.ndarray) -> float:
    """Distance of the means of two classes, in standard deviations within them along the line that joins them."""
    one, two = points[y == 0], points[y == 1]
    across = two.mean(0) - one.mean(0)
    length = np.linalg.norm(across)
    within = [(part - part.mean(0)) @ across / length for part in (one, two)]
    return float(length / np.sqrt(np.mean(np.concatenate(within) ** 2)))


def _draw_points(axis: plt.Axes, dataset: Dataset) -> None:
    axis.scatter(dataset.x[:SHOWN, 0], dataset.x[:SHOWN, 1], s=2, color="0.6", label="unlabeled")
    for index, name in enumerate(dataset.class_names):
        own = dataset.x[dataset.y == index]
        axis.scatter(
            own[:, 0], own[:, 1], s=60, color=COLOURS[index], edgecolor="black", label=f"labeled {name}", zorder=3
        )
    axis.set(xlabel="$x_1$", ylabel="$x_2$", title="(b) six labels")
    axis.legend(frameon=False, fontsize=8)


def _draw_regions(axis: plt.Axes, model: Classifier, dataset: Dataset, error: float) -> None:
    low, high = dataset.x.min(0) - 0.3, dataset.x.max(0) + 0.3
    plane = np.stack(np.meshgrid(*(np.linspace(low[i], high[i], 200) for i in (0, 1))), -1).astype(np.float32)
    share = class_probabilities(model, plane.reshape(-1, 2))[:, 1].reshape(plane.shape[:2])
    image = axis.contourf(plane[..., 0], plane[..., 1], share, levels=np.linspace(0, 1, 11), cmap="cividis")
    axis.contour(plane[..., 0], plane[..., 1], share, levels=[0.5], colors="white", linewidths=1.5)
    plt.colorbar(image, ax=axis, label=f"q({dataset.class_names[1]}|x)")
    axis.set(xlabel="$x_1$", ylabel="$x_2$", title=f"(c) test error {error:.2f} %")
