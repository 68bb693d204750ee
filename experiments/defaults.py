"""What the rules of the preset of a user's own data are worth, on training points whose labels training does not see.

    python -m experiments defaults --data-dir DIR                             every rule on every set of the first half
    python -m experiments defaults --data-dir DIR --sets iris wine --rules preset "alpha 50"

Sets are those of `experiments.panel`, scikit-learn's among them; rules are chosen on the first half of them by name,
and the other half is looked at in the end. Runs tell of test points, and that is not collected.
Results go to results/defaults.json and results/defaults.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments import panel
from experiments.grid import JOBS, RUNS, Cell, collect, complete
from experiments.results import RESULTS, command_of, load, origin, parser, save, table
from tfadgm.config import OWN_FILE, Config
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError
from tfadgm.files import write_text
from tfadgm.resolve import default_epochs, radius

SEEDS = 1
Rule = Callable[[Dataset], dict[str, Any]]
RULES: dict[str, Rule] = {
    "preset": lambda dataset: {},
    "unlabeled averages": lambda dataset: {"batch_norm_stream": "unlabeled"},
    "alpha 50": lambda dataset: {"alpha": 50.0},
    "published alpha": lambda dataset: {"alpha": None},
    "exact sum": lambda dataset: {"marginalization": "exact"},
    "whole labeled bound": lambda dataset: {"labeled_weight": 1.0},
    "VAT": lambda dataset: {"vat_epsilon": radius(dataset, dataset.likelihood)},
    "no VAT": lambda dataset: {"vat_epsilon": 0.0},
    "convolutions": lambda dataset: {"trunk": "conv"},
    "estimated p(y)": lambda dataset: {"class_prior": "estimate"},
    "larger, longer": lambda dataset: {
        "hidden_units": (256, 256),
        "latent_units": 32,
        "auxiliary_units": 32,
        "epochs": 2 * default_epochs(Config.for_dataset(OWN_FILE), len(dataset.x)),
    },
}


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("--data-dir", help="the folder of the sets (default: scikit-learn's alone)")
    flags.add_argument("--sets", nargs="+", metavar="SET", help="(default: the first half)")
    flags.add_argument("--rules", nargs="+", metavar="RULE", default=list(RULES), help=f"of: {'; '.join(RULES)}")
    flags.add_argument("--seeds", type=int, default=SEEDS, help=f"draws of rows and labels (default: {SEEDS})")
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    found = panel.every_set(asked.data_dir)
    sets = asked.sets or found[: (len(found) + 1) // 2]
    for own, known in ((sets, found), (asked.rules, list(RULES))):
        if foreign := set(own) - set(known):
            raise InputError(f"Expected some of {', '.join(known)}. Received: {', '.join(sorted(foreign))}")
    panel.declare(sets)
    cells = {
        (own, rule): [cell(own, asked.data_dir, rule, seed) for seed in range(asked.seeds)]
        for own in sets
        for rule in asked.rules
    }
    complete([one for group in cells.values() for one in group], asked.jobs)
    rows = load(name).get("rows", {})
    for (own, rule), group in cells.items():
        told = [row for one in group if (row := collect(one, lambda cell: {}))]
        errors = [round(row["unseen_training_error"], 2) for row in told]
        rows.setdefault(own, {})[rule] = {"unseen_training_error": errors, "commit": told[0]["commit"]}
    result = {**origin(f"{name} --data-dir DIR"), "rows": dict(sorted(rows.items()))}
    save(name, result, indent=1)
    write_text(RESULTS / f"{name}.md", tables(result))


def cell(name: str, data_dir: str | None, rule: str, seed: int) -> Cell:
    where = None if name in panel.BUNDLED else data_dir
    dataset = panel.draw(name, where, seed)
    labels = panel.LABELS * dataset.classes
    choices = RULES[rule](dataset)
    config = Config.for_dataset(
        panel.PREFIX + name, data_dir=where, labels=labels, seed=seed, estimate=False, **choices
    )
    return Cell(RUNS / "defaults" / f"{name}, {rule}-{seed}", config)


def tables(result: dict[str, Any]) -> str:
    """results/defaults.md: percent of the unseen training labels that are missed, mean over draws."""
    lines, measured = [], [rule for rule in RULES if any(rule in row for row in result["rows"].values())]
    for name, row in result["rows"].items():
        cells = [f"{np.mean(row[rule]['unseen_training_error']):.1f}" if rule in row else "" for rule in measured]
        lines.append((name, *cells))
    head = "| set | " + " | ".join(measured) + " |"
    return "\n".join([HEAD, *table(head, lines), "", f"`{command_of(result)}` on {result['machine']}.", ""])


HEAD = """# Rules for data without a preset

Percent of the training points without a label that are missed, five labels of each class. A rule is what is put in
place of what `presets/arrays.toml` and `resolve` have: batch normalisation that predicts with the statistics of the
unlabeled stream; a weight of the labels of 50, or the published 0.1 N / labels, in place of 500; the exact sum over the
classes; the bound of labeled points with weight 1; a virtual adversarial term on any data, or on none; a
convolutional trunk; a p(y) that is estimated; twice the width and the steps.
"""
