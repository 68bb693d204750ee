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

from benchmarks import serving
from benchmarks.seeds import RESULTS, commit, machine

SAMPLES = 1, 2, 4, 8, 16, 32, 64
MANY = 256  # samples in place of infinitely many
POINTS = 2000


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
    (RESULTS / "serving.md").write_text(serving.table())


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


def tables(result: dict[str, Any]) -> str:
    """The result as Markdown, means over the runs of a data set."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in result["runs"]:
        groups.setdefault(f"{run['dataset']}, {run['model'].upper()}", []).append(run)
    lines = [
        "## How many samples a prediction needs\n",
        f"Change of the most changed probability and share of other labels against {MANY} samples, on {POINTS} test",
        "points; means over runs. Labels settle at 4 samples. The likelihood of the half-moons improves further; the",
        "default is 16.\n",
        "| | runs | samples | change | other labels | error | NLL | ECE |",
        "|---" * 8 + "|",
    ]
    for name, runs in groups.items():
        for index, samples in enumerate(SAMPLES):
            mean = {key: np.mean([run["samples"][index][key] for run in runs]) for key in runs[0]["samples"][index]}
            lines.append(
                f"| {name} | {len(runs)} | {samples} | {mean['mean_change']:.4f} | {mean['other_labels']:.2f} % | "
                f"{mean['error']:.2f} % | {mean['nll']:.3f} | {mean['ece']:.4f} |"
            )
    lines += [
        "\n## Calibration\n",
        "The temperature is fitted on the model's own examples, never below 1; NLL and ECE are of all test points.\n",
        "| | runs | temperature | NLL before | after | runs it helps or leaves | ECE before | after | runs |",
        "|---" * 9 + "|",
    ]
    for name, runs in groups.items():
        before, after = ([run["calibration"][when] for run in runs] for when in ("before", "after"))
        temperatures = [run["temperature"] for run in runs]
        cells = [f"{min(temperatures):.2f} to {max(temperatures):.2f}"]
        for key, digits in (("nll", 3), ("ece", 4)):
            for scores in (before, after):
                cells.append(f"{np.mean([score[key] for score in scores]):.{digits}f}")
            better = sum(new[key] <= old[key] + 1e-6 for old, new in zip(before, after, strict=True))
            cells.append(f"{better} of {len(runs)}")
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    lines += [
        "\n## Unfamiliar inputs\n",
        "Area under the ROC curve of telling MNIST's test images from others: by `log_likelihood_bound` of `score`,",
        "and by the largest class probability. 0.5 is a coin.\n",
        "| | images | bound | confidence |",
        "|---" * 4 + "|",
    ]
    for name, runs in groups.items():
        for kind in runs[0]["novelty"] or {}:
            area = {key: np.mean([run["novelty"][kind][key] for run in runs]) for key in ("bound", "confidence")}
            lines.append(f"| {name} | {kind} | {area['bound']:.3f} | {area['confidence']:.3f} |")
    lines.append(f"\n`{result['command']}` at `{result['commit']}` on {result['machine']}.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
