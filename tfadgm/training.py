"""From a configuration to a trained model in a run folder."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm import models
from tfadgm.checkpoint import CONSTANT, Progress, restore_checkpoint, save_checkpoint, writing
from tfadgm.config import AUXILIARY, DENSITY, Config
from tfadgm.data.sources import Dataset
from tfadgm.data.streams import mixed_stream, steps_per_epoch
from tfadgm.errors import TrainingError
from tfadgm.evaluation import scores

SAVE_EVERY = 10.0  # seconds; what a kill costs at most, if an epoch takes no longer
ALPHA_SCALE = 0.1  # alpha = 0.1 N / N_labeled (Maaløe et al. 2016, section 3.3)


def build_model(config: Config, dataset: Dataset, labels: int) -> models.Model:
    """The compiled model of `config` for training points of `dataset`, `labels` of them labeled."""
    keras.utils.set_random_seed(config.seed)
    points = len(dataset.x)
    steps = steps_per_epoch(points, config.unlabeled_batch)
    options = density_options(config) if config.model in DENSITY else label_options(config, dataset, labels)
    if config.model in AUXILIARY:
        options["auxiliary_units"] = config.auxiliary_units
    if config.auxiliary_hidden_units is not None:
        options["auxiliary_hidden_units"] = config.auxiliary_hidden_units
    model = models.named(config.model)(
        dataset.x.shape[1:],
        latent_units=config.latent_units,
        hidden_units=config.hidden_units,
        batch_norm=config.batch_norm,
        likelihood=dataset.likelihood if config.likelihood == "auto" else config.likelihood,
        draws=config.draws,
        binarize=config.binarize,
        dequantize=config.dequantize,
        weight_prior=config.weight_prior / points,
        warm_up=config.warm_up * steps,
        clip_norm=config.clip_norm,
        seed=config.seed,
        xla=config.xla,
        **options,
    )
    model.adapt(dataset.x)
    average = {"use_ema": True, "ema_momentum": config.weight_average} if config.weight_average else {}
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate(config, steps), **average),
        steps_per_execution=steps_per_execution(steps),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def label_options(config: Config, dataset: Dataset, labels: int) -> dict[str, Any]:
    """What a model that learns from labels takes beside the options of all."""
    return {
        "classes": dataset.classes,
        "marginalization": config.marginalization,
        "samples": config.samples,
        "alpha": ALPHA_SCALE * len(dataset.x) / labels if config.alpha is None else config.alpha,
        "labeled_weight": config.labeled_weight,
        "adversarial_radius": config.adversarial_radius,
        "adversarial_weight": config.adversarial_weight,
        "prior_matching": config.prior_matching,
        "prior_tolerance": config.prior_tolerance,
    }


def density_options(config: Config) -> dict[str, Any]:
    """What a model of x alone takes beside the options of all."""
    options = {"stochastic_layers": config.stochastic_layers, "mc_samples": config.mc_samples}
    if config.importance_samples is not None:
        options["importance_samples"] = config.importance_samples
    return options


def learning_rate(config: Config, steps: int) -> float | keras.optimizers.schedules.CosineDecay:
    """The step size: constant, then falling to zero over the last `decay` of all epochs of `steps` steps."""
    if not config.decay or config.epochs is None:
        return config.learning_rate
    hold = constant_steps(config, steps)
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.epochs * steps - hold, warmup_target=config.learning_rate, warmup_steps=hold
    )


def constant_steps(config: Config, steps: int) -> int:
    """How many steps come before the step size falls."""
    return round((1 - config.decay) * (config.epochs or 0) * steps)


def steps_per_execution(steps: int) -> int:
    """The largest divisor of `steps` up to 20: steps that run without a return to Python."""
    return max(divisor for divisor in range(1, 21) if steps % divisor == 0)


def train(
    config: Config,
    dataset: Dataset,
    label_indices: np.ndarray,
    run_dir: Path,
    resume: bool = False,
    verbose: int | None = None,
) -> tuple[models.Model, Progress]:
    """Trains to the last epoch of `config`, or from the newest checkpoint on, and leaves the averaged weights.

    A resumed run ends with the weights of an uninterrupted one, bit for bit on the same machine: batches and noise
    depend on the seed and the step alone. `verbose` is Keras's, by default a progress bar where somebody looks on.

    Raises:
        InputError: if the checkpoint to resume is damaged or of another run, or the disk is full.
        TrainingError: if the loss is not finite.
    """
    model = build_model(config, dataset, len(label_indices))
    run = fingerprint(config, dataset, label_indices)
    folder = run_dir / "checkpoint"
    steps = steps_per_epoch(len(dataset.x), config.unlabeled_batch)
    constant = fingerprint(dataclasses.replace(config, decay=0.0), dataset, label_indices)
    until = constant_steps(config, steps) // steps if config.decay else 0  # a run without decay needs no such state
    progress = restore_checkpoint(folder, model, run, constant, until) if resume else Progress()
    if not any(folder.glob("[0-9]*")):
        save_checkpoint(folder, model, progress, run)
    stream = mixed_stream(
        dataset.x,
        dataset.y,
        label_indices,
        labeled_batch=config.labeled_batch,
        unlabeled_batch=config.unlabeled_batch,
        seed=config.seed,
        first_step=progress.epoch * steps,
    )
    model.fit(
        stream,
        epochs=config.epochs,
        initial_epoch=progress.epoch,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=(1 if sys.stdout.isatty() else 2) if verbose is None else verbose,
        callbacks=[
            StopOnNonFiniteLoss(),
            EpochEnd(progress, dataset, run_dir, run, constant, until),
            keras.callbacks.TensorBoard(run_dir / "tensorboard", write_graph=False),
        ],
    )
    return model, progress


def count_flops(model: models.Model, batch: dict[str, Any]) -> int:
    """Operations of the matrix products in one training step, from the shapes in its graph: 2 n k m for each."""
    graph = tf.function(model._update).get_concrete_function(batch).graph
    total = 0
    for op in graph.get_operations():
        if op.type in ("MatMul", "BatchMatMulV2"):
            inner = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
            total += 2 * inner * op.outputs[0].shape.num_elements()
    return total


def fingerprint(config: Config, dataset: Dataset, label_indices: np.ndarray) -> str:
    """Names a run by all that decides its weights; how long it trains does so if the step size decays."""
    free = ["dataset", "data_dir"] + ["epochs"] * (not config.decay)  # the arrays stand for the first two
    defaults = dataclasses.asdict(Config())  # a field that is added later leaves the name of older runs as it was
    choices = {
        field: value for field, value in dataclasses.asdict(config).items()
        if field not in free and value != defaults[field]
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(choices, sort_keys=True).encode())
    for array in (dataset.x, dataset.y[label_indices], label_indices):
        digest.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends training at the first loss that is not finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite(float((logs or {})["loss"])):
            raise TrainingError(
                f"Expected a finite loss. Received NaN or infinity at step {int(self.model.optimizer.iterations)}. "
                "Likely causes: the learning rate is too high, or features far outside the range of the rest. "
                "The last good checkpoint is kept"
            )


class EpochEnd(keras.callbacks.Callback):
    """Scores the averaged weights on the test points, for the record only, and saves a checkpoint if it is time."""

    def __init__(
        self, progress: Progress, dataset: Dataset, run_dir: Path, run: str, constant: str, until: int
    ) -> None:
        super().__init__()
        self.progress, self.dataset, self.run_dir, self.run = progress, dataset, run_dir, run
        self.constant, self.until = constant, until
        self.saved = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        self.progress.seconds += time.perf_counter() - self.started
        self.progress.epoch = epoch + 1
        with averaged_weights(self.model):
            found = scores(self.model, self.dataset.x_test, self.dataset.y_test)
        logs.update({f"test_{name}": value for name, value in found.items() if value is not None})
        row = {"epoch": epoch + 1, "seconds": round(self.progress.seconds, 3)}
        self.progress.history.append(row | {name: float(value) for name, value in logs.items()})
        if epoch + 1 == self.until:
            save_checkpoint(self.run_dir / "checkpoint" / CONSTANT, self.model, self.progress, self.constant)
        if epoch + 1 == self.params["epochs"] or time.perf_counter() - self.saved >= SAVE_EVERY:
            save_checkpoint(self.run_dir / "checkpoint", self.model, self.progress, self.run)
            self.saved = time.perf_counter()
        write_history(self.run_dir / "metrics.csv", self.progress.history)


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """The model with its weight averages, as it will be after training."""
    if not model.optimizer.use_ema:
        yield
        return
    variables = model.trainable_variables
    weights = [variable.numpy() for variable in variables]
    # Keras has no public name for the averages; its own SwapEMAWeights reads the same attribute.
    for variable, average in zip(variables, model.optimizer._model_variables_moving_average, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One row an epoch, rewritten whole, so that a resumed run leaves no row twice."""
    text = io.StringIO()
    if history:
        writer = csv.DictWriter(text, history[-1], lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Replaces `path` whole. Raises InputError if the disk does not take it."""
    partial = path.with_name(path.name + ".partial")
    with writing(path):
        partial.write_text(text)
        partial.replace(path)
