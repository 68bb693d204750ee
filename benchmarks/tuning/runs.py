"""Searches and trainings that are kept, and go on where they were stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.seeds import ROOT
from tfadgm.config import Config

RUNS = ROOT / "runs" / "tuning"
SEARCHES = {"digits": ["--labels", "50", "--epochs", "60"], "moons": ["--labels", "6"]}
TRIALS = 30


def searched(flags: list[str], folder: Path, jobs: int) -> Path:
    """Runs a search, or what is left of it; its folder."""
    if not (folder / "report.json").exists():
        resume = ["--resume"] if (folder / "search.json").exists() else []
        command = [sys.executable, "-m", "tuner", *flags, "--workers", str(jobs), "--directory", str(folder), *resume]
        subprocess.run(command, cwd=ROOT, check=True)
    return folder


def trained(runs: list[tuple[Path, Config]], jobs: int) -> list[dict[str, Any]]:
    """The reports of trainings by `train.py` on a thread each, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda run: report_of(*run), runs))


def report_of(folder: Path, config: Config) -> dict[str, Any]:
    report = folder / "report.json"
    if not report.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.with_suffix(".json")
        path.write_text(config.to_json())
        resume = ["--resume"] if (folder / "checkpoint").exists() else []
        threads = {f"TF_NUM_{kind}OP_THREADS": "1" for kind in ("INTRA", "INTER")}
        command = [sys.executable, "train.py", "--config", str(path), "--run-dir", str(folder), *resume]
        subprocess.run(command, cwd=ROOT, check=True, env=os.environ | threads, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text())
