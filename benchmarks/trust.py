"""How far served probabilities can be trusted: samples, calibration, unfamiliar inputs.

    python -m benchmarks.trust RUN_DIR ...     finished runs; about a minute each

Test labels are used for this report only. The number of samples is chosen by how much predictions still change, the
temperature by the model's own examples. Results go to results/trust.json, and with those of `benchmarks.serving` to
results/serving.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving_tables
from benchmarks.seeds import RESULTS
from benchmarks.serving_tables import MANY, POINTS
from tfadgm.provenance import commit, machine

SAMPLES = 1, 2, 4, 8, 16, 32, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", nargs="+", metavar="RUN_DIR")
    arguments = parser.parse_args()
    rows = []
    for run_dir in arguments.run_dirs:
        rows.append(measure(Path(run_dir)))
        print(json.dumps(rows[-1]), flush=True)
    result = {
        "command": "python -m benchmarks.trust RUN_DIR ...",
        "commit": commit(),
        "machine": machine(),
        "runs": rows,
    }
    (RESULTS / "trust.json").write_text(json.dumps(result, indent=2) + "\n")
    serving_tables.write()


def measure(run_dir: Path) -> dict[str, Any]:
    """Everything of one run."""
    import keras

    from tfadgm.config import Config
    from tfadgm.data.sources import load_dataset
    from tfadgm.evaluation import classification_report
    from tfadgm.serving.calibration import calibrate, temper

    config = Config.from_json((run_dir / "config.json").read_text(), str(run_dir))
    dataset = load_dataset(config.dataset, config.data_dir, config.seed)
    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    some = np.random.default_rng(0).permutation(len(dataset.x_test))[:POINTS]
    many = predict(model, dataset.x_test[some], MANY)
    curve = []
    for samples in SAMPLES:
        found = predict(model, dataset.x_test[some], samples)
        curve.append(
            {
                "samples": samples,
                "mean_change": float(np.abs(found - many).max(1).mean()),
                "other_labels": float(100 * np.mean(found.argmax(1) != many.argmax(1))),
                **{key: classification_report(found, dataset.y_test[some])[key] for key in ("error", "nll", "ece")},
            }
        )
    plain = predict(model, dataset.x_test, 16)
    temperature = calibrate(model)["temperature"]
    told = {"before": plain, "after": temper(plain, temperature)}
    return {
        "run": run_dir.name,
        "dataset": config.dataset,
        "model": config.model,
        "samples": curve,
        "temperature": temperature,
        "calibration": {name: classification_report(found, dataset.y_test) for name, found in told.items()},
        "novelty": novelty(model, dataset.x_test[some]) if config.dataset == "mnist" else None,
    }


def predict(model: Any, x: np.ndarray, samples: int) -> np.ndarray:
    """Class probabilities over `samples` samples."""
    import tensorflow as tf

    model.prediction_samples = samples
    call = tf.function(model.call, reduce_retracing=True)
    return np.concatenate([call(x[start : start + 200]).numpy() for start in range(0, len(x), 200)])


def novelty(model: Any, x: np.ndarray) -> dict[str, dict[str, float]]:
    """Area under the curve of telling test images from others, by the bound of log p(x) and by confidence."""
    from sklearn.metrics import roc_auc_score

    model.prediction_samples = 16

    def scores(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"bound": model.log_likelihood_bound(images), "confidence": predict(model, images, 16).max(1)}

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

    from tfadgm.data.sources import digits

    generator = np.random.default_rng(0)
    shuffled = generator.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)
    small = digits().x[..., None] * (255 / 16)
    return {
        "inverted": 255 - x,
        "pixels shuffled": shuffled,
        "turned by 90 degrees": np.rot90(x, axes=(1, 2)),
        "scikit-learn's digits, enlarged": tf.image.resize(small, [28, 28]).numpy().astype(np.uint8),
    }


if __name__ == "__main__":
    main()
