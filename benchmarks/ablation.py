"""What each choice is worth: the error on a part of MNIST's training set that training does not see.

    python -m benchmarks.ablation plain "no batch norm" --seeds 0 1      some variants; a later call adds others
    python -m benchmarks.ablation                                        the table of what has been run

The last 10,000 of the 60,000 training points are held out and judge; the test points are not read at all. A variant
changes the named fields of `PLAIN`, one factor at a time, or of another variant. Each training is checkpointed in
`runs/ablation/` and goes on where it was stopped. Two trainings side by side want TF_NUM_INTRAOP_THREADS=1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.seeds import RESULTS, ROOT, commit, machine
from tfadgm.config import Config
from tfadgm.data.sources import Dataset, mnist
from tfadgm.data.split import choose_labels
from tfadgm.training import train

RUNS = ROOT / "runs" / "ablation"
HELD_OUT = 10_000
PLAIN = {"model": "sdgm", "marginalization": "rao_blackwellised", "labels": 100, "epochs": 20}
ADDED = {"adversarial_radius": 4.0, "prior_matching": 10.0}
FULL = {**ADDED, "adversarial_weight": 50.0}
BEST = {**FULL, "learning_rate": 3e-3, "labeled_weight": 0.1}
GREY = {**BEST, "labeled_batch": 20, "decay": 0.5, "binarize": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "exact": {"marginalization": "exact"},
    "adgm": {"model": "adgm"},
    "step size 3e-4": {"learning_rate": 3e-4},
    "step size 3e-3": {"learning_rate": 3e-3},
    "decay over the last half": {"decay": 0.5},
    "no batch norm": {"batch_norm": False},
    "no weight prior": {"weight_prior": False},
    "4 samples": {"samples": 4},
    "no weight average": {"weight_average": 0.0},
    "a tenth of alpha": {"alpha": 5.0},
    "ten times alpha": {"alpha": 500.0},
    "20 labeled a step": {"labeled_batch": 20},
    "50 labeled a step": {"labeled_batch": 50},
    "50 + 50 a step": {"labeled_batch": 50, "unlabeled_batch": 50},
    "100 + 200 a step": {"unlabeled_batch": 200},
    "not binarised": {"binarize": False},
    "prior matching 1": {"prior_matching": 1.0},
    "prior matching 10": {"prior_matching": 10.0},
    "radius 2": {"adversarial_radius": 2.0},
    "radius 4": {"adversarial_radius": 4.0},
    "radius 4, prior matching 10": ADDED,
    "radius 4 weight 10, prior matching 10": {**ADDED, "adversarial_weight": 10.0},
    "radius 4 weight 50, prior matching 10": {**ADDED, "adversarial_weight": 50.0},
    "radius 2 weight 50, prior matching 10": {**ADDED, "adversarial_radius": 2.0, "adversarial_weight": 50.0},
    "adgm, radius 4, prior matching 10": {"model": "adgm", **ADDED},
    "full": FULL,
    "full, labeled weight 0.1": {**FULL, "labeled_weight": 0.1},
    "full, step size 3e-3": {**FULL, "learning_rate": 3e-3},
    "best": BEST,
    "best, decay over the last half": {**BEST, "decay": 0.5},
    "best, 20 labeled a step": {**BEST, "labeled_batch": 20},
    "best, step size 1e-2": {**BEST, "learning_rate": 1e-2},
    "best, 20 labeled a step, decay, no prior matching": {
        **BEST, "labeled_batch": 20, "decay": 0.5, "prior_matching": 0.0},
    "best, 20 labeled a step, decay, prior matching 1": {
        **BEST, "labeled_batch": 20, "decay": 0.5, "prior_matching": 1.0},
    "best, adgm, 20 labeled a step, decay, no prior matching": {
        **BEST, "model": "adgm", "labeled_batch": 20, "decay": 0.5, "prior_matching": 0.0},
    "best, not binarised": {**BEST, "binarize": False, "decay": 0.5},
    "grey": GREY,
    "grey, prior matching 1": {**GREY, "prior_matching": 1.0},
    "grey, no prior matching": {**GREY, "prior_matching": 0.0},
    "grey, adgm": {**GREY, "model": "adgm"},
    "grey, adversarial weight 200": {**GREY, "adversarial_weight": 200.0},
    "grey, radius 2": {**GREY, "adversarial_radius": 2.0},
    "grey, radius 6": {**GREY, "adversarial_radius": 6.0},
    "grey, 4 draws": {**GREY, "draws": 4},
    "best, adgm": {**BEST, "model": "adgm", "decay": 0.5},
    "best, adversarial weight 200": {**BEST, "adversarial_weight": 200.0, "decay": 0.5},
    "best, 40 + 200 a step": {**BEST, "labeled_batch": 40, "unlabeled_batch": 200, "decay": 0.5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of: {'; '.join(VARIANTS)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="label seeds (default: 0)")
    arguments = parser.parse_args()
    for name in arguments.variants:
        for seed in arguments.seeds:
            measure(name, seed)
    RESULTS.joinpath("ablation.md").write_text(table())


def measure(name: str, seed: int) -> None:
    """Trains a variant in `runs/ablation/<name>-<seed>` and writes its scores to `scores.json` there."""
    folder = RUNS / f"{name.replace(' ', '_').replace(',', '')}-{seed}"
    if (folder / "scores.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = Config.for_dataset("mnist", **{**PLAIN, **VARIANTS[name], "seed": seed})
    dataset = held_out(mnist())
    keras.backend.clear_session()
    resume = any((folder / "checkpoint").glob("[0-9]*"))
    model, progress = train(config, dataset, choose_labels(dataset.y, dataset.class_names, 100, seed), folder, resume)
    errors = [round(row["test_error"], 2) for row in progress.history]
    drawn = np.random.default_rng(0).random(dataset.x_test.shape) * 255 < dataset.x_test
    binarised = model.predict(255 * drawn.astype(np.uint8), batch_size=1000, verbose=0).argmax(1)
    scores = {
        "variant": name,
        "seed": seed,
        "config": {key: value for key, value in dataclasses.asdict(config).items() if key != "data_dir"},
        "errors": errors,
        "binarised_error": round(100 * float(np.mean(binarised != dataset.y_test)), 2),
        "seconds_an_epoch": round(progress.seconds / progress.epoch, 1),
        "commit": commit(),
    }
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(name, seed, errors[4::5], flush=True)


def held_out(dataset: Dataset) -> Dataset:
    """The last points of the training set in place of the test points."""
    return dataclasses.replace(
        dataset,
        x=dataset.x[:-HELD_OUT],
        y=dataset.y[:-HELD_OUT],
        x_test=dataset.x[-HELD_OUT:],
        y_test=dataset.y[-HELD_OUT:],
    )


def table() -> str:
    """Every run that is complete, as Markdown."""
    lines = []
    for path in sorted(RUNS.glob("*/scores.json")):
        row = json.loads(Path(path).read_text())
        lines.append(f"| {row['variant']} | {row['seed']} | {row['errors'][-1]} |")
    return "\n".join([*lines, machine(), ""])


if __name__ == "__main__":
    main()
