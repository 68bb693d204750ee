"""Checkpoints of a run: one folder an epoch, complete or absent.

    checkpoint/00007/variables.npz   weights, optimizer and weight averages after 7 epochs
    checkpoint/00007/state.json      history, duration, checksum, and the fingerprint of the run it belongs to
    checkpoint/constant/00500/       the last before the step size falls, where a longer run goes on

The two newest are kept. The variables are plain NumPy arrays: h5py crashes the process when a disk is full.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfadgm.errors import InputError, TrainingError
from tfadgm.files import file_digest, new_folder

VARIABLES, STATE, CONSTANT, PARTIAL = "variables.npz", "state.json", "constant", "partial"
KEPT = 2
# Columns of version 0.1 by their names of today.
OLD_COLUMNS = {"labeled_bound": "labeled_elbo", "unlabeled_bound": "unlabeled_elbo", "bound": "elbo",
               "test_bound": "test_elbo"}  # fmt: skip


@dataclasses.dataclass
class Progress:
    """Where a run stands.

    Args:
        epoch: epochs done.
        seconds: of training.
        history: one row of metrics an epoch.
        tests: digest of the test points that the rows tell of; empty where there are none.
    """

    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    tests: str = ""


def save_checkpoint(folder: Path, model: keras.Model, progress: Progress, fingerprint: str) -> None:
    """Writes the checkpoint of `progress.epoch` into `folder` and drops older ones.

    Raises:
        TrainingError: if a weight is not finite; the older checkpoints stay.
        InputError: if the disk does not take it; the older checkpoints stay.
    """
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise TrainingError(
                f"Expected finite weights after step {int(model.optimizer.iterations)}, epoch {progress.epoch}. "
                "Received NaN or infinity. A likely cause: too high a learning rate. The last good checkpoint is kept"
            )
    with new_folder(folder / f"{progress.epoch:05d}", folder / PARTIAL) as partial:
        np.savez(partial / VARIABLES, **{name: variable.numpy() for name, variable in _variables(model).items()})
        state = dataclasses.asdict(progress) | {"fingerprint": fingerprint, "sha256": file_digest(partial / VARIABLES)}
        (partial / STATE).write_text(json.dumps(state))
    for old in epochs(folder)[:-KEPT]:
        shutil.rmtree(old)


def restore_checkpoint(
    folder: Path, model: keras.Model, fingerprint: str, constant: str = "", until: int = 0
) -> Progress:
    """Loads the newest checkpoint of `folder` into `model` and its optimizer; without any, all is yet to be done.

    Until epoch `until` the run is the one that `constant` names, whose step size does not fall: where the newest
    checkpoint is of a shorter run, the one is taken that it left before its step size fell, and the rest is dropped.

    Raises:
        InputError: if it is damaged or of another run.
    """
    newest = _newest(folder)
    if newest is None or newest[2] != fingerprint:
        shorter = _newest(folder / CONSTANT)
        if shorter is not None and shorter[2] == constant and shorter[1].epoch <= until:
            for old in epochs(folder):
                shutil.rmtree(old)
            newest, fingerprint = shorter, constant
    if newest is None:
        return Progress()
    path, progress, stored = newest
    if stored != fingerprint:
        raise InputError(f"Expected a checkpoint of this configuration and data in {path}. Received one of another run")
    _assign(model, path / VARIABLES)
    return progress


def epochs(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, the oldest first."""
    found = (path for path in folder.glob("[0-9]*") if path.name.isdigit() and path.is_dir())
    return sorted(found, key=lambda path: int(path.name))


def _assign(model: keras.Model, path: Path) -> None:
    variables = _variables(model)
    with np.load(path, allow_pickle=False) as arrays:
        stored = {name: arrays[name] for name in arrays.files}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if {name: array.shape for name, array in stored.items()} != shapes:
        raise InputError(
            f"Expected the {len(shapes)} variables of this model in {path}. Received {len(stored)}, or other shapes: "
            "they were written by another version of tfadgm or Keras"
        )
    for name, variable in variables.items():
        variable.assign(stored[name])


def _newest(folder: Path) -> tuple[Path, Progress, str] | None:
    """The newest checkpoint of `folder`, where its run stands, and its fingerprint."""
    found = epochs(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        state = json.loads((newest / STATE).read_text())
        stored, checksum = state.pop("fingerprint"), state.pop("sha256")
        progress = Progress(**state)
        progress.history = [{OLD_COLUMNS.get(k, k): v for k, v in row.items()} for row in progress.history]
        damaged = checksum != file_digest(newest / VARIABLES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = True
    if damaged:
        raise InputError(
            f"Expected a complete checkpoint. Received a damaged one: delete {newest} to resume from "
            + ("the one before it" if len(found) > 1 else "no checkpoint, or start again without --resume")
        )
    return newest, progress, stored


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """All variables of the model and its optimizer, by their place in the order of creation."""
    return {f"{index:04d}": variable for index, variable in enumerate([*model.weights, *model.optimizer.variables])}
