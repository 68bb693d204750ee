"""The part of Keras Tuner that chooses values, made to survive a kill at any moment and to go on as without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.src import utils

from tfadgm.training import write_text
from tuner import space as spaces

ALGORITHMS = "random", "bayesian", "hyperband"
HYPERBAND_FACTOR = 3


def save_json(path: str, content: Any) -> str:
    """Keras Tuner's, but a file is replaced whole: a kill while it is written leaves the old one."""
    text = json.dumps(content)
    write_text(Path(path), text)
    return text


utils.save_json = save_json


class Resumed:
    """What an oracle does after a reload, where the trials' own files may be ahead of its own.

    held: the trials that were going on, by worker.
    """

    held: dict[str, Any] = {}  # noqa: RUF012  replaced as a whole

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)  # type: ignore[misc]
        self.held = dict(self.ongoing_trials)  # type: ignore[attr-defined]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As Keras Tuner's, in float32: as exact as its protocol, so that a trial can go on in any process."""
        found = super().populate_space(trial_id)  # type: ignore[misc]
        values = (found.get("values") or {}).items()
        return found | {"values": {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in values}}

    def reload(self) -> None:
        super().reload()  # type: ignore[misc]
        oracle: Any = self
        for name in set(oracle.trials) - set(oracle.start_order):  # begun, but not noted: it will be drawn again
            del oracle.trials[name]
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
        return super().populate_space(trial_id)


def make_oracle(algorithm: str, objective: str, space: spaces.Space, trials: int, epochs: int, seed: int) -> Any:
    """The oracle of a search: at most `trials` trials, or as many as hyperband makes of `epochs`."""
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective, "min"),
        "hyperparameters": spaces.hyperparameters(space),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed + 1,  # Keras Tuner takes 0 for none
        "max_retries_per_trial": 1,  # where its worker was lost
        "max_consecutive_failed_trials": trials + 1,  # a trial that diverges tells something, too
    }
    if algorithm == "hyperband":
        return HyperbandOracle(max_epochs=epochs, factor=HYPERBAND_FACTOR, **options)
    return (BayesianOracle if algorithm == "bayesian" else RandomOracle)(max_trials=trials, **options)
