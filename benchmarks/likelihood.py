"""What an estimate of log p(x) costs: minutes and memory of `python -m tfadgm.evaluation RUN_DIR --samples 5000`.

    python -m benchmarks.likelihood RUN_DIR ... [--points N]

measures one run after another, with nothing beside it, and leaves the estimates in their folders, which hold none
before. With --points only the first so many test points, to which the minutes are nearly proportional. Results go to
results/likelihood.json, a row for each name of a run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.seeds import RESULTS, ROOT
from tfadgm.evaluation import estimates
from tfadgm.provenance import commit, machine

SAMPLES = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR")
    parser.add_argument("--points", type=int, help="the first so many test points (default: all)")
    flags, path = parser.parse_args(), RESULTS / "likelihood.json"
    for run_dir in flags.run_dirs:
        result = json.loads(path.read_text()) if path.exists() else {"rows": {}}
        result |= {"command": "python -m benchmarks.likelihood RUN_DIR", "machine": machine()}
        name = run_dir.name if flags.points is None else f"{run_dir.name}, {flags.points} points"
        result["rows"][name] = measure(run_dir, flags.points)
        path.write_text(json.dumps(result, indent=1) + "\n")


def measure(run_dir: Path, points: int | None) -> dict[str, Any]:
    estimate = estimates(run_dir, SAMPLES, points).with_suffix(".json")
    if estimate.with_suffix(".npz").exists():
        raise SystemExit(f"Expected a run without an estimate. Received {run_dir}: remove its {estimate.stem}.*")
    command = [sys.executable, "-m", "tfadgm.evaluation", str(run_dir.resolve()), "--samples", str(SAMPLES)]
    command += [] if points is None else ["--points", str(points)]
    code = commit()
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    minutes = (time.perf_counter() - started) / 60
    if status:
        raise SystemExit(f"Expected an estimate. Received exit status {os.waitstatus_to_exitcode(status)}")
    told = json.loads(estimate.read_text())
    return {
        "points": told["points"],
        "minutes": round(minutes, 2),
        "peak_mib": used.ru_maxrss // 1024,
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
        "commit": code,
    }


if __name__ == "__main__":
    main()
