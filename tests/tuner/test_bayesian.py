"""What a Gaussian process draws."""

import numpy as np
import pytest

from tests.tuner.helpers import Scores
from tests.tuner.test_oracles import Interrupted, quick, ran  # noqa: F401  quick is a fixture
from tuner.keras_tuner_private import make_oracle
from tuner.space import SPACE, Choice, Range


def test_a_resumed_bayesian_search_draws_the_same_to_the_last_digit(tmp_path):
    space = {name: SPACE[name] for name in ("learning_rate", "alpha_scale", "marginalization")}

    def searched(folder, scorer):
        oracle = ran(folder, make_oracle("bayesian", "bound", space, 7, 1, 0), scorer)
        return {name: trial.hyperparameters.values for name, trial in oracle.trials.items()}

    whole = searched(tmp_path / "whole", Scores())
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "search", Interrupted())
    assert searched(tmp_path / "search", Scores()) == whole


def test_bayesian_trials_learn_from_earlier_ones(tmp_path):
    """A third of them are random; the rest are closer to the best step size."""
    space, found = {"learning_rate": Range(1e-5, 1e-1, "log")}, {}
    for name in ("random", "bayesian"):
        oracle = make_oracle(name, "bound", space, 12, 1, 0)
        ran(tmp_path / name, oracle, Scores())
        found[name] = [trial.score for trial in oracle.trials.values()]
    assert found["bayesian"][:4] == found["random"][:4]
    assert np.median(found["bayesian"][4:]) < 0.6 * np.median(found["random"][4:])


def test_bayesian_trials_do_not_repeat_one_another(tmp_path):
    space = {
        "learning_rate": Choice((1e-4, 1e-3, 1e-2)),
        "samples": Choice((1, 2)),
        "batch_norm": Choice((True, False)),
    }
    oracle = make_oracle("bayesian", "bound", space, 20, 1, 0)
    ran(tmp_path, oracle, Scores())
    tried = {tuple(trial.hyperparameters.values.items()) for trial in oracle.trials.values()}
    assert len(tried) == len(oracle.trials) == 12


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ongoing_trials_count_as_the_ended_ones_let_expect(tmp_path):
    """Bounds of a hundred nats, and no trial at work that is taken for one of a single nat."""
    oracle = make_oracle("bayesian", "bound", {"learning_rate": Range(1e-5, 1e-1, "log")}, 9, 1, 0)
    oracle.open(tmp_path)
    for number in range(4):
        trial = oracle.create_trial(str(number))
        oracle.update_trial(trial.trial_id, {"bound": 100.0 + number})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    ongoing = oracle.create_trial("at work")
    failed = oracle.create_trial("failing")
    failed.status = "FAILED"
    oracle.end_trial(failed)
    vectors, scores = oracle._vectorize_trials()
    assert len(vectors) == len(scores) == 5
    assert scores[:4].tolist() == [100.0, 101.0, 102.0, 103.0]
    assert 90 < scores[4] < 110
    assert set(oracle.trials) == {"0", "1", "2", "3", ongoing.trial_id, failed.trial_id}


def test_whole_numbers_stay_within_their_range(tmp_path):
    """The Gaussian process looks at the very ends of a range, where Keras Tuner adds one to the upper."""

    class Wide(Scores):
        def __call__(self, values, folder, seed=0, epochs=None):
            return {"bound": -float(values["width"])}

    oracle = make_oracle("bayesian", "bound", {"width": Range(10, 20, "log")}, 8, 1, 0)
    ran(tmp_path, oracle, Wide())
    found = [trial.hyperparameters.values["width"] for trial in oracle.trials.values()]
    assert max(found) == 20
