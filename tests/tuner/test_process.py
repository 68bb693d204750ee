"""Trainings in another process: what they return, how they fail, and that their memory comes back."""

import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from tests.tuner.helpers import TINY, flags, own_file
from tfadgm.errors import TrainingError
from tuner import process
from tuner.process import ProcessKilled, ScorerProcess
from tuner.spec import make_spec


class Answers:
    """Stands for a TrialScorer: tells which process it is called in, or fails as `values` say."""

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
            faulthandler.disable()
            os.abort()
        threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0))
        blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return {"process": os.getpid(), "seed": seed, "epochs": epochs or 0, "threads": threads, "blocked": blocked}


@pytest.fixture
def forked(monkeypatch):
    """Processes that start at once, and cannot compute."""
    monkeypatch.setattr(process, "CONTEXT", "fork")


def test_errors_come_back_and_a_killed_process_costs_one_call(tmp_path, monkeypatch, forked):
    monkeypatch.setattr(process, "FULL", float("inf"))
    with ScorerProcess(Answers()) as away:
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
        with pytest.raises(ProcessKilled, match="Received the end of their process, exit status -9"):
            away({"killed": True}, tmp_path)
        with pytest.raises(RuntimeError, match="Received the end of their process, exit status -6$") as crash:
            away({"crash": True}, tmp_path)
        assert not isinstance(crash.value, TrainingError)
        later = away({}, tmp_path)
        assert later["process"] != first["process"]
    with pytest.raises(ProcessLookupError):
        os.kill(later["process"], 0)


def test_a_process_that_is_full_is_replaced(tmp_path, monkeypatch, forked):
    monkeypatch.setattr(process, "FULL", 1)
    with ScorerProcess(Answers()) as away:
        assert away({}, tmp_path)["process"] != away({}, tmp_path)["process"]


def test_a_process_has_its_threads_and_leaves_interrupts_to_its_parent(tmp_path, monkeypatch, forked):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    with ScorerProcess(Answers(), threads=3) as away:
        found = away({}, tmp_path)
    assert (found["threads"], found["blocked"]) == (3, True)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_process_ends_with_its_parent(tmp_path):
    """One that is killed, and cannot end anything."""
    parent = (
        "import os, pathlib, sys, types\n"
        "sys.modules['tfadgm'] = types.ModuleType('tfadgm')\n"  # without TensorFlow
        "sys.modules['tfadgm'].__path__ = [sys.argv[1]]\n"
        "from tuner import process\n"
        "process.CONTEXT = 'fork'\n"
        "away = process.ScorerProcess(lambda *call: {'process': os.getpid()})\n"
        "print(int(away({}, pathlib.Path('.'))['process']), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(process.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", parent, root / "tfadgm"], cwd=root, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    end = time.monotonic() + 9
    while is_running(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_scorer_can_be_sent_to_another_process(tmp_path):
    scorer = make_spec(flags(*TINY, "--dataset", own_file(tmp_path / "own.npz"))).scorer
    sent = pickle.loads(pickle.dumps(scorer))
    assert sent.base == scorer.base
    assert (sent.dataset.x == scorer.dataset.x).all()


@pytest.mark.slow
def test_a_process_is_an_interpreter_of_its_own(tmp_path):
    with ScorerProcess(Answers()) as away:
        assert away({}, tmp_path)["process"] != os.getpid()


@pytest.mark.slow
def test_memory_of_many_trainings_comes_back(tmp_path, monkeypatch):
    """The processes fill up one after the other, and every new one starts where the first did."""
    scorer = make_spec(flags(*TINY, "--dataset", own_file(tmp_path / "own.npz"), "--fix", "xla=true")).scorer
    values = {"hidden_units": (100, 100), "learning_rate": 1e-3}
    processes, held = [], []
    with ScorerProcess(scorer) as away:
        monkeypatch.setattr(process, "FULL", float("inf"))
        for number in range(5):
            away(values, tmp_path / str(number))
            processes.append(away.process.pid)
            held.append(most_held(away.process.pid))
            if held[-1] > held[0] + 100:
                away.end()
    assert 2 <= len(set(processes)) <= 4
    assert max(held) < held[0] + 300


def most_held(number: int) -> float:
    """The most MiB that a process has held at a time."""
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
