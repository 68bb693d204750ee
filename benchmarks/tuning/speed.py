"""Trials a minute of a search of the digits by workers and their threads, and what the machine would allow."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.seeds import ROOT
from benchmarks.tuning.runs import trained
from tfadgm.config import Config

REPEATS, TRIALS = 3, 12
SPEED = ["--labels", "50", "--epochs", "60", "--algorithm", "random", "--trials", str(TRIALS)]
# Workers, and the threads of each. A lone worker that keeps to one thread tells what the second worker adds; one that
# takes both tells what that is worth to a user.
KINDS = {"1, one thread": (1, 1), "1, two threads": (1, 2), "2, one thread each": (2, 1)}


def speed() -> dict[str, Any]:
    """Seconds from the command to the end of each trial, for the same trials."""
    ends: dict[str, list[list[float]]] = {name: [] for name in KINDS}
    for _ in range(REPEATS):
        for name, (workers, threads) in KINDS.items():
            ends[name].append(ends_of_trials(workers, threads))
            print(name, ends[name][-1], flush=True)
    medians = {name: float(np.median([times[-1] for times in group])) for name, group in ends.items()}
    return {
        "search": "python -m tuner " + " ".join(SPEED),
        "ends": ends,
        "trials_a_minute": {name: round(60 * TRIALS / median, 2) for name, median in medians.items()},
        "times_the_slowest": {name: round(max(medians.values()) / median, 2) for name, median in medians.items()},
    }


def ceiling() -> dict[str, Any]:
    """Seconds of a training on one thread, alone and beside another: what this machine grants the second of two."""
    seconds: dict[str, list[float]] = {"alone": [], "two at once": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            for jobs, times in enumerate(seconds.values(), 1):
                config = Config.for_dataset("digits", epochs=60)
                runs = [(Path(folder) / f"{repeat}-{jobs}-{job}", config) for job in range(jobs)]
                times.append(round(float(np.mean([report["seconds"] for report in trained(runs, jobs)])), 1))
    alone, together = (float(np.median(times)) for times in seconds.values())
    return {"seconds": seconds, "times": round(2 * alone / together, 2)}


def ends_of_trials(workers: int, threads: int) -> list[float]:
    """Seconds from the command to the end of each trial."""
    environment = os.environ | {f"TF_NUM_{kind}OP_THREADS": str(threads) for kind in ("INTRA", "INTER")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tuner", *SPEED, "--workers", str(workers), "--directory", f"{folder}/search"]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
        ends: list[float] = []
        for line in process.stdout or ():
            ends += [round(time.perf_counter() - started, 1)] * line.startswith("Trial ")
            if len(ends) == TRIALS:
                process.terminate()  # what follows judges the finalists
                process.communicate()
                return ends
    raise RuntimeError(f"Expected {TRIALS} trials. Received {len(ends)}")
