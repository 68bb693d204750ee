"""log p(x) of the test points of a finished run, kept in its folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

from tfadgm.errors import InputError
from tfadgm.evaluation.likelihood import log_likelihood, preparation, prepare_inputs, summary
from tfadgm.files import write_json
from tfadgm.run import Run

MEMORY = 2048  # MiB that an estimate may take, by default
REPORTED = 1000  # points between two lines of an estimate that no terminal shows


def estimate(
    run_dir: Path, samples: int, points: int | None = None, *, memory: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Estimates log p(x) of test points of a run; its folder keeps every point's (.npz) and what is returned (.json).

    An estimate of the first `points` has files of its own.

    Args:
        run_dir: a finished run.
        samples: importance samples of a point.
        points: how many points, the first ones; by default all.
        memory: MiB that the process may take, what it has taken included; None for no such bound.
        seed: of the samples.

    Raises:
        InputError: if the run is not finished or has no test points, or the memory is too little.
    """
    run = Run(run_dir)
    model, x = run.load_model(), run.load_dataset().x_test
    if not len(x):
        raise InputError(f"Expected a run with test points. Received {run_dir}, whose data have none")
    x = prepare_inputs(model, x)[:points]
    path = estimates(run_dir, samples, points)
    bar = keras.utils.Progbar(len(x), unit_name="point") if sys.stdout.isatty() else None

    def progress(done: int) -> None:
        if bar:
            bar.update(done)
        elif done % REPORTED == 0:
            print(f"{done} of {len(x)} points", flush=True)

    try:
        found = log_likelihood(model, x, samples, memory=memory, seed=seed, path=path, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{path} keeps what is done: the same command goes on there") from None
    told = {**summary(found), "points": len(x), "samples": samples, "seed": seed, **preparation(model)}
    write_json(path.with_suffix(".json"), told)
    return told


def estimates(run_dir: Path, samples: int, points: int | None) -> Path:
    """The file of every point's estimate."""
    return run_dir / f"log_likelihood-{samples}{'' if points is None else f'-of-{points}'}.npz"
