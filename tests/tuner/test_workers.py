"""A worker and its chief in one process, and the roles that flags and environment give."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.tuner.helpers import (
    ROLES,
    Scores,
    ask,
    end,
    flags,
    free_port,
    make_chief,
    make_search,
    run_command,
    trial_statuses,
)
from tfadgm.errors import InputError, TrainingError
from tuner import client, workers
from tuner.chief import serve
from tuner.client import Client
from tuner.search import Search
from tuner.workers import threads_of


@pytest.fixture(autouse=True)
def no_role(monkeypatch):
    for name in ROLES:
        monkeypatch.delenv(name, raising=False)


class Served:
    """A chief of three trials that serves in a thread, and what its service ends with."""

    def __init__(self, folder) -> None:
        self.chief, self.errors, self.port, listening = make_chief(folder), [], 0, threading.Event()

        def started(port: int) -> None:
            self.port = port
            listening.set()

        def run() -> None:
            try:
                serve(self.chief, "127.0.0.1:0", started)
            except TrainingError as error:
                self.errors.append(str(error))

        self.thread = threading.Thread(target=run)
        self.thread.start()
        listening.wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def work(self, scorer, folder) -> None:
        """Makes this process its worker until there are no more trials."""
        own = Client(self.chief.oracle, self.address)
        workers.run(own, scorer, "worker1", Search(own, folder))


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path / "search")
    yield found
    found.chief.stop_triggered = True
    found.chief.heard.clear()
    found.thread.join()


def test_a_worker_does_what_one_process_does(tmp_path, served, capsys):
    chief = served.chief
    served.work(Scores(failing=1), tmp_path / "search")
    assert trial_statuses(chief) == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "Trial 1: failed: " in capsys.readouterr().out
    assert "Expected a finite loss" in chief.oracle.trials["1"].message
    alone = make_search(tmp_path / "alone", trials=3)
    alone.run(Scores(failing=1))
    assert [trial.hyperparameters.values for trial in alone.oracle.trials.values()] == [
        trial.hyperparameters.values for trial in chief.oracle.trials.values()
    ]


def test_a_worker_is_heard_of_in_the_middle_of_a_trial(served, tmp_path, monkeypatch):
    chief = served.chief
    monkeypatch.setattr(client, "BEAT", 0.01)
    heard = []

    class Slow(Scores):
        def __call__(self, *arguments, **options):
            given = chief.heard["worker1"]
            while chief.heard["worker1"] == given:
                time.sleep(0.01)
            heard.append(chief.heard["worker1"])
            return super().__call__(*arguments, **options)

    served.work(Slow(), tmp_path / "search")
    assert len(heard) == 3


def test_a_mistake_of_a_worker_started_by_hand_ends_the_search(tmp_path, served):
    with pytest.raises(ValueError, match=r"shapes \(3,\)"):
        served.work(Scores(mistake=True), tmp_path / "search")
    served.thread.join()
    assert served.errors == ["Expected trials without mistakes. Received in a worker: ValueError: shapes (3,) and (4,)"]


def test_an_address_in_use_is_one_line(served, tmp_path, capsys):
    given = ["--dataset", "moons", "--directory", tmp_path / "new", "--chief", "--address", served.address]
    status, _, errors = run_command(capsys, *given)
    assert status == 2
    assert errors == f"tuner: Expected a free address of this machine for the chief. Received: {served.address}\n"
    assert not (tmp_path / "new").exists()  # so that the same command works with another


def test_a_missing_chief_is_one_line(tmp_path, monkeypatch, capsys):
    assert client.PATIENCE <= 40  # a start takes up to 20 seconds before
    monkeypatch.setattr(client, "PATIENCE", 1.0)
    address = f"127.0.0.1:{free_port()}"
    given = ["--dataset", "moons", "--directory", tmp_path / "new", "--worker", 1, "--address", address]
    status, _, errors = run_command(capsys, *given)
    assert status == 2
    assert errors == (
        f"tuner: Expected the chief of the search at {address}. Received no answer for 1 s: "
        "start it with the same flags and --chief\n"
    )
    assert not (tmp_path / "new").exists()


def test_a_chief_that_dies_in_the_middle_of_a_trial_interrupts_it(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    monkeypatch.setattr(client, "BEAT", 0.01)
    own = Client(None, f"127.0.0.1:{free_port()}")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(client.ChiefLost, match="Expected the chief"), own.beating("0"):
            threading.Event().wait(60)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_worker_whose_trial_another_has_taken_goes_on_with_the_next(served, tmp_path, monkeypatch):
    chief = served.chief
    monkeypatch.setattr(client, "BEAT", 0.01)
    taken, early = [], []

    def interrupt(*_) -> None:
        if not taken:
            early.append(True)  # the beat was faster than the other worker's answer
            return
        raise KeyboardInterrupt

    class Asleep(Scores):
        """Loses its first trial to a process that ends it later."""

        def __call__(self, values, folder, seed=0, epochs=None):
            if not taken:
                (folder / "all" / "checkpoint").mkdir(parents=True)
                chief.thread.submit(chief.lose, "worker1", "has been silent").result()
                taken.append(ask(chief, "worker2", "other"))
                if early:
                    raise KeyboardInterrupt
                threading.Event().wait(60)  # until the next beat interrupts it
            if len(taken) == 1:
                taken.append(folder.name)
                end(chief, taken[0], process="other")
            return super().__call__(values, folder)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        served.work(Asleep(), tmp_path / "search")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert trial_statuses(chief) == ["COMPLETED"] * 3
    assert taken[0].trial_id == "0" != taken[1]
    assert (tmp_path / "search" / "trainings" / "0" / "all" / "checkpoint").exists()  # it is the other's


def test_a_service_that_is_no_chief_is_one_line(tmp_path, capsys):
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    given = ["--dataset", "moons", "--directory", tmp_path / "new", "--worker", 1, "--address", f"127.0.0.1:{port}"]
    status, _, errors = run_command(capsys, *given)
    server.stop(None)
    assert status == 2
    assert errors.startswith(f"tuner: Expected the chief of the search at 127.0.0.1:{port}. Received UNIMPLEMENTED: ")
    assert errors.count("\n") == 1


def test_a_worker_of_another_search_is_one_line(served, tmp_path, capsys):
    (tmp_path / "search" / "search.json").write_text('{"config": {"dataset": "digits"}}')
    given = ["--dataset", "moons", "--directory", tmp_path / "search", "--worker", 1]
    status, _, errors = run_command(capsys, *given, "--address", served.address)
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
    found = flags()
    workers.take_role(found)
    assert (found.chief, found.worker, found.address) == role


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    with pytest.raises(InputError, match="Expected all of KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP"):
        workers.take_role(flags())


@pytest.mark.parametrize(
    ("given", "message"),
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
def test_roles_that_cannot_be_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        workers.take_role(flags(*given))


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(6), raising=False)
    assert [threads_of(count) for count in (1, 2, 4, 7)] == [6, 3, 1, 1]
