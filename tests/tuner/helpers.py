"""A small search: as a process, as a function of a judge, and as a chief that is asked by hand."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras_tuner
import numpy as np
from keras_tuner.src import protos

from tfadgm.cli import exit_status
from tfadgm.config import Config
from tfadgm.errors import TrainingError
from tuner import __main__ as script
from tuner.chief import Chief
from tuner.oracles import make_oracle
from tuner.search import Search
from tuner.space import Range, search_space

ROOT = Path(__file__).parents[2]
TINY = ["--dataset", "moons", "--epochs", "1", "--objective", "bound", "--finalists", "1", "--finalist-seeds", "1"]
for fixed in ("hidden=[8]", "latent_units=2", "auxiliary_units=2", "unlabeled_batch=5003", "xla=false", "samples=1"):
    TINY += ["--fix", fixed]


def start(*flags: object, environment: dict[str, str] | None = None) -> subprocess.Popen:
    command = [sys.executable, "-u", "-m", "tuner", *map(str, flags)]
    environment = os.environ | (environment or {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)


def finish(*flags: object) -> tuple[int, str, str]:
    process = start(*flags)
    printed, errors = process.communicate()
    return process.returncode, printed, errors


def outcome(folder: Path) -> tuple[dict, dict]:
    report = json.loads((folder / "report.json").read_text())
    return {row["trial"]: (row["score"], row["values"]) for row in report["trials"]}, report["best"]


class Scores:
    """Stands for a Judge: a function of the learning rate, with a trial that diverges."""

    base = Config.for_dataset("moons")

    def __init__(self, failing: int | None = None, mistake: bool = False) -> None:
        self.failing, self.mistake, self.calls = failing, mistake, 0

    def __call__(self, values, folder, seed=0, epochs=None):
        self.calls += 1
        folder.mkdir(parents=True, exist_ok=True)
        if self.mistake:
            raise ValueError("shapes (3,) and (4,)")
        if self.calls - 1 == self.failing:
            raise TrainingError("Expected a finite loss")
        return {"bound": abs(np.log(values["learning_rate"] / 1e-3))}


def make_search(folder: Path, judge: Scores, algorithm: str = "random", trials: int = 4, epochs: int = 9) -> Search:
    space = search_space("sdgm", {"learning_rate": Range(1e-5, 1e-1, "log")}, {})
    return Search(make_oracle(algorithm, "bound", space, trials, epochs, 0), judge, folder)


def search(folder: Path, judge: Scores, *arguments, **options) -> keras_tuner.Oracle:
    found = make_search(folder, judge, *arguments, **options)
    found.search()
    return found.oracle


def run_script(monkeypatch, capsys, *flags: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tuner", *map(str, flags)])
    status = exit_status("tuner", script.main)
    return status, capsys.readouterr().err


def make_chief(folder: Path, trials: int = 3, expect: bool = False) -> Chief:
    return Chief(make_search(folder, Scores(), trials=trials).oracle, expect)


class Aborted(Exception):  # noqa: N818
    """What a call to a chief ends with that it refuses."""


def context(process: str = "first") -> SimpleNamespace:
    def abort(code, details):
        raise Aborted(details)

    return SimpleNamespace(invocation_metadata=lambda: (("process", process),), abort=abort)


def ask(chief: Chief, worker: str, process: str = "first"):
    return chief.CreateTrial(protos.get_service().CreateTrialRequest(tuner_id=worker), context(process)).trial


def beat(chief: Chief, trial, process: str = "first") -> None:
    chief.GetTrial(protos.get_service().GetTrialRequest(trial_id=trial.trial_id), context(process))


def end(chief: Chief, trial, score: float = 1.0, process: str = "first") -> None:
    metrics = {"bound": score, "seconds": 1.0}
    request = protos.get_service().UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics)
    chief.UpdateTrial(request, context())
    trial.status = protos.get_proto().TrialStatus.COMPLETED
    chief.EndTrial(protos.get_service().EndTrialRequest(trial=trial), context(process))


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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
