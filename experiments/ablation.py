"""What each choice is worth: the error on a part of MNIST's training set that training does not see.

    python -m experiments ablation                                  the table of what has been run
    python -m experiments ablation plain plain,batch_norm=false --seeds 0 1
    python -m experiments ablation tuned,vat_epsilon=2              one factor changed in the preset of MNIST

A variant is a recipe of `RECIPE`, then changed fields of the configuration. The last 10,000 of the 60,000 training
points are held out and judge; the test points are not read at all. Results go to results/ablation.json and .md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.grid import Cell, history, measure
from experiments.results import RESULTS, command_of, load, origin, save, table
from experiments.sources import HELD_OUT
from tfadgm.config import OLD_NAMES, RUN, Config, all_hyperparameters, recipe
from tfadgm.evaluation.classification import class_probabilities
from tfadgm.files import write_text
from tfadgm.models.base import renamed
from tfadgm.run import Run

EPOCHS = 20
RECIPE: dict[str, dict[str, Any]] = {
    "plain": {**recipe("paper"), "marginalization": "rao_blackwellised", "learning_rate": 1e-3,
              "ema_momentum": 0.999, "labeled_batch": 100, "vat_weight": 1.0},
    "tuned": {},
}  # fmt: skip
LAST = (
    "", "distribution_alignment_weight", "distribution_alignment_tolerance", "epochs", "labeled_batch",
    "unlabeled_batch", "learning_rate", "decay", "ema_momentum",
)  # of the changes that a row tells, in this order  # fmt: skip
HEAD = """# What each choice is worth

Error in percent on 10,000 points of MNIST's training set that training does not see, with 100 labels among the other
50,000. *Binarised* is the error at the end on inputs drawn as the plain recipe draws them; all others are on grey
inputs. One label seed is a noisy judge: differences below 0.2 say little. Seconds are those of a run with another
beside it.
"""
TITLES = {
    "plain": """## The plain recipe

An SDGM with Rao-Blackwellised marginalization, Adam at 1e-3, weights averaged over about 1000 steps, batches of
100 + 100 and the paper's objective. A row tells what it changes in it.
""",
    "tuned": """## The preset of MNIST

`python train.py --dataset mnist`, but for 20 epochs. A row tells what it changes in it.
""",
}


def main(name: str, arguments: Sequence[str]) -> None:
    def config(variant: str) -> Config:
        return Config.for_dataset("mnist", **choices(variant)).replace(dataset=HELD_OUT)

    found = measure(name, __doc__, arguments, (), config, [0], of_held_out_points)
    keys = "seed", "config", "errors", "binarised_error", "unseen_training_error", "seconds_an_epoch", "commit"
    new = [{key: row[key] for key in keys} for rows in found.values() for row in rows]
    rows = {json.dumps(fields(row), sort_keys=True): row for row in [*load(name).get("runs", []), *new]}
    result = {**origin(name), "runs": sorted(rows.values(), key=lambda row: -row["errors"][-1])}
    save(name, result, indent=1)
    write_text(RESULTS / f"{name}.md", tables(result))


def choices(variant: str) -> dict[str, Any]:
    """`tuned,learning_rate=3e-4,model=adgm` as fields of the configuration."""
    name, *changes = variant.split(",")
    known = RUN | {own: found[0][1] for own, found in all_hyperparameters().items()}
    changed = renamed(dict(change.split("=") for change in changes))
    values = {own: value if str in known[own].kinds else json.loads(value) for own, value in changed.items()}
    return {"epochs": EPOCHS, **RECIPE[name], **values}


def of_held_out_points(cell: Cell) -> dict[str, Any]:
    """What is told of a run whose data judge by held-out points."""
    run, config = Run(cell.folder), cell.config.replace(dataset="mnist")
    x, y = (data := run.load_dataset()).x_test, data.y_test
    drawn = np.random.default_rng(0).random(x.shape) * 255 < x
    model: Any = run.load_model()
    wrong = class_probabilities(model, 255 * drawn.astype(np.uint8)).argmax(1) != y
    return {
        "config": {key: value for key, value in config.flat().items() if key != "data_dir"},
        "errors": [round(float(row["test_error"]), 2) for row in history(run)],
        "binarised_error": round(100 * float(np.mean(wrong)), 2),
    }


def tables(result: dict[str, Any]) -> str:
    """results/ablation.md: each run by what it changes in the recipe that it is closer to."""
    parts: dict[str, list[Sequence[Any]]] = {name: [] for name in RECIPE}
    for row in result["runs"]:
        changes = {name: changed(row, name) for name in RECIPE}
        name = min(changes, key=lambda name: len(changes[name]))
        errors = [f"{row['errors'][epoch]:.2f}" if epoch < len(row["errors"]) else "" for epoch in (4, 9, 19, -1)]
        parts[name].append((
            ", ".join(changes[name]) or "(nothing)", row["seed"], *errors, f"{row['binarised_error']:.2f}",
            row["seconds_an_epoch"], f"`{row['commit']}`",
        ))  # fmt: skip
    header = "| changed | seed | error after 5 | 10 | 20 epochs | at the end | binarised | seconds an epoch | commit |"
    lines = [line for name, rows in parts.items() for line in (TITLES[name], *table(header, rows), "")]
    return "\n".join([HEAD, *lines, f"`{command_of(result)} VARIANT ...` on {result['machine']}.", ""])


def changed(row: dict[str, Any], name: str) -> list[str]:
    """The fields of a run that differ from a recipe, by the names of version 0.1, in which most runs were made."""
    old = {new: former for former, new in OLD_NAMES.items()}
    base, own = json.loads(Config.for_dataset("mnist", **choices(name)).to_json()), fields(row)
    names = [key for key in base if key not in ("seed", "data_dir") and own[key] != base[key]]
    return [
        f"{old.get(key, key)} {own[key]}"
        for key in sorted(names, key=lambda key: LAST.index(key) if key in LAST else 0)
    ]


def fields(row: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a run; a field that is newer than the run had its default."""
    return json.loads(Config().to_json()) | renamed(row["config"])
