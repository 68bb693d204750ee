"""The search itself: Keras Tuner chooses values, a `TrialScorer` scores them, nothing fails in silence."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tfadgm.errors import TrainingError
from tuner.keras_tuner_private import ENDED
from tuner.objectives import clean
from tuner.process import ProcessKilled, Scorer
from tuner.progress import tell

PAUSE = 1.0  # seconds before a worker that had nothing to do asks again
ALL = 10**9  # more trials than a search has


@dataclasses.dataclass
class Search:
    """Runs the trials of an oracle.

    Args:
        oracle: chooses the values of trials, in this process or that of a chief.
        folder: of the search.
        decay: whether the step size falls, so that a longer training cannot go on with a shorter one.
    """

    oracle: Any
    folder: Path
    decay: bool = False
    lock: Any = dataclasses.field(default_factory=threading.RLock)  # of the oracle, which is not made for threads

    def run_all(self, scorers: Sequence[Scorer]) -> None:
        """As `run`, with scorers that work side by side."""
        if len(scorers) == 1:
            self.run(scorers[0])
            return
        workers = [(scorer, f"worker{number}") for number, scorer in enumerate(scorers, start=1)]
        with ThreadPool(len(workers)) as pool:  # of daemons, for which an interrupt does not wait
            for _ in pool.imap_unordered(lambda worker: self.run(*worker), workers):
                pass

    def run(self, scorer: Scorer, worker: str = "tuner0") -> None:
        """Runs trials until there are none left. A divergence fails its trial; any other error ends the search."""
        while True:
            with self.lock:
                trial = self.oracle.create_trial(worker)
            if trial.status == "STOPPED":
                return
            if trial.status == "IDLE":
                time.sleep(PAUSE)
                continue
            scores, message = {}, None
            try:
                scores, status = self._scores(trial, scorer), "COMPLETED"
            except ProcessKilled as error:
                status, message = "INVALID", str(error)  # the trial goes on from its checkpoint, once
            except TrainingError as error:
                status, message = "FAILED", str(error)
            with self.lock:  # an oracle of this process has the same trial, which is not completed before its scores
                if scores:
                    self.oracle.update_trial(trial.trial_id, scores)
                trial.status, trial.message = status, message
                self.oracle.end_trial(trial)
                told = self.oracle.get_trial(trial.trial_id)
                if told.status in ENDED and "tuner/epochs" not in trial.hyperparameters.values:
                    clean(self.folder / "trainings" / trial.trial_id)  # hyperband may go on with it; so may another
                tell(outcome(self.oracle, trial.trial_id, message))

    def _scores(self, trial: Any, scorer: Scorer) -> dict[str, float]:
        started, told = time.perf_counter(), trial.hyperparameters.values
        epochs, before, values = told.get("tuner/epochs"), told.get("tuner/trial_id"), own_values(told)
        folder = self.folder / "trainings" / trial.trial_id
        if before is not None and not values.get("decay", self.decay) and not folder.exists():
            partial = folder.with_name(f"{trial.trial_id}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self.folder / "trainings" / before, partial)  # hyperband goes on where that one ended
            partial.rename(folder)
        scores = scorer(values, folder, epochs=epochs)
        shown = values if epochs is None else values | {"epochs": epochs}
        write_hparams(self.folder / "tensorboard" / trial.trial_id, trial.trial_id, shown, scores)
        return scores | {"seconds": time.perf_counter() - started}


def own_values(values: dict[str, Any]) -> dict[str, Any]:
    """Without what hyperband adds."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def outcome(oracle: Any, trial_id: str, message: str | None = None) -> str:
    """A line on a trial that has ended; `message` where the oracle's protocol leaves it out."""
    trial = oracle.get_trial(trial_id)
    if trial.status != "COMPLETED":
        how = "failed" if trial.status in ENDED else "will go on"
        return f"Trial {trial_id}: {how}: " + (trial.message or message or "no message").strip().splitlines()[-1]
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
