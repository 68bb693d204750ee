"""What happens after a step and after an epoch."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfadgm.errors import TrainingError
from tfadgm.files import write_text
from tfadgm.training.checkpoint import CONSTANT, Progress, save_checkpoint

SAVE_EVERY = 10.0  # seconds; what a kill costs at most, if an epoch takes no longer

EpochMetrics = Callable[[keras.Model], dict[str, float | None]]


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends training at the first loss that is not finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite(float((logs or {})["loss"])):
            raise TrainingError(
                f"Expected a finite loss. Received NaN or infinity at step {int(self.model.optimizer.iterations)}. "
                "Likely causes: the learning rate is too high, or features far outside the range of the rest. "
                "The last good checkpoint is kept"
            )


class Recorder(keras.callbacks.Callback):
    """Keeps the metrics of every epoch, and a checkpoint if it is time.

    Args:
        progress: is brought up to date.
        folder: of the run.
        run: fingerprint of the run.
        constant: that of the same run whose step size does not fall.
        until: the epoch at whose end the step size begins to fall; 0 if it does not.
        each: epochs that are one to Keras.
        epoch_metrics: more to measure of the averaged weights, logged as `test_...`.
    """

    def __init__(
        self,
        progress: Progress,
        folder: Path,
        run: str,
        constant: str,
        until: int,
        each: int,
        epoch_metrics: EpochMetrics | None,
    ) -> None:
        super().__init__()
        self.progress, self.folder, self.run, self.constant, self.until = progress, folder, run, constant, until
        self.each, self.epoch_metrics, self.saved = each, epoch_metrics, time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs, checkpoints = {} if logs is None else logs, self.folder / "checkpoint"
        self.progress.seconds += time.perf_counter() - self.started
        self.progress.epoch = done = self.each * (epoch + 1)
        if self.epoch_metrics is not None:
            with averaged_weights(self.model):
                measured = self.epoch_metrics(self.model)
            logs.update({f"test_{name}": value for name, value in measured.items() if value is not None})
        row = {"epoch": done, "seconds": round(self.progress.seconds, 3)}
        self.progress.history.append(row | {name: float(value) for name, value in logs.items()})
        if done == self.until:
            save_checkpoint(checkpoints / CONSTANT, self.model, self.progress, self.constant)
        if epoch + 1 == self.params["epochs"] or time.perf_counter() - self.saved >= SAVE_EVERY:
            save_checkpoint(checkpoints, self.model, self.progress, self.run)
            self.saved = time.perf_counter()
        write_history(self.folder / "metrics.csv", self.progress.history)


@contextlib.contextmanager
def averaged_weights(model: Any) -> Iterator[None]:
    """The model with its weight averages, as it will be after training."""
    if not model.optimizer.use_ema:
        yield
        return

    def swap() -> None:
        # Keras has no public name for the averages; its own SwapEMAWeights reads the same attribute.
        averages = model.optimizer._model_variables_moving_average
        for variable, average in zip(model.trainable_variables, averages, strict=True):
            weight = tf.identity(variable.value)
            variable.assign(average)
            average.assign(weight)

    model.traced(swap)()
    try:
        yield
    finally:
        model.traced(swap)()


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One row an epoch with every column that any has, rewritten whole, so that a resumed run leaves no row twice."""
    text = io.StringIO()
    if history:
        columns = dict.fromkeys(name for row in history for name in row)
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    write_text(path, text.getvalue())
