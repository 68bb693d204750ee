"""The search itself: Keras Tuner chooses values, a Judge scores them, nothing fails in silence."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import base_tuner
from keras_tuner.src import config

from tfadgm.errors import InputError, TrainingError
from tuner.apart import Apart
from tuner.client import ChiefLost, Client, TrialTaken
from tuner.objectives import Judge, clean
from tuner.progress import tell

ENDED = "COMPLETED", "FAILED"
ALL = 10**9  # more trials than a search has

config.DEBUG = False  # Keras Tuner prints the traceback of a failed trial; a line is printed here


class Search(base_tuner.BaseTuner):
    """Runs the trials of an oracle in `folder`."""

    def __init__(self, oracle: Any, judge: Judge | Apart, folder: Path) -> None:
        super().__init__(oracle, directory=str(folder), project_name="trials")
        self.judge, self.folder = judge, folder
        if self._is_worker():
            self.oracle = Client(oracle)
        self.oracle.verbose = 0
        if not Path(self._get_tuner_fname()).exists():
            self.save()  # Keras Tuner reloads a search only if this file is there

    def run_trial(self, trial: Any) -> dict[str, float]:
        """The scores of a trial. A divergence fails the trial; any other error is a mistake and ends the search."""
        started = time.perf_counter()
        told = trial.hyperparameters.values
        epochs, before, values = told.get("tuner/epochs"), told.get("tuner/trial_id"), own_values(told)
        folder = self.folder / "trainings" / trial.trial_id
        try:
            if before is not None and not self.judge.base.decay and not folder.exists():
                partial = folder.with_name(f"{trial.trial_id}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(self.folder / "trainings" / before, partial)  # hyperband goes on where that one ended
                partial.rename(folder)
            with self.oracle.beating(trial.trial_id) if self._is_worker() else contextlib.nullcontext():
                scores = self.judge(values, folder, epochs=epochs)
            shown = values if epochs is None else values | {"epochs": epochs}
            write_hparams(self.folder / "tensorboard" / trial.trial_id, trial.trial_id, shown, scores)
        except ChiefLost:
            raise
        except (TrainingError, TrialTaken) as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            if self._is_worker():
                self.oracle.tell_mistake(error)
            raise keras_tuner.errors.FatalError(f"{type(error).__name__}: {error}") from error
        return scores | {"seconds": time.perf_counter() - started}

    def search(self) -> None:
        """Runs trials until there are none left. Raises InputError if a folder or file cannot be used."""
        try:
            super().search()
        except keras_tuner.errors.FatalError as error:
            if isinstance(error.__cause__, InputError):
                raise error.__cause__ from None
            raise

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        ended = self.oracle.get_trial(trial.trial_id).status in ENDED  # else another worker has it
        if ended and "tuner/epochs" not in trial.hyperparameters.values:  # with which hyperband may go on
            clean(self.folder / "trainings" / trial.trial_id)
        tell(outcome(self.oracle, trial.trial_id, trial.message))


def own_values(values: dict[str, Any]) -> dict[str, Any]:
    """Without what hyperband adds."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def outcome(oracle: Any, trial_id: str, message: str | None = None) -> str:
    """A line on a trial that has ended; `message` where the oracle's protocol leaves it out."""
    trial = oracle.get_trial(trial_id)
    if trial.status != "COMPLETED":
        return f"Trial {trial_id}: failed: " + (trial.message or message or "no message").strip().splitlines()[-1]
    epochs = trial.hyperparameters.values.get("tuner/epochs")  # of hyperband, whose trials are of several lengths
    peers = oracle.get_best_trials(1 if epochs is None else ALL)
    best = next(peer for peer in peers if peer.hyperparameters.values.get("tuner/epochs") == epochs)
    seconds = trial.metrics.get_best_value("seconds")
    ended = getattr(oracle, "end_order", None)  # a worker does not know
    return (
        f"Trial {trial_id}: {oracle.objective.name} {trial.score:.4f} in {seconds:.0f} s, "
        f"best {f'of {epochs} epochs ' if epochs else ''}{best.score:.4f} (trial {best.trial_id})"
        + (f", {len(ended)} of {oracle.max_trials} trials" if ended and oracle.max_trials else "")
    )


def write_hparams(folder: Path, name: str, values: dict[str, Any], scores: dict[str, float]) -> None:
    """One session of TensorBoard's HParams."""
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(folder)).as_default():
        api.hparams(values, trial_id=name)
        for key, score in scores.items():
            tf.summary.scalar(key, score, step=0)
