"""Checkpoints of a run: one folder an epoch, complete or absent.

    checkpoint/00007/variables.npz   weights, optimizer and weight averages after 7 epochs
    checkpoint/00007/state.json      history, duration, checksum, and the fingerprint of the run it belongs to
    checkpoint/constant/00500/       the last before the step size falls, where a longer run goes on

A folder is written under another name and renamed when it is complete; the two newest are kept. The variables are
plain NumPy arrays, because h5py crashes the process when a disk is full.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfadgm.errors import InputError, TrainingError

VARIABLES, STATE, CONSTANT = "variables.npz", "state.json", "constant"
KEPT = 2


@dataclasses.dataclass
class Progress:
    """Where a run stands: epochs done, seconds of training, and one row of metrics an epoch."""

    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


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
    final, partial = folder / f"{progress.epoch:05d}", folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    with writing(folder):
        partial.mkdir(parents=True)
        np.savez(partial / VARIABLES, **{name: variable.numpy() for name, variable in _variables(model).items()})
        state = dataclasses.asdict(progress) | {"fingerprint": fingerprint, "sha256": _sha256(partial / VARIABLES)}
        (partial / STATE).write_text(json.dumps(state))
        shutil.rmtree(final, ignore_errors=True)  # of a run that was killed, and comes here again
        partial.rename(final)
    for old in _epochs(folder)[:-KEPT]:
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
            for old in _epochs(folder):
                shutil.rmtree(old)
            newest, fingerprint = shorter, constant
    if newest is None:
        return Progress()
    path, progress, stored = newest
    if stored != fingerprint:
        raise InputError(f"Expected a checkpoint of this configuration and data in {path}. Received one of another run")
    with np.load(path / VARIABLES, allow_pickle=False) as arrays:
        for name, variable in _variables(model).items():
            variable.assign(arrays[name])
    return progress


def _newest(folder: Path) -> tuple[Path, Progress, str] | None:
    """The newest checkpoint of `folder`, where its run stands, and its fingerprint."""
    epochs = _epochs(folder)
    if not epochs:
        return None
    newest = epochs[-1]
    try:
        state = json.loads((newest / STATE).read_text())
        stored, checksum = state.pop("fingerprint"), state.pop("sha256")
        progress = Progress(**state)
        damaged = checksum != _sha256(newest / VARIABLES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        damaged = True
    if damaged:
        raise InputError(
            f"Expected a complete checkpoint. Received a damaged one: delete {newest} to resume from "
            + ("the one before it" if len(epochs) > 1 else "no checkpoint, or start again without --resume")
        )
    return newest, progress, stored


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tells a full or unwritable disk in one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Expected to write to {path}. Received: {error}") from error


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """All variables of the model and its optimizer, by their place in the order of creation."""
    return {f"{index:04d}": variable for index, variable in enumerate([*model.weights, *model.optimizer.variables])}


def _epochs(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("[0-9]*") if path.is_dir()), key=lambda path: int(path.name))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
