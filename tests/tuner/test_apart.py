"""Trainings in another process: what they return, how they fail, and that their memory comes back."""

import os
import signal
from pathlib import Path

import pytest
import tensorflow as tf

from tests.tuner.test_objectives import judge
from tfadgm.config import Config
from tfadgm.errors import TrainingError
from tuner import apart
from tuner.apart import Apart
from tuner.workers import threads_of


class Answers:
    """Stands for a Judge: tells which process it is called in, or fails as `values` say."""

    base = Config.for_dataset("moons")

    def __call__(self, values, folder, seed=0, epochs=None):
        if "diverge" in values:
            raise TrainingError("Expected a finite loss")
        if "memory" in values:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor\nhint")
        if "mistake" in values:
            raise ValueError("shapes (3,) and (4,)")
        if "killed" in values:
            os.kill(os.getpid(), signal.SIGKILL)
        if "crash" in values:
            os.abort()
        threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0))
        return {"process": os.getpid(), "seed": seed, "epochs": epochs or 0, "threads": threads}


def test_errors_come_back_and_a_killed_process_costs_one_call(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "FULL", float("inf"))
    with Apart(Answers()) as away:
        first = away({}, tmp_path, seed=3, epochs=7)
        assert (first["seed"], first["epochs"]) == (3, 7)
        assert first["process"] != os.getpid()
        with pytest.raises(TrainingError, match="^Expected a finite loss$"):
            away({"diverge": True}, tmp_path)
        with pytest.raises(TrainingError, match="^Expected enough memory. Received: OOM when allocating a tensor$"):
            away({"memory": True}, tmp_path)
        with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ValueError: shapes \(3,\) and \(4,\)"):
            away({"mistake": True}, tmp_path)
        assert away({}, tmp_path)["process"] == first["process"]
        with pytest.raises(TrainingError, match="Received the end of their process, exit status -9"):
            away({"killed": True}, tmp_path)
        with pytest.raises(RuntimeError, match="Received the end of their process, exit status -6$"):
            away({"crash": True}, tmp_path)
        later = away({}, tmp_path)
        assert later["process"] != first["process"]
    with pytest.raises(ProcessLookupError):
        os.kill(later["process"], 0)


def test_a_process_that_is_full_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "FULL", 1)
    with Apart(Answers()) as away:
        assert away({}, tmp_path)["process"] != away({}, tmp_path)["process"]


def test_workers_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(6), raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert [threads_of(workers) for workers in (1, 2, 4, 7)] == [6, 3, 1, 1]
    with Apart(Answers(), threads_of(2)) as away:
        assert away({}, tmp_path)["threads"] == 3


@pytest.mark.slow
def test_memory_of_many_trainings_comes_back(tmp_path, monkeypatch):
    """The processes fill up one after the other, and every new one starts where the first did."""
    values = {"xla": True, "hidden_units": (100, 100), "learning_rate": 1e-3}
    processes, held = [], []
    with Apart(judge("bound")) as away:
        monkeypatch.setattr(apart, "FULL", float("inf"))
        for number in range(8):
            away(values, tmp_path / str(number))
            processes.append(away.process.pid)
            held.append(most_held(away.process.pid))
            if held[-1] > held[0] + 100:
                away.end()
    assert 2 <= len(set(processes)) <= 6
    assert max(held) < held[0] + 300


def most_held(process: int) -> float:
    """The most MiB that a process has held at a time."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
