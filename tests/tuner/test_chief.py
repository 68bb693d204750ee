"""The chief's bookkeeping, with a clock set by hand."""

from types import SimpleNamespace

import pytest

from tests.tuner.helpers import (
    Aborted,
    ask,
    beat,
    context,
    end,
    is_status,
    make_chief,
    make_search,
    trial_statuses,
    wait,
)
from tfadgm.errors import InputError
from tuner import chief as service
from tuner.chief import LEASE, Chief, serve
from tuner.keras_tuner_private import messages, statuses


@pytest.fixture
def clock(monkeypatch):
    """The chief's clock, to be set forward by hand."""
    now = [0.0]
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_trial_of_a_silent_worker_goes_to_another(tmp_path, clock):
    chief = make_chief(tmp_path)
    lost, kept = ask(chief, "worker1"), ask(chief, "worker2")
    assert not wait(chief, clock, LEASE + 2, kept)
    end(chief, kept)
    assert ask(chief, "worker2").trial_id == lost.trial_id


def test_a_chief_that_has_slept_blames_nobody(tmp_path, clock):
    chief = make_chief(tmp_path)
    held = ask(chief, "worker1")
    clock[0] += 10 * LEASE
    chief.over()
    assert ask(chief, "worker2").trial_id != held.trial_id


def test_a_worker_that_was_thought_lost_may_end_its_trial(tmp_path, clock):
    chief = make_chief(tmp_path, trials=1)
    trial = ask(chief, "worker1")
    wait(chief, clock, LEASE + 2)
    end(chief, trial)
    assert trial_statuses(chief) == ["COMPLETED"]
    assert is_status(ask(chief, "worker2"), "STOPPED")


def test_the_first_end_of_a_trial_counts(tmp_path, clock):
    chief = make_chief(tmp_path, trials=1)
    first = ask(chief, "worker1")
    wait(chief, clock, LEASE + 2)
    second = ask(chief, "worker2")
    end(chief, second, 1.0)
    end(chief, first, 2.0)
    assert chief.oracle.trials[first.trial_id].score == 1.0
    assert chief.oracle.end_order == [first.trial_id]


def test_a_worker_that_wakes_up_hears_that_another_has_its_trial(tmp_path, clock):
    chief = make_chief(tmp_path, trials=1)
    trial = ask(chief, "worker1", "asleep")
    wait(chief, clock, LEASE + 2)
    beat(chief, trial, "asleep")  # nobody has taken it yet
    assert ask(chief, "worker2", "awake").trial_id == trial.trial_id
    with pytest.raises(Aborted, match="worker2, which has it now"):
        beat(chief, trial, "asleep")
    end(chief, trial, 9.0, process="asleep")  # a failure, of its interrupted training
    assert trial_statuses(chief) == ["RUNNING"]
    end(chief, trial, 1.0, process="awake")
    assert trial_statuses(chief) == ["COMPLETED"]
    assert is_status(ask(chief, "worker1", "asleep"), "STOPPED")


def test_a_name_belongs_to_the_last_process_that_takes_it(tmp_path):
    chief = make_chief(tmp_path)
    held = ask(chief, "worker1", "first")
    assert ask(chief, "worker1", "second").trial_id == held.trial_id
    for _ in range(2):
        with pytest.raises(Aborted, match="another process that calls itself worker1: give it another name"):
            ask(chief, "worker1", "first")
    beat(chief, held, "second")


def test_a_disk_that_is_full_ends_the_search(tmp_path):
    chief = make_chief(tmp_path)

    def full(*_):
        raise InputError("Expected to write to x. Received: no space left")

    chief.oracle.populate_space = full
    with pytest.raises(InputError, match="no space left"):
        ask(chief, "worker1")
    chief.over()
    with pytest.raises(InputError, match="no space left"):
        serve(chief, "127.0.0.1:0")


def test_a_trial_that_loses_its_workers_twice_has_failed(tmp_path, capsys):
    chief = make_chief(tmp_path, trials=2)
    first = ask(chief, "worker1")
    assert ask(chief, "worker1").trial_id == first.trial_id  # a call that was repeated
    assert ask(chief, "worker1", "second").trial_id == first.trial_id
    second = ask(chief, "worker1", "third")
    assert second.trial_id != first.trial_id
    end(chief, second, process="third")
    assert trial_statuses(chief) == ["FAILED", "COMPLETED"]
    assert "Trial 0: failed: its worker was started anew" in capsys.readouterr().out


