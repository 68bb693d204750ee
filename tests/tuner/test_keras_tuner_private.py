"""What this package takes from Keras Tuner beyond its documentation is there; a failure names what is gone."""

import re
from pathlib import Path

import keras_tuner
import pytest

import tuner
from tuner import keras_tuner_private as private

OF_ORACLES = (
    "_retry_queue", "_tried_so_far", "_random_values", "_duplicate", "_set_project_dir", "_get_trial_dir",
    "_get_oracle_fname", "_random_state", "_random_populate_space", "_vectorize_trials", "gpr", "ongoing_trials",
    "start_order", "end_order", "trials", "max_trials", "verbose", "hyperparameters", "set_state", "get_state",
)  # fmt: skip
MESSAGES = "CreateTrialRequest", "CreateTrialResponse", "EndTrialRequest", "EndTrialResponse", "GetTrialRequest"
NAMES = {
    "utils": (private.utils, ["save_json"]),
    "OracleServicer": (private.OracleServicer, ["CreateTrial", "GetTrial", "GetBestTrials", "UpdateTrial", "EndTrial"]),
    "OracleClient": (private.OracleClient, ["update_trial", "get_trial", "get_best_trials", "get_space"]),
    "Trial": (private.Trial, ["from_proto", "to_proto", "load"]),
    "messages": (private.messages, [*MESSAGES, "UpdateTrialResponse"]),
    "TrialStatus": (private.statuses, ["COMPLETED", "INVALID"]),
}


@pytest.mark.parametrize("name", OF_ORACLES)
def test_keras_tuners_oracle_has(name):
    space = keras_tuner.HyperParameters()
    assert hasattr(keras_tuner.oracles.BayesianOptimizationOracle("loss", hyperparameters=space, seed=1), name)


@pytest.mark.parametrize("name", [f"{owner}.{name}" for owner, (_, names) in NAMES.items() for name in names])
def test_keras_tuner_has(name):
    owner, name = name.split(".")
    assert hasattr(NAMES[owner][0], name)


def test_private_names_are_of_one_module():
    """What it takes, the others take from it."""
    files = [path for path in Path(tuner.__file__).parent.glob("*.py") if path.name != "keras_tuner_private.py"]
    assert len(files) > 5
    for path in files:
        found = re.findall(r"keras_tuner\.src|import keras_tuner\b|protos|oracle\._\w+", path.read_text())
        assert not found, path.name
    assert "_retry_queue" in Path(private.__file__).read_text()
