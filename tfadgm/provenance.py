"""Which code made a result, and on what machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commit() -> str:
    """The commit that ran, marked where the tree, but for results, differed from it; "unknown" outside of git."""
    if not (ROOT / ".git").exists():
        return "unknown"  # though ROOT may lie within another repository
    try:
        name, changed = (
            subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for command in (
                ["rev-parse", "--short=12", "HEAD"],
                ["status", "--porcelain", "--", ".", ":!results"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + "-dirty" * bool(changed)


def machine() -> str:
    """Processor, cores and versions, without the machine's name."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux
    import tensorflow as tf

    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, TensorFlow {tf.__version__}"