def test_workers_wait_while_a_trial_may_be_lost(tmp_path, clock):
    chief = make_chief(tmp_path, trials=1)
    trial = ask(chief, "worker1")
    assert is_status(ask(chief, "worker2"), "IDLE")
    end(chief, trial)
    assert not chief.over()
    assert is_status(ask(chief, "worker1"), "STOPPED")
    assert not chief.over()  # worker 2 has still to hear of it
    assert is_status(ask(chief, "worker2"), "STOPPED")
    assert chief.over()


def test_a_draw_keeps_nobody_waiting(tmp_path, clock):
    chief = make_chief(tmp_path)
    held = ask(chief, "worker1")
    answers = []

    def draw(trial_id):
        beat(chief, held)
        answers.append(ask(chief, "worker3"))
        return {"status": "RUNNING", "values": {"learning_rate": 0.5}}

    chief.oracle.populate_space = draw
    clock[0] = 5.0
    ask(chief, "worker2")
    assert is_status(answers[0], "IDLE")
    assert chief.heard["worker1"] == chief.heard["worker3"] == 5.0


def test_a_chief_does_not_wait_for_workers_that_are_gone(tmp_path, clock):
    chief = make_chief(tmp_path, trials=1)
    trial = ask(chief, "worker1")
    ask(chief, "worker2")
    end(chief, trial)
    assert not chief.over()
    assert wait(chief, clock, service.FAREWELL + 2)


@pytest.mark.parametrize("algorithm", ["random", "hyperband"])
def test_a_chief_that_is_started_after_the_last_trial_ends(tmp_path, clock, algorithm):
    before = Chief(make_search(tmp_path, algorithm, trials=1, epochs=1).oracle)
    while not is_status(trial := ask(before, "worker1"), "STOPPED"):
        end(before, trial)
    chief = Chief(make_search(tmp_path, algorithm, trials=1, epochs=1).oracle, expect=True)
    assert not chief.over()
    assert wait(chief, clock, service.FAREWELL + 2)


@pytest.mark.parametrize("expect", [True, False])
@pytest.mark.parametrize("restarts", [1, 2])
def test_a_new_chief_leaves_trials_with_workers_that_may_live(tmp_path, clock, expect, restarts):
    before = make_chief(tmp_path)
    held, done = ask(before, "worker1"), ask(before, "worker2")
    end(before, done)
    for _ in range(restarts):
        chief = make_chief(tmp_path, expect=expect)
    other = ask(chief, "worker2")
    assert (other.trial_id == held.trial_id) != expect
    if expect:
        wait(chief, clock, LEASE + 2, held, other)
        end(chief, held)
        end(chief, other)
        assert trial_statuses(chief) == ["COMPLETED"] * 3


@pytest.mark.parametrize("expect", [True, False])
def test_a_lost_trial_is_not_given_twice_by_a_new_chief(tmp_path, expect):
    before = make_chief(tmp_path)
    lost, _ = ask(before, "worker1"), ask(before, "worker2")
    before.lose("worker1", "was killed")
    chief = make_chief(tmp_path, expect=expect)
    given = [ask(chief, name).trial_id for name in ("worker3", "worker4")]
    assert given.count(lost.trial_id) == 1
    assert len(set(given)) == 2


def test_a_sign_of_life_may_come_while_the_chief_looks(tmp_path, clock):
    """Threads of calls add to what the chief goes through."""
    chief = make_chief(tmp_path, trials=1)

    class Moment(float):
        def __rsub__(self, now):
            chief.heard[f"worker{len(chief.heard)}"] = now
            return now - float(self)

    chief.heard = {"worker0": Moment(-100), "worker1": Moment(-100)}
    chief.stop_triggered = True
    chief.over()
    assert len(chief.heard) == 4


def test_a_chief_goes_on_with_more_trials(tmp_path):
    """One that had told all workers that there are no more."""
    before = make_chief(tmp_path, trials=1)
    end(before, ask(before, "worker1"))
    assert is_status(ask(before, "worker1"), "STOPPED")
    assert make_chief(tmp_path, trials=1).over()
    chief = make_chief(tmp_path, trials=2)
    assert not chief.over()
    assert ask(chief, "worker1").trial_id != "0"


def test_a_trial_whose_training_was_killed_goes_to_the_next_worker_once(tmp_path, capsys):
    chief = make_chief(tmp_path, trials=1)
    for how in ("will go on", "failed"):
        trial = ask(chief, "worker1")
        trial.status = statuses.INVALID
        chief.EndTrial(messages.EndTrialRequest(trial=trial), context())
        assert f"Trial 0: {how}: " in capsys.readouterr().out
    assert trial_statuses(chief) == ["FAILED"]
    assert is_status(ask(chief, "worker1"), "STOPPED")
