"""A small search: as a command, by a scorer that is a function, and as a chief that is asked by hand."""

import argparse
import contextlib
import json
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.cli import exit_status
from tfadgm.errors import TrainingError
from tuner import __main__ as command
from tuner.chief import Chief
from tuner.keras_tuner_private import make_oracle, messages, statuses
from tuner.search import Search
from tuner.space import Range, Space

TINY = ["--epochs", "1", "--objective", "bound", "--finalists", "1", "--finalist-seeds", "1"]
for fixed in ("hidden=[8]", "latent_units=2", "auxiliary_units=2", "unlabeled_batch=30", "xla=false", "samples=1"):
    TINY += ["--fix", fixed]
SPACE: Space = {"learning_rate": Range(1e-5, 1e-1, "log"), "alpha_scale": Range(0.1, 10.0, "log")}
ROLES = [f"KERASTUNER_{name}" for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT")]


def own_file(path: Path, seed: int = 0) -> Path:
    """Sixty points of two classes, six of them labeled."""
    x = np.random.default_rng(seed).normal(size=[60, 2]).astype(np.float32)
    y = np.array(["upper", "lower"])[(x[:6, 0] > np.median(x[:6, 0])).astype(int)]
    np.savez(path, x_unlabeled=x[6:], x_labeled=x[:6], y_labeled=y)
    return path


def outcome(folder: Path) -> tuple[dict, dict]:
    report = json.loads((folder / "report.json").read_text())
    return {row["trial"]: (row["score"], row["values"]) for row in report["trials"]}, report["best"]


class Scores:
    """Stands for a TrialScorer: a function of the learning rate, with a trial that diverges."""

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


class InProcess:
    """Stands for a ScorerProcess: calls the scorer in this process."""

    def __init__(self, scorer, threads=None) -> None:
        self.scorer = scorer

    def __call__(self, *arguments, **options):
        return self.scorer(*arguments, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Trainings of a few steps, which take longer to trace than to run."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run_functions_eagerly`")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def make_search(folder: Path, algorithm: str = "random", trials: int = 4, epochs: int = 9) -> Search:
    oracle = make_oracle(algorithm, "bound", SPACE, trials, epochs, 0)
    oracle.open(folder)
    return Search(oracle, folder)


def search(folder: Path, scorer: Scores, *arguments, **options):
    """The oracle of a search that has ended."""
    found = make_search(folder, *arguments, **options)
    found.run(scorer)
    return found.oracle


def flags(*given: object) -> argparse.Namespace:
    return command.make_parser().parse_args(list(map(str, given)))


def run_command(capsys: pytest.CaptureFixture, *given: object) -> tuple[int, str, str]:
    """The exit status of the command, and what it prints."""
    status = exit_status("tuner", lambda: command.main(list(map(str, given))))
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def make_chief(folder: Path, trials: int = 3, expect: bool = False) -> Chief:
    return Chief(make_search(folder, trials=trials).oracle, expect)


class Aborted(Exception):  # noqa: N818
    """What a call to a chief ends with that it refuses."""


def context(process: str = "first") -> SimpleNamespace:
    def abort(code, details):
        raise Aborted(details)

    return SimpleNamespace(invocation_metadata=lambda: (("process", process),), abort=abort)


def ask(chief: Chief, worker: str, process: str = "first"):
    return chief.CreateTrial(messages.CreateTrialRequest(tuner_id=worker), context(process)).trial


def beat(chief: Chief, trial, process: str = "first") -> None:
    chief.GetTrial(messages.GetTrialRequest(trial_id=trial.trial_id), context(process))


def end(chief: Chief, trial, score: float = 1.0, process: str = "first") -> None:
    metrics = {"bound": score, "seconds": 1.0}
    chief.UpdateTrial(messages.UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics), context())
    trial.status = statuses.COMPLETED
    chief.EndTrial(messages.EndTrialRequest(trial=trial), context(process))


def wait(chief: Chief, clock: list[float], seconds: float, *beating) -> bool:
    """Lets time pass as it does for a chief that looks around; `beating` trials are heard of."""
    for _ in range(int(seconds)):
        clock[0] += 1
        for trial in beating:
            beat(chief, trial)
        over = chief.over()
    return over


def trial_statuses(chief: Chief) -> list[str]:
    return [chief.oracle.trials[name].status for name in sorted(chief.oracle.trials)]


def is_status(trial, name: str) -> bool:
    return trial.status == statuses.Value(name)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
