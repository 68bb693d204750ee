"""A run folder: what is in it, and the one way to create, open, resume and lock it.

config.json      every choice, resolved          model.keras     the trained model
report.json      what it learned                 figures/        pictures of it
metrics.csv      a row an epoch                  checkpoint/     for --resume
predictions.csv  a label for each unlabeled point
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfadgm.config import AFTERWARDS, Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import choose_labels
from tfadgm.data.sources import load_dataset
from tfadgm.errors import InputError
from tfadgm.files import LOCK, locked, replace_file, write_json, writing
from tfadgm.models import BaseModel
from tfadgm.models.base import renamed
from tfadgm.training.checkpoint import CONSTANT, epochs


class Run:
    """The folder of a run, finished or not.

    Examples:
        >>> run = Run(tmp_path / "moons")
        >>> run.exists, run.finished
        (False, False)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints, self.figures = folder / "checkpoint", folder / "figures"
        self._values: dict[str, Any] | None = None

    # What is there.

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return (self.folder / "config.json").exists()

    @property
    def finished(self) -> bool:
        return (self.folder / "report.json").exists()

    @property
    def config(self) -> Config:
        """Raises InputError if there is none."""
        return Config.read(self.folder / "config.json")

    @property
    def report(self) -> dict[str, Any]:
        """Raises InputError unless the run has finished."""
        path = self.folder / "report.json"
        try:
            found = json.loads(path.read_text())
            found["model"], found["dataset"]
            return found
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Expected a finished run in {self.folder}. Received: {type(error).__name__}: {error}"
            ) from None

    def load_model(self) -> BaseModel:
        """The trained model. Raises InputError unless it is one of tfadgm."""
        path = self.folder / "model.keras"
        try:
            model = keras.models.load_model(path, compile=False)
        except Exception as error:  # Keras and zipfile raise many kinds for a file that is damaged
            raise InputError(
                f"Expected the model of a run in {path}. "
                f"Received: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            ) from error
        if not isinstance(model, BaseModel):
            raise InputError(f"Expected a model of tfadgm in {path}. Received: {type(model).__name__}")
        return model

    def load_dataset(self) -> Dataset:
        """Its data, with the labels that training saw and no others."""
        return labeled_dataset(self.config)

    # How a run begins and goes on.

    @contextlib.contextmanager
    def open(self, resume: bool) -> Iterator[None]:
        """Makes the folder of a new run, or finds one to resume, and keeps other processes out of it.

        Raises:
            InputError: if there is a run or none, or the folder is in use or cannot be written. A new folder is not
                left behind by an InputError before the first checkpoint.
        """
        self._check(resume)
        existed = self.folder.exists()
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder, "a run"):
            try:
                self._check(resume)  # another process may have been faster
                yield
            except InputError:
                if not existed and not epochs(self.checkpoints):
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise

    def _check(self, resume: bool) -> None:
        if resume and not self.exists:
            raise InputError(f"Expected a run to resume in {self.folder}. Received a folder without config.json")
        if not resume:
            with writing(self.folder):
                present = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
            if any(name != LOCK and ".partial" not in name for name in present):
                raise InputError(
                    f"Expected a new run folder. Received the existing {self.folder}: continue it with --resume, "
                    "or name another with --run-dir"
                )

    def resumed(self, changes: dict[str, Any]) -> Config:
        """The configuration to go on with; `changes` may repeat it, or raise its epochs.

        A run whose step size falls goes on from the end of its constant step size, if it has come there.

        Raises:
            InputError: if a change contradicts the run.
        """
        path, changes = self.folder / "config.json", renamed(changes)
        saved = self.config
        wanted = saved.replace(**changes)
        constant = not saved.decay or (self.checkpoints / CONSTANT).exists()
        longer = ", or more epochs," if constant else ""
        for name in changes:
            kept, value = getattr(saved, name), getattr(wanted, name)
            lengthened = longer and name == "epochs" and value > kept
            if name not in ("dataset", "data_dir", *AFTERWARDS) and value != kept and not lengthened:
                raise InputError(f"Expected {name}={kept} as in {path}{longer} to resume. Received: {name}={value}")
        # Fields of other models, which version 0.1 wrote too, are part of the name of its runs.
        self._values = renamed(json.loads(path.read_text())) | changes
        return wanted

    def values(self, config: Config) -> dict[str, Any]:
        """What config.json holds of `config`."""
        return config.flat() if self._values is None else self._values

    def begin(self, config: Config) -> None:
        """Writes the configuration, once training can begin; what an earlier part reported is no longer true."""
        for name in ("report.json", "model.keras", "predictions.csv"):
            with writing(self.folder):
                (self.folder / name).unlink(missing_ok=True)
        write_json(self.folder / "config.json", self.values(config))

    def save_model(self, model: BaseModel) -> None:
        replace_file(self.folder / "model.keras", model.save)

    def save_report(self, report: dict[str, Any]) -> None:
        write_json(self.folder / "report.json", report)


def labeled_dataset(config: Config) -> Dataset:
    """The data of `config`, with the labels that training sees and no others.

    Raises:
        InputError: if the data is absent, unreadable or not usable.
    """
    dataset = whole_dataset(config)
    if config.is_density:
        return dataclasses.replace(dataset, y=np.full_like(dataset.y, UNLABELED))
    seed = config.seed if config.label_seed is None else config.label_seed
    return choose_labels(dataset, config.labels, seed, proportional=config.label_choice == "proportional")


def whole_dataset(config: Config) -> Dataset:
    """The data of `config` with every label that their source has; errors as in `load_dataset`."""
    own = {name: getattr(config, name) for name in ("target", "columns", "image_size", "strict")}
    return load_dataset(config.dataset, config.data_dir, config.seed, **own)


def default_folder(config: Config) -> Path:
    """`runs/<dataset>-<model>-<labels>-<seed>`; for files of one name, with the folders that tell them apart."""
    folder, parents = Path("runs") / config.name, Path(config.dataset).expanduser().resolve().parent
    for parent in (parents, *parents.parents):
        run = Run(folder)
        if not run.exists or _same_data(run, config):
            break
        folder = folder.with_name(f"{parent.name}-{folder.name}")
    return folder


def _same_data(run: Run, config: Config) -> bool:
    try:
        kept = run.config.dataset
    except InputError:
        return True  # which is told where the run is opened
    return kept == config.dataset or Path(kept).resolve() == Path(config.dataset).expanduser().resolve()
