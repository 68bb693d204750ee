"""Figure 2: the auxiliary variable of an SDGM that has seen 100 labels of MNIST, along its principal components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.evaluation.plots import COLOURS
from tfadgm.reproduce.common import plt, principal_components, save, trained, unseen_training_error
from tfadgm.run import Run

SHOWN = 3000
TEN_COLOURS = (*COLOURS[:7], "#882255", "#999999", "#000000")


def reproduce(output: Path, run_dir: Path | None = None, **choices: Any) -> dict[str, Any]:
    """Writes fig2.png, .pdf and .json into `output`; the run is `run_dir`, by default made in `output`."""
    config = Config.for_dataset("mnist", **choices)
    run_dir = run_dir or output / "mnist"
    model, dataset, report = trained(config, run_dir)
    a = np.concatenate(
        [np.asarray(model.embed(dataset.x_test[i : i + 1000])) for i in range(0, len(dataset.x_test), 1000)]
    )
    components, shares = principal_components(a)
    _, axis = plt.subplots(figsize=(7, 5.6), layout="constrained")
    for index, name in enumerate(dataset.class_names):
        own, colour = components[:SHOWN][dataset.y_test[:SHOWN] == index], TEN_COLOURS[index % 10]
        axis.scatter(own[:, 0], own[:, 1], s=22, linewidths=0.2, color=colour, marker=f"${name}$", alpha=0.8)
        axis.annotate(
            name, np.median(own, 0), fontsize=15, weight="bold", ha="center", va="center", zorder=3,
            bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": colour, "linewidth": 2},
        )  # fmt: skip
    axis.set(
        xlabel=f"first principal component of a, {shares[0]:.0%} of its variance",
        ylabel=f"second, {shares[1]:.0%}",
        title=f"{report['model'].upper()}, {report['labels']} labels, test error {report['test_error']:.2f} %",
    )
    numbers = {
        "model": report["model"],
        "labels": report["labels"],
        "seed": report["seed"],
        "test_error": report["test_error"],
        "unseen_training_error": unseen_training_error(Run(run_dir)),
        "variance_of_a_along_its_components": shares,
        "medians": {
            name: np.median(components[dataset.y_test == index], 0).round(3).tolist()
            for index, name in enumerate(dataset.class_names)
        },
    }
    return save(output, "fig2", numbers)
