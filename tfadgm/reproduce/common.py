"""What the commands share: trained runs, saved pictures, principal components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np

from tfadgm.checkpoint import writing
from tfadgm.config import Config
from tfadgm.data.sources import Dataset, load_dataset
from tfadgm.errors import InputError
from tfadgm.provenance import commit, machine
from tfadgm.runs import read_config, run
from tfadgm.training import write_text


def trained(config: Config, run_dir: Path) -> tuple[Any, Dataset, dict[str, Any]]:
    """Model, data and report of the run of `config` in `run_dir`, which is made, continued or found complete there.

    Raises:
        InputError: if another run is there.
    """
    begun = (run_dir / "config.json").exists()
    kept = read_config(run_dir / "config.json") if begun else config
    if (kept.dataset, kept.model) != (config.dataset, config.model):
        raise InputError(
            f"Expected a run of {config.model} on {config.dataset}. "
            f"Received {run_dir}, of {kept.model} on {kept.dataset}"
        )
    if not (run_dir / "report.json").exists():
        run(kept, run_dir, resume=begun)
    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    report = json.loads((run_dir / "report.json").read_text())
    return model, load_dataset(kept.dataset, kept.data_dir, kept.seed), report


def save(output: Path, name: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """The current figure as NAME.png and NAME.pdf, and the numbers behind it, with their origin, as NAME.json."""
    command = f"python -m tfadgm.reproduce {name.replace('fig1bd', 'fig1b-d')}"
    told = {"command": command, "machine": machine(), "commit": commit(), **numbers}
    write_text(output / f"{name}.json", json.dumps(told, indent=1) + "\n")
    with writing(output):
        for ending in ("png", "pdf"):
            plt.savefig(output / f"{name}.{ending}", dpi=200)
    plt.close("all")
    return told


def principal_components(points: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Coordinates [N, 2] along the two directions of most variance, and their shares of it."""
    centred = points - points.mean(0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    shares = lengths**2 / max((lengths**2).sum(), 1e-30)
    return centred @ directions[:2].T, [round(float(share), 4) for share in shares[:2]]
