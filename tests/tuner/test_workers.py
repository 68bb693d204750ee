"""A worker and its chief in one process, and the roles that flags and environment give."""

import argparse
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import keras_tuner
import pytest

from tests.tuner.helpers import (
    Scores,
    ask,
    end,
    free_port,
    make_chief,
    make_search,
    run_script,
    statuses,
)
from tfadgm.errors import InputError, TrainingError
from tuner import __main__ as script
from tuner import client, workers
from tuner.chief import serve
from tuner.search import Search


def become_worker(monkeypatch, ports: list[int]) -> None:
    """Makes this process a worker of the chief that will tell its port in `ports`."""
    while not ports:
        time.sleep(0.01)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker1")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(ports[0]))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A chief that serves, in a thread, a search of three trials; this process is its worker."""
    chief, ports = make_chief(tmp_path / "search"), []
    thread = threading.Thread(target=serve, args=(chief, "127.0.0.1:0", ports.append))
    thread.start()
    become_worker(monkeypatch, ports)
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


def test_a_mistake_of_a_worker_started_by_hand_ends_the_search(tmp_path, monkeypatch):
    chief, ports, errors = make_chief(tmp_path / "search"), [], []

    def run() -> None:
        try:
            serve(chief, "127.0.0.1:0", ports.append)
        except TrainingError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    become_worker(monkeypatch, ports)
    with pytest.raises(keras_tuner.errors.FatalError, match=r"shapes \(3,\)"):
        Search(chief.oracle, Scores(mistake=True), tmp_path / "search").search()
    thread.join()
    assert errors == ["Expected trials without mistakes. Received in a worker: ValueError: shapes (3,) and (4,)"]


def test_an_address_in_use_is_one_line(served, tmp_path, monkeypatch, capsys):
    _, port = served
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.delenv(f"KERASTUNER_{name}")
    flags = ["--dataset", "moons", "--directory", tmp_path / "new", "--chief", "--address", f"127.0.0.1:{port}"]
    status, errors = run_script(monkeypatch, capsys, *flags)
    assert (status, errors) == (
        2, f"tuner: Expected a free address of this machine for the chief. Received: 127.0.0.1:{port}\n",
    )  # fmt: skip
    assert not (tmp_path / "new").exists()  # so that the same command works with another


def test_a_missing_chief_is_one_line(tmp_path, monkeypatch, capsys):
    assert client.PATIENCE <= 40  # a start takes up to 20 seconds before
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
    become_worker(monkeypatch, [free_port()])
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(client.ChiefLost, match="Expected the chief"), client.Client(None).beating("0"):
            threading.Event().wait(60)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_whose_trial_another_has_taken_goes_on_with_the_next(served, tmp_path, monkeypatch):
    chief, _ = served
    monkeypatch.setattr(client, "BEAT", 0.01)
    taken = []

    class Asleep(Scores):
        """Loses its first trial to a process that ends it later."""

        def __call__(self, values, folder, seed=0, epochs=None):
            if not taken:
                (folder / "all" / "checkpoint").mkdir(parents=True)
                chief.thread.submit(chief.lose, "worker1", "has been silent").result()
                taken.append(ask(chief, "worker2", "other"))
                threading.Event().wait(60)  # until the next beat interrupts it
            if len(taken) == 1:
                taken.append(folder.name)
                end(chief, taken[0], process="other")
            return super().__call__(values, folder)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Search(chief.oracle, Asleep(), tmp_path / "search").search()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert statuses(chief) == ["COMPLETED"] * 3
    assert taken[0].trial_id == "0" != taken[1]
    assert (tmp_path / "search" / "trainings" / "0" / "all" / "checkpoint").exists()  # it is the other's


def test_a_service_that_is_no_chief_is_one_line(tmp_path, monkeypatch, capsys):
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.setenv(f"KERASTUNER_{name}", "")
        monkeypatch.delenv(f"KERASTUNER_{name}")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    flags = ["--dataset", "moons", "--directory", tmp_path / "new", "--worker", 1, "--address", f"127.0.0.1:{port}"]
    status, errors = run_script(monkeypatch, capsys, *flags)
    server.stop(None)
    assert status == 2
    assert errors.startswith(f"tuner: Expected the chief of the search at 127.0.0.1:{port}. Received UNIMPLEMENTED: ")
    assert errors.count("\n") == 1


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
