"""What a search tells at a terminal, and what it does not tell elsewhere."""

import io
import sys
import threading

from tests.tuner.helpers import TINY, Scores, flags, make_search
from tfadgm.training.callbacks import write_history
from tuner import keras_tuner_private
from tuner.progress import CLEAR, progress, shown, tell
from tuner.spec import make_spec


def spec_of(folder, *given):
    return make_spec(flags(*TINY, "--dataset", "moons", "--trials", 3, "--directory", folder, *given))


def oracle_of(spec):
    oracle = keras_tuner_private.oracle_of(spec)
    oracle.open(spec.folder)
    return oracle


def at_epoch(folder, epoch):
    """What a training leaves in its folder that runs."""
    (folder / "checkpoint").mkdir(parents=True)
    if epoch:
        write_history(folder / "metrics.csv", [{"epoch": number + 1} for number in range(epoch)])


def test_trials_that_run_are_told_with_their_epoch(tmp_path):
    spec = spec_of(tmp_path / "search", "--epochs", "20")
    oracle = oracle_of(spec)
    assert progress(spec, oracle) == "0 of 3 trials"
    first, second = oracle.create_trial("worker1"), oracle.create_trial("worker2")
    at_epoch(spec.folder / "trainings" / first.trial_id / "all", 9)
    at_epoch(spec.folder / "trainings" / second.trial_id / "fold9", 20)
    at_epoch(spec.folder / "trainings" / second.trial_id / "fold10", 0)
    assert progress(spec, oracle) == "0 of 3 trials, trial 0 epoch 9 of 20, trial 1 fold10 epoch 0 of 20"
    first.status = "FAILED"
    oracle.end_trial(first)
    assert progress(spec, oracle) == "1 of 3 trials, trial 1 fold10 epoch 0 of 20"


def test_a_trial_of_hyperband_is_told_with_its_own_epochs(tmp_path):
    spec = spec_of(tmp_path / "search", "--epochs", "20", "--algorithm", "hyperband")
    oracle = oracle_of(spec)
    trial = oracle.create_trial("worker1")
    at_epoch(spec.folder / "trainings" / trial.trial_id / "all", 1)
    assert progress(spec, oracle) == f"0 trials, trial {trial.trial_id} epoch 1 of 3"


def test_finalists_are_told_until_they_are_judged(tmp_path):
    spec = spec_of(tmp_path / "search", "--epochs", "20")
    oracle = oracle_of(spec)
    at_epoch(spec.folder / "finalists" / "2-1" / "all", 5)
    assert progress(spec, oracle) == "0 of 3 trials, trial 2 by seed 1 epoch 5 of 20"
    (spec.folder / "finalists" / "2-1.json").write_text("{}")
    assert progress(spec, oracle) == "0 of 3 trials"


def test_a_line_that_stays_is_plain_where_nobody_looks_on(capsys):
    tell("Trial 0: failed")
    assert capsys.readouterr().out == "Trial 0: failed\n"


class Terminal(io.StringIO):
    """Somebody looks on, and has `seen` the epoch of a training."""

    def __init__(self):
        super().__init__()
        self.seen = threading.Event()

    def isatty(self):
        return True

    def write(self, text):
        if "epoch" in text:
            self.seen.set()
        return super().write(text)


def test_at_a_terminal_a_line_shows_the_epoch_and_gives_way(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("tuner.progress.PERIOD", 0.01)
    spec = spec_of(tmp_path / "search", "--epochs", "9")

    class Slow(Scores):
        def __call__(self, values, folder, seed=0, epochs=None):
            at_epoch(folder / "all", 4)
            assert terminal.seen.wait(60)
            return super().__call__(values, folder, seed, epochs)

    found = make_search(spec.folder, trials=1)
    with shown(spec, found.oracle):
        found.run(Slow())
    *shows, last = terminal.getvalue().split(CLEAR)
    assert "0 of 1 trials, trial 0 epoch 4 of 9\r" in shows
    assert any(line.startswith("Trial 0: bound ") and line.endswith(", 1 of 1 trials\n") for line in shows)
    assert last == ""


def test_a_line_is_no_longer_than_the_terminal(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("tuner.progress.PERIOD", 0.01)
    monkeypatch.setenv("COLUMNS", "31")
    spec = spec_of(tmp_path / "search")
    oracle = oracle_of(spec)
    at_epoch(spec.folder / "trainings" / oracle.create_trial("worker1").trial_id / "all", 9)
    with shown(spec, oracle):
        assert terminal.seen.wait(60)
    assert terminal.getvalue().split(CLEAR)[1] == "0 of 3 trials, trial 0 epoch 9\r"
