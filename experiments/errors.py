"""Test errors by label seed, beside those of simpler methods with the same labels, or of the paper.

    python -m experiments digits                  ten label seeds, about 15 minutes on two cores
    python -m experiments digits_splits           five other splits of the digits, on which nothing was chosen
    python -m experiments moons                   ten label seeds, with the best possible classifier beside them
    python -m experiments mnist --seeds 0 1       part of the label seeds; a later call adds the rest
    python -m experiments mnist_100               ADGM and SDGM with 100 labels of MNIST: hours
    python -m experiments mnist_100 adgm          one of them
    python -m experiments mnist_epoch             three epochs of MNIST, for their duration with nothing beside it
    python -m experiments mnist_12_epochs         a whole run with nothing beside it; 55 and 170 likewise

A run that was stopped is resumed, one that is complete is not repeated. Results go to results/NAME.json, and to
results/mnist_100.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.grid import JOBS, RUNS, Cell, measure
from experiments.results import RESULTS, command_of, origin, save, summary, table, with_error
from experiments.sources import SPLITS
from tfadgm.cli import train_parser
from tfadgm.config import Config, recipe
from tfadgm.files import write_text
from tfadgm.run import Run

PLAIN = "--dataset mnist --recipe paper --learning-rate 1e-3 --ema-momentum 0.999"
MINUTES_EPOCHS = 12, 55, 170  # of whole runs of MNIST's preset on all cores: how far they get in 4, 15 and 45 minutes
FLAGS = {
    "digits": {"sdgm": "--dataset digits"},
    "digits_splits": {"sdgm": "--dataset digits"},
    "moons": {"sdgm": "--dataset moons"},
    "mnist": {"sdgm": f"{PLAIN} --epochs 25"},
    "mnist_100": {model: f"--dataset mnist --model {model}" for model in ("adgm", "sdgm")},
    "mnist_epoch": {"sdgm": f"{PLAIN} --epochs 3"},
    **{f"mnist_{epochs}_epochs": {"sdgm": f"--dataset mnist --epochs {epochs}"} for epochs in MINUTES_EPOCHS},
}
SEEDS = {
    "digits": range(10), "digits_splits": range(5), "moons": range(10), "mnist": range(3), "mnist_100": range(5),
}  # fmt: skip  # others, alone: one
PAPER = {"adgm": "0.96 ± 0.02", "sdgm": "1.32 ± 0.07"}  # Maaløe et al. 2016, table 1
HEAD = """# MNIST with 100 labels

Test error in percent of the last, averaged weights; mean ± standard error over label seeds.
"""
LIMITS = """
## What limits it

The SDGM stands where the paper's does, within its standard error; the ADGM does not reach the paper's 0.96 %. That
figure first appears in a workshop paper of 2015. The code of that time (ml-lab/auxiliary-deep-generative-models on
GitHub) presents unlabeled images sorted by class, and its log ends at 0.02 % error on unlabeled training points,
against 1.2 % on test points: the order may give the labels away. Whether the figure of 2016 was measured otherwise is
not known.

On the training points that `results/ablation.md` holds out, more time does not help: an ADGM has 2.23 % after 20 epochs
and 1.91 % after 300, an SDGM 2.12 % after 20 and 1.55 % after 100. What is left are not borderline images: a whole rare
way to write a digit, most often one that no labeled example shows, sits in the cluster of another digit with certainty,
under most label seeds the same one, and the bound has no reason to move it: it is the same for good and for bad
classifiers. With 40,000 labels the same network and 20 epochs reach 1.04 % there. Labels were not chosen, training was
not stopped early, and no setting was picked by test points.
"""


def main(name: str, arguments: Sequence[str]) -> None:
    flags, seeds = FLAGS[name], SEEDS.get(name, range(1))
    options: dict[str, Any] = {"jobs": JOBS if name in SEEDS else 1}
    if name == "moons":
        options["more"] = against_the_best
    source = {"dataset": SPLITS} if name == "digits_splits" else {}
    runs = measure(
        name, __doc__, arguments, list(flags), lambda model: config_of(flags[model]).replace(**source), seeds, **options
    )
    training = {model: f"python train.py {flags[model]} --seed SEED" for model in flags}
    if name == "mnist_100":
        by_model = {model: summary(rows, ["test_error"]) for model, rows in runs.items()}
        found: dict[str, Any] = {
            key: {model: own[key]["test_error"] for model, own in by_model.items() if own[key]}
            for key in ("mean", "standard_error")
        }
        result = {**origin(name), "training": training, "paper": PAPER, **found, "runs": runs}
        write_text(RESULTS / f"{name}.md", tables(result))
    else:
        rows = runs["sdgm"]
        found = summary(rows, [key for key in rows[0] if key.endswith("error")])
        result = {**origin(name), "training": training["sdgm"], **found, "runs": rows}
    save(name, result)
    if name == "moons":
        shutil.copy(RUNS / name / "sdgm-0" / "figures" / "regions.png", RESULTS / "moons_regions.png")
    print(json.dumps(found["mean"], indent=2))


def config_of(flags: str) -> Config:
    """That of `python train.py FLAGS`."""
    values = vars(train_parser().parse_args(flags.split()))
    name, *_ = (values.pop(key) for key in ("recipe", "run_dir", "resume", "config"))
    return Config.for_dataset(**(recipe(name) if name else {}) | values)


def against_the_best(cell: Cell) -> dict[str, Any]:
    """Percent: the error of the best possible classifier of the half-moons, and how often the model differs from it."""
    from scipy.special import logsumexp

    from tfadgm.data.toy import MOONS_NOISE, MOONS_SHIFT
    from tfadgm.evaluation.classification import class_probabilities

    angle = np.linspace(0, np.pi, 500)  # scikit-learn spaces the points of a moon evenly in angle
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    centres = np.stack([upper, [1, 0.5] - upper]) + MOONS_SHIFT
    run = Run(cell.folder)
    data = run.load_dataset()
    squares = ((data.x_test[:, None, None] - centres) ** 2).sum(-1)  # [N, 2, angles]
    best = logsumexp(-squares / (2 * MOONS_NOISE**2), axis=-1).argmax(1)
    model: Any = run.load_model()
    predicted = class_probabilities(model, data.x_test).argmax(1)
    error, best_error = (100 * float(np.mean(labels != data.y_test)) for labels in (predicted, best))
    return {
        "best_possible_error": round(best_error, 2),
        "excess_error": round(error - best_error, 2),
        "differs_from_best": round(100 * float(np.mean(predicted != best)), 2),
    }


def tables(result: dict[str, Any]) -> str:
    """results/mnist_100.md."""
    runs = result["runs"]
    errors = [(model.upper(), len(runs[model]), with_error(result, model), PAPER[model]) for model in result["mean"]]
    header, keys = (
        "| model | seed | test error | epochs | minutes | threads | commit |",
        ("epochs", "minutes", "threads"),
    )
    rows = [
        (model.upper(), row["seed"], f"{row['test_error']:.2f}", *(row[key] for key in keys), f"`{row['commit']}`")
        for model, found in runs.items()
        for row in found
    ]
    lines = [HEAD, *table("| model | label seeds | test error | the paper's |", errors), "", *table(header, rows)]
    return "\n".join([*lines, LIMITS, f"`{command_of(result)}` on {result['machine']}.\n"])
