"""How far served probabilities can be trusted: samples, calibration, unfamiliar inputs.

    python -m experiments trust RUN_DIR ...     finished runs; about a minute each

Test labels are used for this report only. The number of samples is chosen by how much predictions still change, the
temperature by the model's own examples. Results go to results/trust.json, and with those of
`python -m experiments serving` to results/serving.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import serving_tables
from experiments.results import origin, parser, save
from experiments.serving_tables import MANY, POINTS
from tfadgm.cli import path
from tfadgm.data.toy import digits
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.evaluation.metrics import classification_report
from tfadgm.provenance import commit
from tfadgm.reproduce.common import unseen_training_error
from tfadgm.run import Run

SAMPLES = 1, 2, 4, 8, 16, 32, 64


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("run_dirs", nargs="+", metavar="RUN_DIR", type=path)
    told, rows = {**origin(f"{name} RUN_DIR ..."), "commit": commit()}, []
    for run_dir in flags.parse_args(arguments).run_dirs:
        rows.append(measure(run_dir))
        print(json.dumps(rows[-1]), flush=True)
    save(name, {**told, "runs": rows})
    serving_tables.write()


def measure(run_dir: Path) -> dict[str, Any]:
    """Everything of one run."""
    from tfadgm.evaluation.calibration import calibrate, temper

    run = Run(run_dir)
    config, dataset, model = run.config, run.load_dataset(), run.load_model()
    some = np.random.default_rng(0).permutation(len(dataset.x_test))[:POINTS]
    x, y = dataset.x_test[some], dataset.y_test[some]
    many = predict(model, x, MANY)
    curve = []
    for samples in SAMPLES:
        found = predict(model, x, samples)
        change: dict[str, Any] = {
            "samples": samples,
            "mean_change": float(np.abs(found - many).max(1).mean()),
            "other_labels": float(100 * np.mean(found.argmax(1) != many.argmax(1))),
        }
        curve.append(change | classification_report(found, y))
    plain = predict(model, dataset.x_test, 16)
    temperature = calibrate(model)["temperature"]
    told = {"before": plain, "after": temper(plain, temperature)}
    return {
        "run": run_dir.name,
        "dataset": config.dataset,
        "model": config.model,
        "unseen_training_error": unseen_training_error(run),
        "samples": curve,
        "temperature": temperature,
        "calibration": {name: classification_report(found, dataset.y_test) for name, found in told.items()},
        "novelty": novelty(model, x) if config.dataset == "mnist" else None,
    }


def predict(model: Any, x: np.ndarray, samples: int) -> np.ndarray:
    """Class probabilities over `samples` samples."""
    model.prediction_samples = samples
    return class_probabilities(model, x, batch_size=200)


def novelty(model: Any, x: np.ndarray) -> dict[str, dict[str, float]]:
    """Area under the curve of telling test images from others, by the bound of log p(x) and by confidence."""
    from sklearn.metrics import roc_auc_score

    def scores(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"confidence": predict(model, images, 16).max(1), "bound": model.log_likelihood_bound(images)}

    known = scores(x)
    others = {name: scores(images) for name, images in unfamiliar(x).items()}
    return {
        name: {
            kind: float(roc_auc_score(np.repeat([1, 0], [len(x), len(values)]), np.concatenate([known[kind], values])))
            for kind, values in found.items()
        }
        for name, found in others.items()
    }


def unfamiliar(x: np.ndarray) -> dict[str, np.ndarray]:
    """Images that a model of MNIST has not seen the like of; x [N, 28, 28, 1] bytes."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    shuffled = generator.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)
    small = digits().x[..., None] * (255 / 16)
    return {
        "inverted": 255 - x,
        "pixels shuffled": shuffled,
        "turned by 90 degrees": np.rot90(x, axes=(1, 2)),
        "scikit-learn's digits, enlarged": tf.image.resize(small, [28, 28]).numpy().astype(np.uint8),
    }
