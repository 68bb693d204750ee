"""Whether a search can be trusted, and what it gains.

    python -m experiments tuning digits        30 random trials by folds, then trained on all labels and tested
    python -m experiments tuning moons
    python -m experiments tuning digits-alone  30 trials trained on all labels, by objectives that ask for no more
    python -m experiments tuning moons-alone
    python -m experiments tuning gain          digits: a search and the preset, on ten label seeds that it has not seen
    python -m experiments tuning short         the same by trials of fewer epochs than the preset's
    python -m experiments tuning own           the same of the digits as a user's own arrays, with the preset of such
    python -m experiments tuning speed         digits: trials a minute with one worker and two; nothing beside it
    python -m experiments tuning ceiling       how many times the work of one training two at once do; nothing beside it

Test labels enter this report only: the search itself sees the labels of its training. Searches and trainings are kept
in runs/experiments/tuning/ and go on where they were stopped. Results go to results/tuning.json and results/tuning.md.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.grid import JOBS, Cell, complete, environment
from experiments.results import RESULTS, load, origin, parser, save
from experiments.tuning.gain import gain, own
from experiments.tuning.objectives import SEARCHES, alone, correlation
from experiments.tuning.tables import tables
from tfadgm.config import Config
from tfadgm.files import write_text
from tfadgm.provenance import ROOT, commit, machine
from tfadgm.run import Run

REPEATS, TRIALS = 3, 12
SPEED = ["--labels", "50", "--epochs", "60", "--algorithm", "random", "--trials", str(TRIALS)]
# Workers, and the threads of each. A lone worker that keeps to one thread tells what the second worker adds; one that
# takes both tells what that is worth to a user.
KINDS = {"1, one thread": (1, 1), "1, two threads": (1, 2), "2, one thread each": (2, 1)}

MEASURED: dict[str, Callable[[int], dict[str, Any]]] = {
    **{name: functools.partial(correlation, name) for name in SEARCHES},
    **{f"{name}-alone": functools.partial(alone, name) for name in SEARCHES},
    "gain": functools.partial(gain, "gain", ["--labels", "50"], ["random"]),
    "short": functools.partial(gain, "short", SEARCHES["digits"], ["random", "bayesian"]),
    "own": own,
    "speed": lambda _: speed(),  # by itself
    "ceiling": lambda _: ceiling(),
}


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("parts", nargs="+", choices=MEASURED)
    flags.add_argument("--jobs", type=int, default=JOBS, help="trainings at a time (default: one a core)")
    asked = flags.parse_args(arguments)
    for part in asked.parts:
        told = {"commit": commit(), "machine": machine()}
        command = {"command": origin(f"{name} {' '.join(MEASURED)}")["command"]}
        result = load(name) | command | {part: MEASURED[part](asked.jobs) | told}
        save(name, result, indent=1)
        write_text(RESULTS / f"{name}.md", tables(result))


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
    config = Config.for_dataset("digits", epochs=60)
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            for jobs, times in enumerate(seconds.values(), 1):
                cells = [Cell(Path(folder) / f"{repeat}-{jobs}-{job}", config) for job in range(jobs)]
                complete(cells, jobs, threads=1)
                times.append(round(float(np.mean([Run(cell.folder).report["seconds"] for cell in cells])), 1))
    alone, together = (float(np.median(times)) for times in seconds.values())
    return {"seconds": seconds, "times": round(2 * alone / together, 2)}


def ends_of_trials(workers: int, threads: int) -> list[float]:
    """Seconds from the command to the end of each trial."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tuner", *SPEED, "--workers", str(workers), "--directory", f"{folder}/search"]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment(threads))
        ends: list[float] = []
        for line in process.stdout or ():
            ends += [round(time.perf_counter() - started, 1)] * line.startswith("Trial ")
            if len(ends) == TRIALS:
                process.terminate()  # what follows judges the finalists
                process.communicate()
                return ends
    raise RuntimeError(f"Expected {TRIALS} trials. Received {len(ends)}")
