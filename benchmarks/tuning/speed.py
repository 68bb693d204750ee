"""Trials a minute of a search of the digits, with one worker and with two."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.seeds import ROOT

REPEATS, TRIALS = 3, 12
SPEED = ["--labels", "50", "--epochs", "60", "--algorithm", "random", "--trials", str(TRIALS)]


def speed() -> dict[str, Any]:
    """Seconds from the command to the end of the last trial, for the same trials."""
    seconds: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(REPEATS):
        for workers, times in seconds.items():
            times.append(round(seconds_of_trials(workers), 1))
    medians = {workers: float(np.median(times)) for workers, times in seconds.items()}
    return {
        "search": "python -m tuner " + " ".join(SPEED),
        "seconds": seconds,
        "trials_a_minute": {workers: round(60 * TRIALS / median, 2) for workers, median in medians.items()},
        "ratio": round(medians["1"] / medians["2"], 2),
    }


def seconds_of_trials(workers: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tuner", *SPEED, "--workers", workers, "--directory", f"{folder}/search"]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        ended = 0
        for line in process.stdout or ():
            ended += line.startswith("Trial ")
            if ended == TRIALS:
                seconds = time.perf_counter() - started
                process.terminate()  # what follows judges the finalists
                process.communicate()
                return seconds
    raise RuntimeError(f"Expected {TRIALS} trials. Received {ended}")
