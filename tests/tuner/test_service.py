"""A search over several processes: the chief's bookkeeping, the protocol, and real processes that are killed."""

import argparse
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from keras_tuner.src import protos

from tests.tuner.test_search import TINY, Scores, finish, make_search, outcome, run_script, start
from tfadgm.errors import InputError, TrainingError
from tuner import __main__ as script
from tuner import chief as service
from tuner import client, workers
from tuner.chief import LEASE, Chief, serve
from tuner.search import Search


@pytest.fixture
def clock(monkeypatch):
    """The chief's clock, to be set forward by hand."""
    now = [0.0]
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def make_chief(folder: Path, trials: int = 3, expect: bool = False) -> Chief:
    return Chief(make_search(folder, Scores(), trials=trials).oracle, expect)


def context(process: str = "first") -> SimpleNamespace:
    return SimpleNamespace(invocation_metadata=lambda: (("process", process),))


def ask(chief: Chief, worker: str, process: str = "first"):
    return chief.CreateTrial(protos.get_service().CreateTrialRequest(tuner_id=worker), context(process)).trial


def beat(chief: Chief, trial) -> None:
    chief.GetTrial(protos.get_service().GetTrialRequest(trial_id=trial.trial_id), context())


def end(chief: Chief, trial, score: float = 1.0) -> None:
    metrics = {"bound": score, "seconds": 1.0}
    request = protos.get_service().UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics)
    chief.UpdateTrial(request, context())
    trial.status = protos.get_proto().TrialStatus.COMPLETED
    chief.EndTrial(protos.get_service().EndTrialRequest(trial=trial), context())


def wait(chief: Chief, clock: list[float], seconds: float, *beating) -> bool:
    """Lets time pass as it does for a chief that looks around; `beating` trials are heard of."""
    for _ in range(int(seconds)):
        clock[0] += 1
        for trial in beating:
            beat(chief, trial)
        over = chief.over()
    return over


def statuses(chief: Chief) -> list[str]:
    return [chief.oracle.trials[name].status for name in sorted(chief.oracle.trials)]


def is_status(trial, name: str) -> bool:
    return trial.status == protos.get_proto().TrialStatus.Value(name)


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
    assert statuses(chief) == ["COMPLETED"]
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


def test_a_trial_that_loses_its_workers_twice_has_failed(tmp_path, capsys):
    chief = make_chief(tmp_path, trials=2)
    first = ask(chief, "worker1")
    assert ask(chief, "worker1").trial_id == first.trial_id  # a call that was repeated
    assert ask(chief, "worker1", "second").trial_id == first.trial_id
    second = ask(chief, "worker1", "third")
    assert second.trial_id != first.trial_id
    end(chief, second)
    assert statuses(chief) == ["FAILED", "COMPLETED"]
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
    before = Chief(make_search(tmp_path, Scores(), algorithm, trials=1, epochs=1).oracle)
    while not is_status(trial := ask(before, "worker1"), "STOPPED"):
        end(before, trial)
    chief = Chief(make_search(tmp_path, Scores(), algorithm, trials=1, epochs=1).oracle, expect=True)
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
        assert statuses(chief) == ["COMPLETED"] * 3


