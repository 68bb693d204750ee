"""Training itself: a model, its streams, its checkpoints. No test point is in its hands."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import models
from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.streams import mixed_stream, steps_per_epoch
from tfadgm.training.build import build_model, constant_steps, epochs_at_once, fingerprint, steps_per_execution
from tfadgm.training.callbacks import EpochMetrics, Recorder, StopOnNonFiniteLoss
from tfadgm.training.checkpoint import Progress, epochs, restore_checkpoint, save_checkpoint


@dataclasses.dataclass
class Training:
    """A model, the data that it learns from, and where it stands. `begin` makes one, `fit` trains it.

    Args:
        config: resolved.
        dataset: whose y holds the labels that training sees.
        folder: of the run.
    """

    config: Config
    dataset: Dataset
    folder: Path
    model: models.BaseModel = dataclasses.field(init=False)
    progress: Progress = dataclasses.field(init=False)

    def begin(self, resume: bool, values: dict[str, Any] | None = None) -> None:
        """Builds the model and, with `resume`, restores its newest checkpoint.

        A resumed run ends with the weights of an uninterrupted one, bit for bit on the same machine: batches and noise
        depend on the seed and the step alone.

        Args:
            resume: whether to go on from a checkpoint.
            values: the configuration as `config.json` has it, which names the run; by default `config`.

        Raises:
            InputError: if the checkpoint is damaged or of another run.
        """
        values = values or self.config.flat()
        self.steps = steps_per_epoch(len(self.dataset.x), self.config.unlabeled_batch)
        self.run = fingerprint(values, self.dataset)
        self.constant = fingerprint(values | {"decay": 0.0}, self.dataset)
        # A run without decay needs no state from before its step size falls.
        self.until = constant_steps(self.config, self.steps) // self.steps if self.config.decay else 0
        self.model = build_model(self.config, self.dataset)
        self.progress = Progress()
        if resume:
            self.progress = restore_checkpoint(
                self.folder / "checkpoint", self.model, self.run, self.constant, self.until
            )

    def fit(self, verbose: int | None = None, epoch_metrics: EpochMetrics | None = None) -> None:
        """Trains to the last epoch and leaves the averaged weights.

        Small data have short epochs, of which several are one to Keras: a return to Python would take longer than they.

        Args:
            verbose: Keras's, by default a progress bar where somebody looks on.
            epoch_metrics: what else to measure after every epoch, for the record only.

        Raises:
            InputError: if the disk is full.
            TrainingError: if the loss is not finite.
        """
        dataset, checkpoints = self.dataset, self.folder / "checkpoint"
        config = fitting_batch(self.config, dataset)
        if not epochs(checkpoints):
            save_checkpoint(checkpoints, self.model, self.progress, self.run)
        each = epochs_at_once(self.steps, config.epochs or 0, self.progress.epoch, self.until)
        self.model.steps_per_execution = steps_per_execution(each * self.steps)
        self.model.fit(
            _stream(config, dataset, self.progress.epoch * self.steps),
            epochs=(config.epochs or 0) // each,
            initial_epoch=self.progress.epoch // each,
            steps_per_epoch=each * self.steps,
            shuffle=False,
            verbose=(1 if sys.stdout.isatty() else 2) if verbose is None else verbose,
            callbacks=[
                StopOnNonFiniteLoss(),
                Recorder(self.progress, self.folder, self.run, self.constant, self.until, each, epoch_metrics),
                keras.callbacks.TensorBoard(self.folder / "tensorboard", write_graph=False),
            ],
        )


def train_on_each(
    config: Config, datasets: Sequence[Dataset], model: models.BaseModel | None = None
) -> Iterator[models.BaseModel]:
    """A resolved `config` trained on one after another of `datasets`, which differ in their labels alone.

    Each time it is the same model, whose step is traced once, from its first weights on; nothing is kept in a folder.

    Args:
        config: every step takes its `labeled_batch`, of fewer labels some more than once.
        datasets: of the same points.
        model: that of an earlier training by `config`, whose compiled step serves again; it ends as it is.

    Raises:
        TrainingError: if a loss is not finite.
    """
    fresh = build_model(config, datasets[0])
    first, steps = _values(fresh), (config.epochs or 0) * steps_per_epoch(len(datasets[0].x), config.unlabeled_batch)
    if model is None:
        model = fresh
        model.steps_per_execution = steps_per_execution(steps)
    last = _values(model)
    try:
        for dataset in datasets:
            _assign(model, first)
            model.fit(
                _stream(config, dataset),
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[StopOnNonFiniteLoss()],
            )
            yield model
    finally:
        _assign(model, last)


def fitting_batch(config: Config, dataset: Dataset) -> Config:
    """`config` whose steps take no more labels than there are."""
    labels = len(dataset.label_indices)
    return config.replace(labeled_batch=min(config.labeled_batch, labels)) if labels else config


def _values(model: models.BaseModel) -> list[np.ndarray]:
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def _assign(model: models.BaseModel, values: list[np.ndarray]) -> None:
    for variable, value in zip((*model.variables, *model.optimizer.variables), values, strict=True):
        variable.assign(value)


def _stream(config: Config, dataset: Dataset, first_step: int = 0) -> tf.data.Dataset:
    return mixed_stream(
        dataset.x,
        dataset.y,
        classes=dataset.classes or None,
        labeled_batch=config.labeled_batch,
        unlabeled_batch=config.unlabeled_batch,
        seed=config.seed,
        first_step=first_step,
    )


def train(
    config: Config, dataset: Dataset, folder: Path, resume: bool = False, verbose: int | None = None
) -> tuple[models.BaseModel, Progress]:
    """The trained model of a resolved `config` in `folder`, and where it stands; errors as in `Training`."""
    training = Training(config, dataset, folder)
    training.begin(resume)
    training.fit(verbose)
    return training.model, training.progress
