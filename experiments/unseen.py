"""How presets were chosen: the error on training points whose labels training does not see. No test point is read.

    python -m experiments choices ["one draw" ...]           the presets of digits and moons, and changes in them
    python -m experiments lengths ["wine, 1000 steps" ...]   the preset of .npz files, by steps and width

Results go to results/choices.json, and to results/lengths.json and results/lengths.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.grid import Cell, measure
from experiments.results import RESULTS, command_of, load, origin, save, table
from experiments.sources import MOONS, UNTESTED
from tfadgm.config import Config
from tfadgm.data.sources import load_dataset
from tfadgm.data.streams import steps_per_epoch
from tfadgm.files import write_text
from tfadgm.run import Run

SEEDS = range(3)  # of labels and weights
NONE = {"vat_epsilon": 0.0, "distribution_alignment_weight": 0.0}
CHOICES: dict[str, dict[str, Any]] = {
    "preset": {},
    "without both additions": NONE,
    "without the virtual adversarial term": {"vat_epsilon": 0.0},
    "without distribution alignment": {"distribution_alignment_weight": 0.0},
    "binarised": {"binarize": True},
    "one draw": {"total_count": 1},
    "one draw, without both additions": {**NONE, "total_count": 1},
    "sixteen draws": {"total_count": 16},
    "gaussian": {"likelihood": "gaussian"},
    "radius 2": {"vat_epsilon": 2.0},
    "m2": {"model": "m2"},
    "exact": {"marginalization": "exact"},
    "smaller": {"hidden_units": (128, 128), "latent_units": 16, "auxiliary_units": 16, "learning_rate": 3e-3},
    "warm-up 5": {"warm_up": 5},
    "warm-up 20": {"warm_up": 20},
    "moons": {},
    "moons, warm-up 5": {"warm_up": 5},
    "moons, warm-up 20": {"warm_up": 20},
}
# Columns of the table of lengths: steps, and units of a hidden layer where they are not the preset's.
COLUMNS = {"1000 steps": (1000, 256), "2000 steps": (2000, 256), "4000 steps": (4000, 256)}
COLUMNS["64 units, 1000 steps"] = 1000, 64
# Data of `experiments.sources`, and what is given with them: how many labels are seen.
LENGTHS: dict[str, dict[str, Any]] = {
    "digits, levels": {"labels": 50},
    "digits, shares": {"labels": 50},
    "iris": {"labels": 15},
    "wine": {"labels": 15},
    "wine, alpha 10": {"labels": 15, "alpha": 10.0},
    "breast cancer": {"labels": 20},
    "half-moons": {"labels": 10},
    "5000 of MNIST": {"labels": 100},
}


# By name of a run: data and column.
RUNS = {f"{name}, {column}": (name, column) for name in LENGTHS for column in COLUMNS}


def main(name: str, arguments: Sequence[str]) -> None:
    rows = load(name).get("rows", {})
    if name == "choices":
        runs = measure(name, __doc__, arguments, list(CHOICES), choice, SEEDS)
        for variant, own in runs.items():
            found = errors(own)
            mean = round(float(np.mean(found)), 2)
            rows[variant] = {"unseen_training_error": mean, "by_seed": found, "commit": own[0]["commit"]}
        save(name, {**origin(name), "rows": rows})
        return
    runs = measure(name, __doc__, arguments, list(RUNS), length, SEEDS, size)
    for run, own in runs.items():
        if len(own) == len(SEEDS):
            variant, column = RUNS[run]
            row = rows.setdefault(variant, {"points": own[0]["points"], **LENGTHS[variant], "by_column": {}})
            row["by_column"][column] = {"unseen_training_error": errors(own), "commit": own[0]["commit"]}
    result = {**origin(name), "rows": rows}
    save(name, result, indent=1)
    write_text(RESULTS / f"{name}.md", tables(result))


def errors(rows: list[dict[str, Any]]) -> list[float]:
    return [round(row["unseen_training_error"], 2) for row in rows]


def choice(variant: str) -> Config:
    preset, dataset = ("moons", MOONS) if variant.startswith("moons") else ("digits", UNTESTED)
    return Config.for_dataset(preset, **CHOICES[variant]).replace(dataset=dataset)


def length(variant: str) -> Config:
    name, column = RUNS[variant]
    steps, units = COLUMNS[column]
    config = Config.for_dataset(source(name), **LENGTHS[name], hidden_units=(units, units))
    an_epoch = steps_per_epoch(len(load_dataset(config.dataset).x), config.unlabeled_batch)
    return config.replace(epochs=-(-steps // an_epoch))


def size(one: Cell) -> dict[str, int]:
    return {"points": Run(one.folder).report["training_points"]}


def source(name: str) -> str:
    """The data of a row of `LENGTHS`."""
    return name.removesuffix(", alpha 10")


def tables(result: dict[str, Any]) -> str:
    """results/lengths.md."""
    head = f"""# How long to train on arrays of one's own

Percent of the training points without a label that the preset of .npz files gets wrong, mean over {len(SEEDS)} label
seeds, by the number of steps of up to 100 labeled and 100 unlabeled examples, and by the units of each hidden layer
where they are not 256.
"""
    header = f"| data | points | labels | {' | '.join(COLUMNS)} | commits |"
    rows = []
    for name in LENGTHS:
        if row := result["rows"].get(name):
            found = row["by_column"]
            cells = [f"{np.mean(found[one]['unseen_training_error']):.2f}" if one in found else "" for one in COLUMNS]
            commits = ", ".join(f"`{one}`" for one in dict.fromkeys(own["commit"] for own in found.values()))
            rows.append((name, row["points"], row["labels"], *cells, commits))
    return "\n".join([head, *table(header, rows), "", f"`{command_of(result)}` on {result['machine']}.", ""])
