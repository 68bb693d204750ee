"""A search over several real processes, which are killed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.tuner.helpers import TINY, finish, free_port, outcome, start


def ongoing(folder: Path) -> dict[str, str]:
    """The trials that workers have begun to train, by worker."""
    try:
        held = json.loads((folder / "trials" / "oracle.json").read_text())["ongoing_trials"]
    except FileNotFoundError:
        return {}
    return {worker: trial for worker, trial in held.items() if (folder / "trainings" / trial / "all").exists()}


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_missing_chief_is_one_line_within_a_minute(tmp_path):
    address, started = f"127.0.0.1:{free_port()}", time.monotonic()
    status, printed, errors = finish(*TINY, "--directory", tmp_path / "search", "--worker", 1, "--address", address)
    assert time.monotonic() - started < 60
    assert (status, printed) == (2, "")
    assert errors == (
        f"tuner: Expected the chief of the search at {address}. Received no answer for 40 s: "
        "start it with the same flags and --chief\n"
    )
