"""How presets were chosen: the error on training points whose labels training does not see. No test point is read.

    python -m experiments choices ["one draw" ...]           the presets of digits and moons, and changes in them

Results go to results/choices.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.grid import measure
from experiments.results import load, origin, save
from experiments.sources import MOONS, UNTESTED
from tfadgm.config import Config

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


def main(name: str, arguments: Sequence[str]) -> None:
    rows = load(name).get("rows", {})
    for variant, own in measure(name, __doc__, arguments, list(CHOICES), choice, SEEDS).items():
        found = [round(row["unseen_training_error"], 2) for row in own]
        mean = round(float(np.mean(found)), 2)
        rows[variant] = {"unseen_training_error": mean, "by_seed": found, "commit": own[0]["commit"]}
    save(name, {**origin(name), "rows": rows})


def choice(variant: str) -> Config:
    preset, dataset = ("moons", MOONS) if variant.startswith("moons") else ("digits", UNTESTED)
    return Config.for_dataset(preset, **CHOICES[variant]).replace(dataset=dataset)
