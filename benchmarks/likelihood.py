"""What an estimate of log p(x) costs: minutes and memory of `python -m tfadgm.evaluation RUN_DIR --samples 5000`.

    python -m benchmarks.likelihood RUN_DIR ...

measures one run after another, with nothing beside it, and leaves the estimates in their folders, which hold none
before. Results go to results/likelihood.json, a row for each name of a run.
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
from tfadgm.provenance import commit, machine

SAMPLES = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR")
    path = RESULTS / "likelihood.json"
    for run_dir in parser.parse_args().run_dirs:
        result = json.loads(path.read_text()) if path.exists() else {"rows": {}}
        result |= {"command": "python -m benchmarks.likelihood RUN_DIR", "machine": machine()}
        result["rows"][run_dir.name] = measure(run_dir)
        path.write_text(json.dumps(result, indent=1) + "\n")


def measure(run_dir: Path) -> dict[str, Any]:
    estimate = run_dir / f"log_likelihood-{SAMPLES}.json"
    if estimate.with_suffix(".npz").exists():
        raise SystemExit(f"Expected a run without an estimate. Received {run_dir}: remove its {estimate.stem}.*")
    command = [sys.executable, "-m", "tfadgm.evaluation", str(run_dir.resolve()), "--samples", str(SAMPLES)]
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
