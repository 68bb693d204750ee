"""What the commands share: trained runs, their errors, saved pictures, principal components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError, extra
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.files import replace_file, write_json
from tfadgm.pipeline import run
from tfadgm.provenance import commit, machine
from tfadgm.run import Run, whole_dataset

with extra("figures"):
    import matplotlib

    matplotlib.use("Agg")

    import matplotlib.pyplot as plt

DOTS_AN_INCH = 200


def trained(config: Config, run_dir: Path) -> tuple[Any, Dataset, dict[str, Any]]:
    """Model, data and report of the run of `config` in `run_dir`, which is made, continued or found complete there.

    Raises:
        InputError: if another run is there.
    """
    found = Run(run_dir)
    kept = found.config if found.exists else config
    if (kept.dataset, kept.model) != (config.dataset, config.model):
        raise InputError(
            f"Expected a run of {config.model} on {config.dataset}. "
            f"Received {run_dir}, of {kept.model} on {kept.dataset}"
        )
    if not found.finished:
        run(kept, run_dir, resume=found.exists)
    return found.load_model(), found.load_dataset(), found.report


def unseen_training_error(run: Run) -> float | None:
    """Percent of errors on the training points that have a label which training did not see: a leak would show here.

    None of a density model, and where there are no such points.
    """
    config = run.config
    whole = whole_dataset(config)
    unseen = (whole.y != UNLABELED) & (run.load_dataset().y == UNLABELED)
    if config.is_density or not unseen.any():
        return None
    model: Any = run.load_model()
    predicted = class_probabilities(model, whole.x[unseen]).argmax(1)
    return 100 * float(np.mean(predicted != whole.y[unseen]))


def save(output: Path, name: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """The current figure as NAME.png and NAME.pdf, and the numbers behind it, with their origin, as NAME.json."""
    command = f"python -m tfadgm.reproduce {name.replace('fig1bd', 'fig1b-d')}"
    told = {"command": command, "machine": machine(), "commit": commit(), **numbers}
    write_json(output / f"{name}.json", told, indent=1)
    for ending in ("png", "pdf"):
        replace_file(output / f"{name}.{ending}", lambda partial: plt.savefig(partial, dpi=DOTS_AN_INCH))
    plt.close("all")
    return told


def principal_components(points: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Coordinates [N, 2] along the two directions of most variance, and their shares of it."""
    centred = points - points.mean(0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    shares = lengths**2 / max((lengths**2).sum(), 1e-30)
    return centred @ directions[:2].T, [round(float(share), 4) for share in shares[:2]]
