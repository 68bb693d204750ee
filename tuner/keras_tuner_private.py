"""Every name that this package takes from Keras Tuner beyond its documentation.

Nothing else imports `keras_tuner.src` or touches a name of Keras Tuner with an underscore. A version may rename them:
tests/tuner/test_keras_tuner_private.py tells which.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from tfadgm.errors import InputError, extra
from tfadgm.files import write_json
from tuner.space import Range, Space, in_float32
from tuner.spec import SearchSpec

with extra("tune"):
    import keras_tuner
    from keras_tuner.src import protos, utils
    from keras_tuner.src.distribute.oracle_chief import OracleServicer
    from keras_tuner.src.distribute.oracle_client import OracleClient
    from keras_tuner.src.engine.hyperparameters import HyperParameters, Int
    from keras_tuner.src.engine.trial import Trial

HYPERBAND_FACTOR = 3
INITIAL_SHARE = 3  # a third of bayesian's trials are drawn before its Gaussian process is asked
NEVER = 10**9
ENDED = "COMPLETED", "FAILED"
messages, statuses = protos.get_service(), protos.get_proto().TrialStatus
stub, add_to_server = protos.get_service_grpc().OracleStub, protos.get_service_grpc().add_OracleServicer_to_server


def save_json(path: str, content: Any) -> str:
    """Keras Tuner's, but a file is replaced whole: a kill while it is written leaves the old one."""
    write_json(Path(path), content, indent=None)
    return json.dumps(content)


utils.save_json = save_json


class Resumable(keras_tuner.Oracle):
    """An oracle that survives a kill at any moment, and goes on as without it.

    held: the trials that were going on when it was reloaded, by worker.
    ended: whether a chief has told a worker that there are no more trials.
    first: the values of the first trial, which are not drawn.
    """

    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    held: dict[str, Any] = {}  # noqa: RUF012  replaced as a whole
    ended = False
    first: dict[str, Any] | None = None

    @property
    def waiting(self) -> list[str]:
        """The trials that have lost their worker, by id; to be changed in place."""
        return self._retry_queue

    def open(self, folder: Path) -> None:
        """Keeps the trials of the search in `folder`, and takes up those that are there."""
        self.verbose = 0
        self._set_project_dir(folder, "trials")
        if Path(self._get_oracle_fname()).exists():
            self.reload()
        else:
            self.save()

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"ended": self.ended, "max_trials": self.max_trials}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.ended = state.get("ended", False) and state.get("max_trials", self.max_trials) == self.max_trials
        # Keras Tuner saves a trial that is to be retried while it still counts as going on.
        self.held = {name: trial for name, trial in self.ongoing_trials.items() if trial.trial_id not in self.waiting}

    def reload(self) -> None:
        """As Keras Tuner's, but of the trials alone that the oracle has noted, in their order.

        The files of trials may be ahead of the oracle's: one that has begun but is not noted will be drawn again. The
        order matters to a Gaussian process in its last digits. And Keras Tuner looks for the files by a pattern, of
        which the name of the folder is part.
        """
        path = Path(self._get_oracle_fname())
        try:
            state = json.loads(path.read_text())
            for name in state["start_order"]:
                self.trials[name] = Trial.load(str(Path(self._get_trial_dir(name)) / "trial.json"))
            self.set_state(state)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"Expected the trials of a search in {path.parent}. Received: {error}") from error
        self.waiting.extend(trial.trial_id for trial in self.held.values())
        self.ongoing_trials = {}
        for name in [name for name in self.waiting if self.trials[name].status in ENDED]:  # ended, but not noted
            self.waiting.remove(name)
            if name not in self.end_order:
                self.end_order.append(name)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As Keras Tuner's, in float32: as exact as its protocol, so that a trial can go on in any process.

        Keras Tuner's Gaussian process draws whole numbers that are one above their range.
        """
        return self._exact(super().populate_space(trial_id))

    def _exact(self, found: dict[str, Any]) -> dict[str, Any]:
        largest = {one.name: one.max_value for one in self.hyperparameters.space if isinstance(one, Int)}
        values = (found.get("values") or {}).items()
        return found | {"values": {name: in_float32(min(value, largest.get(name, value))) for name, value in values}}

    def _random_values(self) -> dict[str, Any] | None:
        if self.first is not None and not self._tried_so_far:
            return dict(self.first)
        return super()._random_values()


class RandomOracle(Resumable, keras_tuner.oracles.RandomSearchOracle):
    """Independent draws."""


class HyperbandOracle(Resumable, keras_tuner.oracles.HyperbandOracle):
    """Many trials of few epochs, the best of which go on (Li et al. 2018)."""


class BayesianOracle(Resumable, keras_tuner.oracles.BayesianOptimizationOracle):
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
        trials = self.trials
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


def oracle_of(spec: SearchSpec) -> Any:
    """What chooses the values of the trials of `spec`."""
    base, objective, epochs = spec.scorer.base, spec.scorer.objective, spec.scorer.base.epochs or 1
    return make_oracle(spec.algorithm, objective, spec.space, spec.trials, epochs, base.seed, spec.preset())


def make_oracle(
    algorithm: str,
    objective: str,
    space: Space,
    trials: int,
    epochs: int,
    seed: int,
    first: dict[str, Any] | None = None,
) -> Any:
    """The oracle of a search: `first`, then up to `trials` in all, or as many as hyperband makes of `epochs`."""
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective, "min"),
        "hyperparameters": hyperparameters(space),
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
        oracle = BayesianOracle(max_trials=trials, num_initial_points=max(3, trials // INITIAL_SHARE), **options)
    else:
        oracle = RandomOracle(max_trials=trials, **options)
    oracle.first = first
    return oracle


def hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """The space as Keras Tuner has it."""
    found = keras_tuner.HyperParameters()
    for name, dimension in space.items():
        if isinstance(dimension, Range):
            whole = isinstance(dimension.low, int) and isinstance(dimension.high, int)
            (found.Int if whole else found.Float)(name, dimension.low, dimension.high, sampling=dimension.scale)
        elif all(isinstance(value, bool) for value in dimension.values):
            found.Boolean(name)  # a Choice would make them 0 and 1
        else:
            found.Choice(name, [in_float32(value) for value in dimension.values], ordered=False)
    return found


__all__ = [
    "ENDED", "HYPERBAND_FACTOR", "HyperParameters", "OracleClient", "OracleServicer", "Trial", "add_to_server",
    "make_oracle", "messages", "oracle_of", "statuses", "stub",
]  # fmt: skip
