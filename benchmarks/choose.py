"""How the preset of the digits was chosen: the error on training points whose labels training does not see.

    python -m benchmarks.choose --seeds 0 1 2

No test point is read. Every variant changes the preset in the named fields; the rest is as in `train.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from benchmarks.seeds import RESULTS
from tfadgm.config import Config
from tfadgm.data.sources import Dataset, digits
from tfadgm.data.split import choose_labels
from tfadgm.provenance import commit, machine
from tfadgm.training import train

NONE = {"adversarial_radius": 0.0, "prior_matching": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "without both additions": NONE,
    "without the virtual adversarial term": {"adversarial_radius": 0.0},
    "without prior matching": {"prior_matching": 0.0},
    "binarised": {"binarize": True},
    "one draw": {"draws": 1},
    "one draw, without both additions": {**NONE, "draws": 1},
    "sixteen draws": {"draws": 16},
    "gaussian": {"likelihood": "gaussian"},
    "radius 2": {"adversarial_radius": 2.0},
    "m2": {"model": "m2"},
    "exact": {"marginalization": "exact"},
    "smaller": {"hidden_units": (128, 128), "latent_units": 16, "auxiliary_units": 16, "learning_rate": 3e-3},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="label seeds (default: 0 1 2)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="(default: all)")
    arguments = parser.parse_args()
    path = RESULTS / "digits_choices.json"
    result = json.loads(path.read_text()) if path.exists() else {"variants": {}}
    result |= {"command": "python -m benchmarks.choose", "machine": machine()}
    for name in arguments.variants:
        started = time.perf_counter()
        configs = [Config.for_dataset("digits", seed=seed, **VARIANTS[name]) for seed in arguments.seeds]
        with TemporaryDirectory() as folder:
            errors = [round(unseen_error(c, digits(), Path(folder) / str(c.seed)), 2) for c in configs]
        seconds = (time.perf_counter() - started) / len(errors)
        row = {"unseen_training_error": round(float(np.mean(errors)), 2), "by_seed": errors, "seconds": round(seconds)}
        row["commit"] = commit()
        result["variants"][name] = row
        print(name, row, flush=True)
        path.write_text(json.dumps(result, indent=2) + "\n")


def unseen_error(config: Config, whole: Dataset, folder: Path, resume: bool = False) -> float:
    """Percent of the training points without a label that the last, averaged weights get wrong."""
    dataset = dataclasses.replace(whole, x_test=whole.x_test[:0], y_test=whole.y_test[:0])
    indices = choose_labels(dataset.y, dataset.class_names, config.labels, config.seed)
    unseen = np.setdiff1d(np.arange(len(dataset.x)), indices)
    keras.backend.clear_session()
    model, _ = train(config, dataset, indices, folder, resume)
    predicted = model.predict(dataset.x[unseen], verbose=0).argmax(1)
    return 100 * float(np.mean(predicted != dataset.y[unseen]))


if __name__ == "__main__":
    main()
