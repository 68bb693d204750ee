"""What a search tells while it runs: lines that stay, and one at the foot of the terminal that does not."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuner.spec import SearchSpec

PERIOD = 0.5  # seconds between two looks at the trainings
CLEAR = "\x1b[K"  # from the cursor to the end of the line


def tell(line: str) -> None:
    """Prints a line that stays."""
    sys.stdout.write(f"{CLEAR if sys.stdout.isatty() else ''}{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def shown(spec: SearchSpec, oracle: Any) -> Iterator[None]:
    """Shows how far the search of `oracle` is within the context, if somebody looks on."""
    if not sys.stdout.isatty():
        yield
        return
    done = threading.Event()

    def show() -> None:
        while not done.wait(PERIOD):
            with contextlib.suppress(OSError):  # a folder that is removed while it is looked at
                line = progress(spec, oracle)[: shutil.get_terminal_size().columns - 1]
                sys.stdout.write(f"{CLEAR}{line}\r")
                sys.stdout.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.stdout.write(CLEAR)
        sys.stdout.flush()


def progress(spec: SearchSpec, oracle: Any) -> str:
    """The trials that have ended, and the epoch of every training that runs, from its folder."""
    of = f" of {oracle.max_trials}" if oracle.max_trials else ""
    parts = [f"{len(oracle.end_order)}{of} trials"]
    for trial in list(oracle.ongoing_trials.values()):
        epochs = trial.hyperparameters.values.get("tuner/epochs", spec.scorer.base.epochs)
        parts += _training(spec.folder / "trainings" / trial.trial_id, f"trial {trial.trial_id}", epochs)
    for folder in sorted(spec.folder.glob("finalists/*/")):
        name, _, seed = folder.name.partition("-")
        if not folder.with_suffix(".json").exists():
            parts += _training(folder, f"trial {name} by seed {seed}", spec.scorer.base.epochs)
    return ", ".join(parts)


def _training(folder: Path, name: str, epochs: int | None) -> list[str]:
    """How far the last training in the folder of a trial is, if one has begun."""
    parts = sorted((path.parent for path in folder.glob("*/checkpoint")), key=lambda part: (len(part.name), part.name))
    if not parts:
        return []
    fold = f" {parts[-1].name}" if parts[-1].name != "all" else ""
    metrics = parts[-1] / "metrics.csv"  # a head, and rows that begin with their epoch
    rows = metrics.read_text().splitlines()[1:] if metrics.exists() else []
    last = rows[-1].partition(",")[0] if rows else 0
    return [f"{name}{fold} epoch {last} of {epochs}"]
