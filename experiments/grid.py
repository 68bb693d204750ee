"""A grid of trainings: named variants by label seeds. It can be stopped, and goes on where it was.

Every cell is an ordinary run in a folder of its own. Cells run side by side, one for each core with one thread each,
which does more of them an hour than one training on all cores. Errors are those of the last, averaged weights.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import experiments.sources  # noqa: F401  run folders name data that are declared there
from experiments.results import parser
from tfadgm.config import Config
from tfadgm.errors import InputError, TrainingError
from tfadgm.files import write_json, write_text
from tfadgm.provenance import ROOT, commit
from tfadgm.reproduce.common import unseen_training_error
from tfadgm.run import Run

RUNS = ROOT / "runs" / "experiments"
TRAIN = [sys.executable, "-m", "experiments", "train"]
MADE, ROW = "made.json", "row.json"  # in the folder of a cell: how it was made, once it is complete, and its numbers
SCORES = (
    "test_error", "test_nll", "test_ece", "supervised_error", "label_spreading_error", "self_training_error",
)  # fmt: skip
JOBS = os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class Cell:
    """A training: its configuration and the folder of its run."""

    folder: Path
    config: Config

    @property
    def path(self) -> Path:
        """The configuration as it is asked for, before the data fill in the rest."""
        return self.folder.with_name(f"{self.folder.name}.json")


def measure(
    name: str,
    description: str | None,
    arguments: Sequence[str],
    variants: Sequence[str],
    config: Callable[[str], Config],
    seeds: Sequence[int],
    more: Callable[[Cell], dict[str, Any]] = lambda cell: {},
    jobs: int = JOBS,
) -> dict[str, list[dict[str, Any]]]:
    """Trains what a command asks for; by variant, the rows of all cells that are complete.

    Args:
        name, description, arguments: of the command.
        variants: the names of all; empty where a user may name others.
        config: that of a variant, but for its seed.
        more: what else to measure of a cell.
        seeds, jobs: label seeds and trainings at a time, unless the user names others.
    """
    flags = parser(name, description)
    flags.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of: {'; '.join(variants)} (default: all)")
    flags.add_argument("--seeds", type=int, nargs="+", default=list(seeds), help="label seeds (default: all)")
    flags.add_argument("--jobs", type=int, default=jobs, help=f"trainings at a time (default: {jobs})")
    told = flags.parse_args(arguments)
    if foreign := set(told.variants) - set(variants or told.variants):
        raise InputError(f"Expected variants of {'; '.join(variants)}. Received: {'; '.join(sorted(foreign))}")

    def cell(variant: str, seed: int) -> Cell:
        return Cell(folder(variant, seed), config(variant).replace(seed=seed))

    def folder(variant: str, seed: int) -> Path:
        return RUNS / name / f"{variant}-{seed}"

    complete([cell(variant, seed) for variant in told.variants or variants for seed in told.seeds], told.jobs)
    every = sorted({*seeds, *told.seeds})
    found = {
        variant: [
            row
            for seed in every
            if (folder(variant, seed) / MADE).exists() and (row := collect(cell(variant, seed), more))
        ]
        for variant in variants or told.variants
    }
    return {variant: rows for variant, rows in found.items() if rows}


def complete(cells: Sequence[Cell], jobs: int, threads: int | None = None) -> None:
    """Trains what is not complete, `jobs` at a time, on `threads`: by default one each, or all where one job runs.

    Raises:
        TrainingError: if a training fails.
    """
    threads = threads or (1 if jobs > 1 else None)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda cell: _train(cell, threads), cells))


def _train(cell: Cell, threads: int | None) -> None:
    if cell.path.exists() and (kept := Config.read(cell.path)) != cell.config:
        raise InputError(f"Expected {cell.config} in {cell.folder}. Received a run of {kept}: move it away")
    if (cell.folder / MADE).exists():
        return
    code, resume = commit(), ["--resume"] if Run(cell.folder).exists else []
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    write_text(cell.path, cell.config.to_json())
    seconds, memory = timed([*TRAIN, "--config", str(cell.path), "--run-dir", str(cell.folder), *resume], threads)
    made = {
        "commit": code,
        "whole_process_seconds": None if resume else round(seconds, 1),  # else of the last part only
        "peak_memory_mib": None if resume else memory,
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all") if threads is None else str(threads),
    }
    (cell.folder / ROW).unlink(missing_ok=True)
    write_json(cell.folder / MADE, made)


def timed(command: Sequence[str], threads: int | None = None, **options: Any) -> tuple[float, int]:
    """Seconds and peak MiB of a process. Raises TrainingError if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment(threads), **options)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise TrainingError(f"Expected exit status 0 of {' '.join(command)}. Received: {process.returncode}")
    return time.perf_counter() - started, round(used.ru_maxrss / 1024)


def environment(threads: int | None) -> dict[str, str]:
    """That of a process with so many threads; None leaves it the choice."""
    limits = {} if threads is None else {f"TF_NUM_{kind}OP_THREADS": str(threads) for kind in ("INTRA", "INTER")}
    return os.environ | limits


def collect(cell: Cell, more: Callable[[Cell], dict[str, Any]] = lambda cell: {}) -> dict[str, Any] | None:
    """The numbers of a cell, measured once, and `more` of it; None if it is not complete."""
    made, row = cell.folder / MADE, cell.folder / ROW
    if not made.exists():
        return None
    if not row.exists():
        write_json(row, measured(Run(cell.folder)) | more(cell) | json.loads(made.read_text()))
    return json.loads(row.read_text())


def measured(run: Run) -> dict[str, Any]:
    """What every experiment tells of a run."""
    report, rows = run.report, history(run)
    epochs, ends = (np.array([0, *(float(row[key]) for row in rows)]) for key in ("epoch", "seconds"))
    times = np.diff(ends) / np.diff(epochs)
    scores = {key: report[key] for key in SCORES} | {"unseen_training_error": unseen_training_error(run)}
    return {
        "seed": report["seed"],
        **{key: round(score, 4) for key, score in scores.items() if score is not None},
        "seconds_an_epoch": round(float(np.median(times[1:] if len(times) > 1 else times)), 2),
        "epochs": report["epochs"],
        "minutes": round(report["seconds"] / 60, 1),
    }


def history(run: Run) -> list[dict[str, str]]:
    """metrics.csv."""
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))
