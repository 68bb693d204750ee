"""How good a model is: a classifier by its class probabilities, any model by log p(x) of its test points.

python -m tfadgm.evaluation RUN_DIR --samples 5000
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfadgm.checkpoint import writing
from tfadgm.cli import Parser, exit_status
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.errors import InputError
from tfadgm.likelihood import drawn, log_likelihood, preparation, summary
from tfadgm.models import DensityModel, Model, SemiSupervisedModel

MEMORY = 2048  # MiB that an estimate may take, by default
BOUND_POINTS = 1000  # training points by which the tuner judges a bound
REPORTED = 1000  # points between two lines of an estimate that no terminal shows
WATCHED_POINTS, WATCHED_SAMPLES = 500, 50  # of the estimate of log p(x) that training watches


def scores(model: Model, x: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """What training watches on test points x [N, *features], y [N]; None where N is 0."""
    if isinstance(model, DensityModel):
        if not len(x):
            return {"bound": None, "log_likelihood": None}
        x = drawn(model, x)
        bound = model.log_likelihood_bound(x, importance_samples=model.importance_samples)
        many = model.log_likelihood_bound(x[:WATCHED_POINTS], importance_samples=WATCHED_SAMPLES)
        return {"bound": float(bound.mean()), "log_likelihood": float(many.mean())}
    return classification_report(class_probabilities(model, x), y)


def unlabeled_bound(model: SemiSupervisedModel, x: np.ndarray) -> float:
    """U(x), the smaller the better: its mean over BOUND_POINTS of the training points x [N, *features]; nats."""
    rows = np.random.default_rng(0).permutation(len(x))[:BOUND_POINTS]
    return float(-model.log_likelihood_bound(drawn(model, x[rows])).mean())


def class_probabilities(model: SemiSupervisedModel, x: np.ndarray, batch_size: int = 1000) -> np.ndarray:
    """`model.predict` without its progress and set-up, for a call every epoch; [N, C]."""
    batches = [model.predict_on_batch(x[first : first + batch_size]) for first in range(0, len(x), batch_size)]
    return np.concatenate(batches) if batches else np.zeros([0, model.classes], np.float32)


def classification_report(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """`error` (percent), `nll` (nats, mean) and `ece` (0 to 1) of probabilities [N, C]; None where N is 0."""
    if not len(y):
        return {"error": None, "nll": None, "ece": None}
    likelihood = probabilities[np.arange(len(y)), y].astype(np.float64)
    return {
        "error": float(100 * np.mean(probabilities.argmax(1) != y)),
        "nll": float(-np.log(np.maximum(likelihood, 1e-30)).mean()),
        "ece": expected_calibration_error(probabilities, y),
    }


def expected_calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence (Guo et al. 2017, eq. 5)."""
    confidence = probabilities.max(1).astype(np.float64)
    gap = (probabilities.argmax(1) == y) - confidence
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(index, gap, bins)).sum() / len(y))


def confusion_matrix(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Counts [C, C]: true class by predicted class."""
    classes = probabilities.shape[1]
    counts = np.bincount(y * classes + probabilities.argmax(1), minlength=classes**2)
    return counts.reshape(classes, classes)


def main() -> None:
    """Estimates log p(x) of the test points of a run and keeps every point's in its folder."""
    parser = Parser(prog="python -m tfadgm.evaluation", description=main.__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a finished run")
    parser.add_argument("--samples", type=int, default=5000, help="importance samples of a point (default: 5000)")
    parser.add_argument("--points", type=int, help="the first so many test points (default: all)")
    parser.add_argument("--memory", type=int, default=MEMORY, help=f"MiB that the process may take (default: {MEMORY})")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    flags = parser.parse_args()
    for name in ("samples", "points"):
        if (value := getattr(flags, name)) is not None and value < 1:
            raise InputError(f"Expected {name} to be 1 or more. Received: {value}")
    told = estimate(flags.run_dir, flags.samples, flags.points, memory=flags.memory, seed=flags.seed)
    path = estimates(flags.run_dir, flags.samples, flags.points)
    print(
        f"log p(x) {told['log_likelihood']:.2f} ± {told['standard_error']:.2f} nats of {told['nats_of']} over "
        f"{told['points']} test points, {flags.samples} importance samples each, half of the points with "
        f"{told['median_effective_samples']:.0f} effective ones or more. Every point's: {path}"
    )


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
    """
    model, x = _finished(run_dir)
    x = drawn(model, x)[:points]
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
    with writing(path):
        path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
    return told


def estimates(run_dir: Path, samples: int, points: int | None) -> Path:
    """The file of every point's estimate."""
    return run_dir / f"log_likelihood-{samples}{'' if points is None else f'-of-{points}'}.npz"


def _finished(run_dir: Path) -> tuple[Model, np.ndarray]:
    """The model of a finished run and its test points."""
    try:
        config = Config.from_json((run_dir / "config.json").read_text(), str(run_dir / "config.json"))
        model = keras.models.load_model(run_dir / "model.keras", compile=False)
    except (OSError, ValueError) as error:
        raise InputError(f"Expected the folder of a finished run. Received {run_dir}: {error}") from None
    x = load_dataset(config.dataset, config.data_dir, config.seed).x_test
    if not len(x):
        raise InputError(f"Expected a run with test points. Received {run_dir}, whose data have none")
    return model, x


if __name__ == "__main__":
    sys.exit(exit_status("tfadgm.evaluation", main))