@pytest.mark.parametrize("expect", [True, False])
def test_a_lost_trial_is_not_given_twice_by_a_new_chief(tmp_path, expect):
    before = make_chief(tmp_path)
    lost, _ = ask(before, "worker1"), ask(before, "worker2")
    before.lose("worker1", "was killed")
    chief = make_chief(tmp_path, expect=expect)
    given = [ask(chief, name).trial_id for name in ("worker3", "worker4")]
    assert given.count(lost.trial_id) == 1
    assert len(set(given)) == 2


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A chief that serves, in a thread, a search of three trials; this process is its worker."""
    chief, ports = make_chief(tmp_path / "search"), []
    thread = threading.Thread(target=serve, args=(chief, "127.0.0.1:0", ports.append))
    thread.start()
    while not ports:
        time.sleep(0.01)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker1")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(ports[0]))
    yield chief, ports[0]
    chief.stop_triggered, chief.heard = True, {}
    thread.join()


def test_a_worker_does_what_one_process_does(tmp_path, served, monkeypatch, capsys):
    chief, _ = served
    Search(chief.oracle, Scores(failing=1), tmp_path / "search").search()
    assert statuses(chief) == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "Trial 1: failed: " in capsys.readouterr().out
    assert "Expected a finite loss" in chief.oracle.trials["1"].message
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    alone = make_search(tmp_path / "alone", Scores(failing=1), trials=3)
    alone.search()
    assert [trial.hyperparameters.values for trial in alone.oracle.trials.values()] == [
        trial.hyperparameters.values for trial in chief.oracle.trials.values()
    ]


def test_a_worker_is_heard_of_in_the_middle_of_a_trial(served, tmp_path, monkeypatch):
    chief, _ = served
    monkeypatch.setattr(client, "BEAT", 0.01)
    heard = []

    class Slow(Scores):
        def __call__(self, *arguments, **options):
            given = chief.heard["worker1"]
            while chief.heard["worker1"] == given:
                time.sleep(0.01)
            heard.append(chief.heard["worker1"])
            return super().__call__(*arguments, **options)

    Search(chief.oracle, Slow(), tmp_path / "search").search()
    assert len(heard) == 3


def test_an_address_in_use_is_one_line(served, tmp_path, monkeypatch, capsys):
    _, port = served
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.delenv(f"KERASTUNER_{name}")
    flags = ["--dataset", "moons", "--directory", tmp_path / "new", "--chief", "--address", f"127.0.0.1:{port}"]
    status, errors = run_script(monkeypatch, capsys, *flags)
    assert (status, errors) == (
        2, f"tuner: Expected a free address of this machine for the chief. Received: 127.0.0.1:{port}\n",
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_missing_chief_is_one_line(tmp_path, monkeypatch, capsys):
    assert client.PATIENCE < 60
    monkeypatch.setattr(client, "PATIENCE", 1.0)
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.setenv(f"KERASTUNER_{name}", "")  # what the command sets is taken back after the test
        monkeypatch.delenv(f"KERASTUNER_{name}")
    address = f"127.0.0.1:{free_port()}"
    flags = ["--dataset", "moons", "--directory", tmp_path / "new", "--worker", 1, "--address", address]
    status, errors = run_script(monkeypatch, capsys, *flags)
    assert status == 2
    assert errors == (
        f"tuner: Expected the chief of the search at {address}. Received no answer for 1 s: "
        "start it with the same flags and --chief\n"
    )
    assert not (tmp_path / "new").exists()


def test_a_chief_that_dies_in_the_middle_of_a_trial_interrupts_it(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    monkeypatch.setattr(client, "BEAT", 0.01)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker1")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(free_port()))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(client.ChiefLost, match="Expected the chief"), client.Client(None).beating("0"):
            threading.Event().wait(60)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_of_another_search_is_one_line(served, tmp_path, monkeypatch, capsys):
    _, port = served
    (tmp_path / "search" / "search.json").write_text('{"config": {"dataset": "digits"}}')
    flags = ["--dataset", "moons", "--directory", tmp_path / "search", "--worker", 1]
    status, errors = run_script(monkeypatch, capsys, *flags, "--address", f"127.0.0.1:{port}")
    assert status == 2
    assert errors.startswith("tuner: Expected the search of ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({}, (False, None, "127.0.0.1:7077")),
        ({"TUNER_ID": "chief", "ORACLE_IP": "a", "ORACLE_PORT": "1"}, (True, None, "a:1")),
        ({"TUNER_ID": "tuner3", "ORACLE_IP": "a", "ORACLE_PORT": "1"}, (False, "tuner3", "a:1")),
    ],
)
def test_the_environment_gives_a_role(monkeypatch, given, role):
    for name, value in given.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    flags = script.make_parser().parse_args([])
    workers.take_role(flags)
    assert (flags.chief, flags.worker, flags.address) == role


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    with pytest.raises(InputError, match="Expected all of KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP"):
        workers.take_role(script.make_parser().parse_args([]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--address", "7077"], "Expected the chief's address as HOST:PORT. Received: 7077"),
        (["--address", "host:name"], "Expected the chief's address as HOST:PORT"),
        (["--address", "host:99999"], "Expected the chief's address as HOST:PORT"),
        (["--worker", "chief"], "Expected a worker's name of letters and digits, without chief"),
        (["--worker", "1/2"], "Expected a worker's name of letters and digits"),
        (["--worker", "1", "--workers", "2"], "Expected --workers without --chief and --worker"),
        (["--chief", "--workers", "2"], "Expected --workers without --chief and --worker"),
    ],
)
def test_roles_that_cannot_be_are_refused(flags, message):
    with pytest.raises(InputError, match=message):
        workers.take_role(script.make_parser().parse_args(flags))


def test_a_worker_that_fails_ends_the_search(tmp_path, monkeypatch):
    chief = make_chief(tmp_path)
    started = []
    monkeypatch.setattr(workers.Workers, "_start", lambda self, name: started.append(name))
    pool = workers.Workers(argparse.Namespace(workers=2))
    pool.processes = {"worker1": SimpleNamespace(exitcode=None), "worker2": SimpleNamespace(exitcode=-9)}
    held = ask(chief, "worker2")
    pool.look(chief)
    assert started == ["worker2"]
    assert ask(chief, "worker1").trial_id == held.trial_id
    with pytest.raises(TrainingError, match="Expected worker2 to work. Received its end with exit status -9"):
        pool.look(chief)  # killed again before it asked for a trial
    pool.processes = {"worker1": SimpleNamespace(exitcode=1)}
    with pytest.raises(TrainingError, match="Expected worker1 to work. Received its end with exit status 1"):
        pool.look(chief)
    chief.stop_triggered = True
    pool.look(chief)  # how a worker ends after the last trial matters to nobody


def ongoing(folder: Path) -> dict[str, str]:
    """The trials that workers have begun to train, by worker."""
    try:
        held = json.loads((folder / "trials" / "oracle.json").read_text())["ongoing_trials"]
    except FileNotFoundError:
        return {}
    return {worker: trial for worker, trial in held.items() if (folder / "trainings" / trial / "all").exists()}


def test_a_killed_worker_costs_only_its_trial(tmp_path):
    folder = tmp_path / "search"
    process = start(*TINY, "--trials", 4, "--workers", 2, "--directory", folder)
    line = process.stdout.readline()
    assert line.startswith("Workers: processes ")
    first = int(line.removeprefix("Workers: processes ").split(",")[0])
    while "worker1" not in ongoing(folder):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(first, signal.SIGKILL)
    printed, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert printed.count(": worker1 was killed") == 1
    trials, _ = outcome(folder)
    assert len(trials) == 4
    assert [printed.count(f"Trial {number}: bound ") for number in range(4)] == [1] * 4


def test_a_killed_chief_goes_on(tmp_path):
    folder, address = tmp_path / "search", f"127.0.0.1:{free_port()}"
    flags = [*TINY, "--trials", 3, "--directory", folder]
    chief = start(*flags, "--chief", "--address", address)
    given = start(*flags, "--worker", 1, "--address", address)
    host, port = address.split(":")
    names = {"KERASTUNER_TUNER_ID": "tuner2", "KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port}
    named = start(*flags, environment=names)
    for line in chief.stdout:
        if line.startswith("Trial "):
            chief.send_signal(signal.SIGKILL)
    chief.communicate()
    status, printed, errors = finish(*flags, "--resume", "--chief", "--address", address)
    assert (status, errors) == (0, "")
    assert line not in printed
    for worker in (given, named):
        _, errors = worker.communicate()
        assert (worker.returncode, errors) == (0, "")
    trials, _ = outcome(folder)
    assert len(trials) == 3
