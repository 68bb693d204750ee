"""What a search draws and keeps, by a scorer that is a function."""

import json
import threading
from pathlib import Path

import keras_tuner
import numpy as np
import pytest
import scipy.optimize

from tests.tuner.helpers import TINY, Scores, flags, make_search, own_file, search
from tfadgm.config import Config
from tfadgm.errors import InputError
from tuner.keras_tuner_private import make_oracle, oracle_of, save_json
from tuner.objectives import TrialScorer
from tuner.process import ProcessKilled
from tuner.search import Search, own_values
from tuner.space import Choice, Range, in_float32, preset_values, search_space
from tuner.spec import make_spec


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A Gaussian process that looks less hard for its scale and its next trial."""

    def make_gpr(oracle):
        found = make(oracle)
        found.n_restarts_optimizer = 1
        return found

    def search_values(*given, **options):
        of_values = "x0" in options  # else of the scale
        return minimize(*given, **options, **({"options": {"maxiter": 2}} if of_values else {}))

    make, minimize = keras_tuner.oracles.BayesianOptimizationOracle._make_gpr, scipy.optimize.minimize
    monkeypatch.setattr(keras_tuner.oracles.BayesianOptimizationOracle, "_make_gpr", make_gpr)
    monkeypatch.setattr(scipy.optimize, "minimize", search_values)


def ran(folder, oracle, scorer):
    """The oracle after its search."""
    oracle.open(folder)
    Search(oracle, folder).run(scorer)
    return oracle


def test_a_trial_that_diverges_fails_alone(tmp_path, capsys):
    oracle = search(tmp_path, Scores(failing=1))
    assert [oracle.trials[str(number)].status for number in range(4)] == [
        "COMPLETED",
        "FAILED",
        "COMPLETED",
        "COMPLETED",
    ]
    assert "Trial 1: failed: " in capsys.readouterr().out


def test_a_mistake_ends_the_search_at_its_first_trial(tmp_path):
    scorer = Scores(mistake=True)
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(4,\)"):
        search(tmp_path, scorer)
    assert scorer.calls == 1


class Interrupted(Scores):
    """Is interrupted in its fifth trial."""

    def __call__(self, *arguments, **options):
        if self.calls == 4:
            raise KeyboardInterrupt
        return super().__call__(*arguments, **options)


@pytest.mark.parametrize("algorithm", ["random", pytest.param("bayesian", marks=pytest.mark.slow), "hyperband"])
def test_an_interrupted_search_draws_what_it_would_have_drawn(tmp_path, algorithm):
    whole = search(tmp_path / "whole", Scores(), algorithm, trials=9)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "search", Interrupted(), algorithm, trials=9)
    scorer = Scores()
    resumed = search(tmp_path / "search", scorer, algorithm, trials=9)
    assert scorer.calls == len(whole.trials) - 4
    found = {name: trial.hyperparameters.values for name, trial in resumed.trials.items()}
    assert found == {name: trial.hyperparameters.values for name, trial in whole.trials.items()}
    assert all(trial.status == "COMPLETED" for trial in resumed.trials.values())


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_the_first_trial_can_be_given(tmp_path, algorithm):
    space = search_space("sdgm", {}, {})
    first = preset_values(space, Config.for_dataset("mnist"))
    oracle = make_oracle(algorithm, "bound", space, 3, 3, 0, first)
    ran(tmp_path, oracle, Scores())
    values = [own_values(oracle.trials[name].hyperparameters.values) for name in oracle.start_order]
    assert values[0] == {name: in_float32(value) for name, value in first.items()}
    assert values[1] != values[0]
    assert set(values[1]) == set(values[0])


@pytest.mark.parametrize("behind", [1, 2])
def test_a_search_killed_between_two_files_goes_on(tmp_path, behind):
    """The files of the trials are ahead of the oracle's, which saw a trial begin and not what came after."""

    class Killed(Scores):
        def __call__(self, *arguments, **options):
            if self.calls == 3 - behind:
                kept.append(path.read_text())
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().__call__(*arguments, **options)

    kept, path = [], tmp_path / "search" / "trials" / "oracle.json"
    whole = search(tmp_path / "whole", Scores(), trials=6)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "search", Killed(), trials=6)
    path.write_text(kept[0])
    scorer = Scores()
    resumed = search(tmp_path / "search", scorer, trials=6)
    assert scorer.calls == 2 + behind  # the trial that had begun has ended; those after it are drawn again
    found = {name: trial.hyperparameters.values for name, trial in resumed.trials.items()}
    assert found == {name: trial.hyperparameters.values for name, trial in whole.trials.items()}
    assert all(trial.status == "COMPLETED" for trial in resumed.trials.values())


