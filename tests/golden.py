"""Whether two commits compute the same numbers: five tiny runs, compared bit for bit.

    python -m tests.golden OLD [NEW]     by default the commit that is checked out

Each commit is checked out into a temporary folder and trains the runs through its own train.py, side by side with the
other's. Compared are all variables after the last step (weights, optimizer, averages), the metrics of every epoch and
the scores of the report, by whatever name either commit has for them.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfadgm.provenance import ROOT
from tfadgm.training.checkpoint import OLD_COLUMNS

SMALL = ["--hidden-units", "16", "12", "--latent-units", "6", "--epochs", "2"]
AUXILIARY = [*SMALL, "--auxiliary-units", "5"]
LABELS = ["--dataset", "digits", "--labels", "20", "--seed", "3"]
RUNS: dict[str, list[str]] = {
    "SDGM, Rao-Blackwellised, all additions": [*LABELS, *AUXILIARY, "--model", "sdgm"],
    "ADGM, exact": [*LABELS, *AUXILIARY, "--model", "adgm", "--recipe", "paper", "--weight-average", "0.9"],
    "M2": [*LABELS, *SMALL, "--model", "m2", "--decay", "0.5"],
    "AVAE, 2 layers": ["--model", "avae", "--stochastic-layers", "2", *AUXILIARY],
    "LVAE, 3 layers": ["--model", "lvae", "--stochastic-layers", "3", "--importance-samples", "2", *SMALL],
}
CHANGED = {"supervised_error": ["M2"]}  # it once inherited the run's falling step size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="HEAD")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = [check_out(commit, Path(name) / side) for side, commit in (("old", flags.old), ("new", flags.new))]
        failed = 0
        for name, arguments in RUNS.items():
            differing = compare(name, *train(folders, arguments))
            failed += bool(differing)
            print(f"{name:<45}{'DIFFERS: ' + ', '.join(differing) if differing else 'equal, bit for bit'}", flush=True)
    sys.exit(failed)


def check_out(commit: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


def train(folders: list[Path], arguments: list[str]) -> list[Path]:
    """The run folders of both commits."""
    processes = []
    for folder in folders:
        run = folder / "run"
        subprocess.run(["rm", "-rf", str(run)], check=True)
        command = [sys.executable, "train.py", *arguments, "--run-dir", str(run)]
        processes.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL))
    if any([process.wait() for process in processes]):
        sys.exit("tests.golden: a training failed")
    return [folder / "run" for folder in folders]


def compare(name: str, old: Path, new: Path) -> list[str]:
    """What differs between two run folders."""
    differing = []
    one, other = (variables(run) for run in (old, new))
    if len(one) != len(other):
        return [f"{len(one)} and {len(other)} variables"]
    differing += [f"variable {key}" for key in one if not np.array_equal(one[key], other[key])]
    for kind, left, right in (("metric", metrics(old), metrics(new)), ("report", report(old), report(new))):
        shared = {key for key in left.keys() & right.keys() if name not in CHANGED.get(key, [])}
        differing += [f"{kind} {key}" for key in sorted(shared) if left[key] != right[key]]
        differing += [f"{kind} {key} is missing" for key in sorted(left.keys() - right.keys())]
    return differing


def variables(run: Path) -> dict[str, np.ndarray]:
    newest = max(path for path in (run / "checkpoint").glob("[0-9]*"))
    with np.load(newest / "variables.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def metrics(run: Path) -> dict[str, Any]:
    """Every column but those of time, by its name of today."""
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    return {OLD_COLUMNS.get(name, name): [row[name] for row in rows] for name in rows[0] if name != "seconds"}


def report(run: Path) -> dict[str, Any]:
    found = json.loads((run / "report.json").read_text())
    return {name: value for name, value in found.items() if name not in ("seconds", "examples_per_second")}


if __name__ == "__main__":
    main()
