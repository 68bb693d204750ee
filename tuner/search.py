"""The search itself: Keras Tuner chooses values, a Judge scores them, nothing fails in silence."""

from __future__ import annotations

import shutil
import time
import traceback
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import base_tuner
from keras_tuner.src import config

from tfadgm.errors import TrainingError
from tuner.objectives import Judge, clean

config.DEBUG = False  # Keras Tuner prints the traceback of a failed trial; a line is printed here


class Search(base_tuner.BaseTuner):
    """Runs the trials of an oracle in `folder`."""

    def __init__(self, oracle: Any, judge: Judge, folder: Path) -> None:
        super().__init__(oracle, directory=str(folder), project_name="trials")
        self.judge, self.folder = judge, folder
        self.oracle.verbose = 0
        self.save()  # Keras Tuner reloads a search only if this file is there

    def run_trial(self, trial: Any) -> dict[str, float]:
        """The scores of a trial. A divergence fails the trial; any other error is a mistake and ends the search."""
        started = time.perf_counter()
        values = dict(trial.hyperparameters.values)
        epochs = values.pop("tuner/epochs", None)
        folder = self.folder / "trainings" / trial.trial_id
        before = values.pop("tuner/trial_id", None)
        if before is not None and not self.judge.base.decay and not folder.exists():
            shutil.copytree(self.folder / "trainings" / before, folder)  # hyperband goes on where that trial ended
        values = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        try:
            scores = self.judge(values, folder, epochs=epochs)
        except TrainingError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except Exception as error:
            raise keras_tuner.errors.FatalError(traceback.format_exc()) from error
        if epochs is None:
            clean(folder)
        write_hparams(self.folder / "tensorboard" / trial.trial_id, trial.trial_id, values, scores)
        return scores | {"seconds": time.perf_counter() - started}

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        trial = self.oracle.get_trial(trial.trial_id)
        if trial.status == "COMPLETED":
            best = self.oracle.get_best_trials(1)[0]
            text = f"{self.oracle.objective.name} {trial.score:.4f}, best {best.score:.4f} (trial {best.trial_id})"
        else:
            text = "failed: " + (trial.message or "no message").strip().splitlines()[-1]
        print(f"Trial {trial.trial_id}: {text}", flush=True)


def write_hparams(folder: Path, name: str, values: dict[str, Any], scores: dict[str, float]) -> None:
    """One session of TensorBoard's HParams."""
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(folder)).as_default():
        api.hparams(values, trial_id=name)
        for key, score in scores.items():
            tf.summary.scalar(key, score, step=0)