def test_a_file_that_cannot_be_used_is_no_mistake(tmp_path):
    class Damaged(Scores):
        def __call__(self, *arguments, **options):
            raise InputError("Expected a checkpoint in x. Received a damaged one: delete it")

    with pytest.raises(InputError, match="delete it"):
        search(tmp_path, Damaged())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    save_json(str(tmp_path / "a.json"), {"b": 1})
    with pytest.raises(TypeError):
        save_json(str(tmp_path / "a.json"), {"b": 2, "c": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}


def test_an_oracle_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    oracle, path = make_search(tmp_path).oracle, tmp_path / "trials" / "oracle.json"
    before = path.read_text()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    oracle.ended = True
    with pytest.raises(KeyboardInterrupt):
        oracle.save()
    assert path.read_text() == before


@pytest.mark.slow
def test_hyperband_goes_on_with_the_training_of_an_earlier_round(tmp_path):
    data = ["--dataset", own_file(tmp_path / "own.npz"), "--directory", tmp_path / "search"]
    spec = make_spec(flags(*TINY, *data, "--epochs", 3, "--algorithm", "hyperband"))
    oracle = oracle_of(spec)

    class Stopped(TrialScorer):
        """Until the first trial of all epochs has trained, which is one of a second round."""

        def __call__(self, values, folder, seed=0, epochs=None):
            super().__call__(values, folder, seed, epochs)
            if epochs == 3:
                raise KeyboardInterrupt
            return {"bound": 1.0}

    with pytest.raises(KeyboardInterrupt):
        ran(spec.folder, oracle, Stopped(**vars(spec.scorer)))

    def losses(trial_id: str) -> list[float]:
        state = max((spec.folder / "trainings" / trial_id / "all" / "checkpoint").glob("*/state.json"))
        return [row["loss"] for row in json.loads(state.read_text())["history"]]

    (later,) = oracle.ongoing_trials.values()
    found = losses(later.trial_id)
    assert len(found) == 3
    assert found[:1] == losses(later.hyperparameters.values["tuner/trial_id"])


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_values_that_float32_does_not_hold_are_chosen_from_too(tmp_path, algorithm):
    space = {"labeled_weight": Choice((0.1, 0.3)), "learning_rate": Range(1e-5, 1e-1, "log")}
    oracle = make_oracle(algorithm, "bound", space, 6, 1, 0)
    ran(tmp_path, oracle, Scores())
    found = {trial.hyperparameters.values["labeled_weight"] for trial in oracle.trials.values()}
    assert found <= {float(np.float32(0.1)), float(np.float32(0.3))}


def test_a_space_of_two_values_ends_after_two_trials(tmp_path):
    oracle = make_oracle("random", "bound", {"learning_rate": Choice((0.1, 0.3))}, 6, 1, 0)
    ran(tmp_path, oracle, Scores())
    assert len(oracle.trials) == 2


def test_hyperband_gives_more_epochs_to_fewer_trials(tmp_path):
    given = []

    class Epochs(Scores):
        def __call__(self, values, folder, seed=0, epochs=None):
            given.append(epochs)
            return super().__call__(values, folder)

    search(tmp_path, Epochs(), "hyperband", epochs=9)
    assert set(given) == {1, 3, 9}
    assert given.count(1) > given.count(9)


def test_scorers_side_by_side_make_the_trials_of_one(tmp_path):
    """Both are at work at a time, and a trial whose process is killed goes on, once."""
    alone, meeting, killed = search(tmp_path / "alone", Scores(), trials=6), threading.Barrier(2), []

    class Meeting(Scores):
        met = False

        def __call__(self, values, folder, seed=0, epochs=None):
            if not self.met:
                meeting.wait(60)
                self.met = True
            if not killed:
                killed.append(folder.name)
                raise ProcessKilled("Received the end of their process")
            return super().__call__(values, folder)

    found = make_search(tmp_path / "search", trials=6)
    found.run_all([Meeting(), Meeting()])
    assert {name: trial.score for name, trial in found.oracle.trials.items()} == {
        name: trial.score for name, trial in alone.trials.items()
    }


def test_a_mistake_of_one_of_two_scorers_ends_the_search(tmp_path):
    with pytest.raises(ValueError, match="shapes"):
        make_search(tmp_path, trials=6).run_all([Scores(mistake=True), Scores(mistake=True)])


def test_a_trial_whose_process_is_killed_twice_has_failed(tmp_path, capsys):
    class Killed(Scores):
        def __call__(self, values, folder, seed=0, epochs=None):
            if folder.name == "1":
                raise ProcessKilled("is there enough memory?")
            return super().__call__(values, folder)

    oracle = search(tmp_path, Killed(), trials=3)
    assert [oracle.trials[name].status for name in "012"] == ["COMPLETED", "FAILED", "COMPLETED"]
    printed = capsys.readouterr().out
    assert "Trial 1: will go on: is there enough memory?" in printed
    assert "Trial 1: failed: is there enough memory?" in printed


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
@pytest.mark.parametrize("done", [2, 4])
def test_a_search_goes_on_with_more_trials(tmp_path, algorithm, done):
    """Ended or not; the values of `random` are those of a search that was longer from the start."""

    class Stopped(Scores):
        def __call__(self, *arguments, **options):
            if self.calls == done:
                raise KeyboardInterrupt
            return super().__call__(*arguments, **options)

    if done == 4:
        search(tmp_path / "search", Scores(), algorithm, trials=4)
    else:
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "search", Stopped(), algorithm, trials=4)
    scorer = Scores()
    oracle = search(tmp_path / "search", scorer, algorithm, trials=6)
    assert scorer.calls == 6 - done
    assert [trial.status for trial in oracle.trials.values()] == ["COMPLETED"] * 6
    if algorithm == "random":
        whole = search(tmp_path / "whole", Scores(), algorithm, trials=6)
        assert [trial.score for trial in oracle.trials.values()] == [trial.score for trial in whole.trials.values()]


@pytest.mark.parametrize("name", ["s[1]", "s*", "a?b", "{a,b}"])
def test_a_folder_whose_name_is_a_pattern_is_resumed(tmp_path, name):
    search(tmp_path / "s1", Scores(), trials=3)
    search(tmp_path / name, Scores(), trials=2)
    scorer = Scores()
    oracle = search(tmp_path / name, scorer, trials=2)
    assert scorer.calls == 0
    assert len(oracle.trials) == 2


def test_a_damaged_file_of_a_trial_is_one_line(tmp_path):
    search(tmp_path, Scores(), trials=2)
    (tmp_path / "trials" / "trial_1" / "trial.json").write_text("{")
    with pytest.raises(InputError, match="Expected the trials of a search in"):
        search(tmp_path, Scores(), trials=2)
