"""python -m tuner as processes that are killed, interrupted and resumed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuner.helpers import ROLES, TINY, free_port, outcome, own_file
from tuner import __main__ as command

ROOT = Path(command.__file__).parents[1]


def start(*given: object, environment: dict[str, str] | None = None) -> subprocess.Popen:
    line = [sys.executable, "-u", "-m", "tuner", *map(str, given)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=ROOT, env=os.environ | (environment or {}), text=True, **pipes)


def finish(*given: object) -> tuple[int, str, str]:
    process = start(*given)
    printed, errors = process.communicate()
    return process.returncode, printed, errors


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same_end(tmp_path):
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 3, "--directory"]
    status, _, errors = finish(*given, tmp_path / "whole")
    assert (status, errors) == (0, "")
    process = start(*given, tmp_path / "search")
    for line in process.stdout:
        if line.startswith("Trial 0"):
            process.send_signal(signal.SIGKILL)
    process.communicate()
    status, printed, errors = finish(*given, tmp_path / "search", "--resume")
    assert (status, errors) == (0, "")
    assert "Trial 0:" not in printed
    assert outcome(tmp_path / "search") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_an_interrupted_search_of_two_processes_resumes(tmp_path):
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 4, "--workers", 2]
    given += ["--directory", tmp_path / "search"]
    process = start(*given)
    assert process.stdout.readline().startswith("Trial ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("tuner: interrupted. Resume with the same command and --resume\n")
    status, printed, errors = finish(*given, "--resume")
    assert (status, errors) == (0, "")
    assert "failed" not in printed
    assert len(outcome(tmp_path / "search")[0]) == 4


@pytest.mark.slow
def test_a_killed_chief_goes_on(tmp_path):
    folder, address = tmp_path / "search", f"127.0.0.1:{free_port()}"
    given = [*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--trials", 3, "--directory", folder]
    chief = start(*given, "--chief", "--address", address)
    first = start(*given, "--worker", 1, "--address", address)
    second = start(*given, environment=dict(zip(ROLES, ["tuner2", *address.split(":")], strict=True)))
    for line in chief.stdout:
        if line.startswith("Trial "):
            chief.send_signal(signal.SIGKILL)
    chief.communicate()
    status, printed, errors = finish(*given, "--resume", "--chief", "--address", address)
    assert (status, errors) == (0, "")
    assert line not in printed
    for worker in (first, second):
        _, errors = worker.communicate()
        assert (worker.returncode, errors) == (0, "")
    trials, _ = outcome(folder)
    assert len(trials) == 3


@pytest.mark.slow
def test_a_missing_chief_is_one_line(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    status, printed, errors = finish(
        *TINY, "--dataset", "moons", "--directory", tmp_path / "search", "--worker", 1, "--address", address
    )
    assert (status, printed) == (2, "")
    assert errors == (
        f"tuner: Expected the chief of the search at {address}. Received no answer for 40 s: "
        "start it with the same flags and --chief\n"
    )
