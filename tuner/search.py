"""The search itself: Keras Tuner chooses values, a Judge scores them, nothing fails in silence."""

from __future__ import annotations

import shutil
import time
import traceback
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine import base_tuner
from keras_tuner.src import config

from tfadgm.errors import TrainingError
from tuner import space as spaces
from tuner.objectives import Judge, clean

config.DEBUG = False  # Keras Tuner prints the traceback of a failed trial; a line is printed here

ALGORITHMS = "random", "bayesian", "hyperband"
HYPERBAND_FACTOR = 3


class BayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's, which draws the same after a resume: its random state is not saved, so every trial has its own."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self._random_state = np.random.RandomState(self.seed + int(trial_id))
        return super().populate_space(trial_id)


def make_oracle(algorithm: str, objective: str, space: spaces.Space, trial_count: int, epochs: int, seed: int) -> Any:
    """The part of Keras Tuner that chooses values. `trial_count` and `epochs` bound it; hyperband has its own count."""
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective, "min"),
        "hyperparameters": spaces.hyperparameters(space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # Keras Tuner takes 0 for none
        "max_consecutive_failed_trials": trial_count + 1,  # a trial that diverges tells something, too
    }
    if algorithm == "hyperband":
        return keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, factor=HYPERBAND_FACTOR, **options)
    if algorithm == "bayesian":
        return BayesianOracle(max_trials=trial_count, **options)
    return keras_tuner.oracles.RandomSearchOracle(max_trials=trial_count, **options)


class Search(base_tuner.BaseTuner):
    """Runs the trials of an oracle in `folder`."""

    def __init__(self, oracle: Any, judge: Judge, folder: Path) -> None:
        super().__init__(oracle, directory=str(folder), project_name="trials")
        self.judge, self.folder = judge, folder
        self.oracle.verbose = 0

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
