"""The part of Keras Tuner that chooses values, made to survive a kill at any moment and to go on as without it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.src import utils
from keras_tuner.src.engine import hyperparameters
from sklearn.exceptions import ConvergenceWarning

from tfadgm.training import write_text
from tuner import space as spaces

ALGORITHMS = "random", "bayesian", "hyperband"
HYPERBAND_FACTOR = 3
INITIAL_SHARE = 3  # a third of bayesian's trials are drawn before its Gaussian process is asked
NEVER = 10**9


def save_json(path: str, content: Any) -> str:
    """Keras Tuner's, but a file is replaced whole: a kill while it is written leaves the old one."""
    text = json.dumps(content)
    write_text(Path(path), text)
    return text


utils.save_json = save_json


class Resumed:
    """What an oracle does after a reload, where the trials' own files may be ahead of its own.

    held: the trials that were going on, by worker.
    ended: whether a chief has told a worker that there are no more trials.
    first: the values of the first trial, which are not drawn.
    """

    held: dict[str, Any] = {}  # noqa: RUF012  replaced as a whole
    ended = False
    first: dict[str, Any] | None = None

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"ended": self.ended}  # type: ignore[misc]

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)  # type: ignore[misc]
        oracle: Any = self
        self.ended = state.get("ended", False)
        # Keras Tuner saves a trial that is to be retried while it still counts as going on.
        self.held = {
            k: trial for k, trial in oracle.ongoing_trials.items() if trial.trial_id not in oracle._retry_queue
        }
        oracle.ongoing_trials = dict(self.held)

    def _random_values(self) -> dict[str, Any] | None:
        oracle: Any = self
        if self.first is not None and not oracle._tried_so_far:
            return dict(self.first)
        return super()._random_values()  # type: ignore[misc]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As Keras Tuner's, in float32: as exact as its protocol, so that a trial can go on in any process.

        Keras Tuner's Gaussian process draws whole numbers that are one above their range.
        """
        return self._exact(super().populate_space(trial_id))  # type: ignore[misc]

    def _exact(self, found: dict[str, Any]) -> dict[str, Any]:
        oracle: Any = self
        whole = [one for one in oracle.hyperparameters.space if isinstance(one, hyperparameters.Int)]
        largest = {one.name: one.max_value for one in whole}
        values = (found.get("values") or {}).items()
        return found | {
            "values": {name: spaces.in_float32(min(value, largest.get(name, value))) for name, value in values}
        }

    def reload(self) -> None:
        super().reload()  # type: ignore[misc]
        oracle: Any = self
        # A trial that has begun but is not noted will be drawn again. The order, which that of files has replaced,
        # matters to a Gaussian process in its last digits.
        oracle.trials = {name: oracle.trials[name] for name in oracle.start_order if name in oracle.trials}
        for name in list(oracle._retry_queue):  # ended, but not noted
            if oracle.trials[name].status in ("COMPLETED", "FAILED"):
                oracle._retry_queue.remove(name)
                if name not in oracle.end_order:
                    oracle.end_order.append(name)


class RandomOracle(Resumed, keras_tuner.oracles.RandomSearchOracle):
    """Independent draws."""


class HyperbandOracle(Resumed, keras_tuner.oracles.HyperbandOracle):
    """Many trials of few epochs, the best of which go on (Li et al. 2018)."""


class BayesianOracle(Resumed, keras_tuner.oracles.BayesianOptimizationOracle):
    """Draws where a Gaussian process hopes for most. Its random state is not saved, so every trial has its own."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self._random_state = np.random.RandomState(self.seed + int(trial_id))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a few trials leave the process's scale open
            found = super().populate_space(trial_id)
        if found["values"] and self._duplicate(found["values"]):  # which would say the same again
            return self._exact(self._random_populate_space())
        return found

    def _vectorize_trials(self) -> Any:
        """As Keras Tuner's, but of ended and ongoing trials alone, and ongoing ones as the ended ones let expect."""
        trials: dict[str, Any] = self.trials  # type: ignore[has-type]
        ongoing = {trial.trial_id for trial in self.ongoing_trials.values()}
        completed = {name: trial for name, trial in trials.items() if trial.status == "COMPLETED"}
        try:
            if ongoing:
                self.trials = completed
                self.gpr.fit(*super()._vectorize_trials())
            self.trials = {name: trial for name, trial in trials.items() if name in completed or name in ongoing}
            return super()._vectorize_trials()
        finally:
            self.trials = trials


def make_oracle(
    algorithm: str,
    objective: str,
    space: spaces.Space,
    trials: int,
    epochs: int,
    seed: int,
    first: dict[str, Any] | None = None,
) -> Any:
    """The oracle of a search: `first`, then up to `trials` in all, or as many as hyperband makes of `epochs`."""
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective, "min"),
        "hyperparameters": spaces.hyperparameters(space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # Keras Tuner takes 0 for none
        "max_retries_per_trial": 1,  # where its worker was lost
        "max_consecutive_failed_trials": NEVER,  # a trial that diverges tells something, too
    }
    oracle: Any
    if algorithm == "hyperband":
        oracle = HyperbandOracle(max_epochs=epochs, factor=HYPERBAND_FACTOR, **options)
    elif algorithm == "bayesian":
        initial = max(3, trials // INITIAL_SHARE)
        oracle = BayesianOracle(max_trials=trials, num_initial_points=initial, **options)
    else:
        oracle = RandomOracle(max_trials=trials, **options)
    oracle.first = first
    return oracle
