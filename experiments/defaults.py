"""What rules for data without a preset are worth, on training points whose labels training does not see.

    python -m experiments defaults --data-dir DIR                             every rule on every set of the first half
    python -m experiments defaults --data-dir DIR --sets iris wine --rules preset alpha

Sets are those of `experiments.panel`, scikit-learn's among them; rules are chosen on the first half of them by name,
and the other half is looked at in the end. Runs tell of test points, and that is not collected.
Results go to results/defaults.json and results/defaults.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import panel
from experiments.grid import JOBS, RUNS, Cell, collect, complete
from experiments.results import RESULTS, command_of, load, origin, parser, save, table
from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError
from tfadgm.files import write_text
from tfadgm.resolve import default_alpha

SEEDS = 1
ADDED: dict[str, Any] = {
    "marginalization": "rao_blackwellised",
    "labeled_weight": 0.1,
    "distribution_alignment_weight": 10.0,
    "distribution_alignment_tolerance": 0.5,
    "vat_weight": 20.0,
}


def floor_of_alpha(dataset: Dataset, labels: int, share: float = 0.5) -> float:
    """The published weight, and at least `share` of the number of features."""
    return max(default_alpha(len(dataset.x), labels), share * float(np.prod(dataset.x.shape[1:])))


def radius(dataset: Dataset, share: float) -> float:
    """`share` of the median distance of a standardised point to its tenth neighbour, among a thousand."""
    from sklearn.neighbors import NearestNeighbors

    x = dataset.x[:1000].reshape(len(dataset.x[:1000]), -1).astype(np.float64)
    x = np.nan_to_num((x - np.nanmean(x, 0)) / np.maximum(np.nanstd(x, 0), 1e-9))
    return round(share * float(np.median(NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x)[0][:, -1])), 3)


def both(dataset: Dataset, labels: int) -> dict[str, Any]:
    return ADDED | {"vat_epsilon": radius(dataset, 0.3), "alpha": floor_of_alpha(dataset, labels)}


Rule = Callable[[Dataset, int], dict[str, Any]]
RULES: dict[str, Rule] = {
    "preset": lambda dataset, labels: {},
    "alpha": lambda dataset, labels: {"alpha": floor_of_alpha(dataset, labels)},
    "additions": lambda dataset, labels: ADDED | {"vat_epsilon": radius(dataset, 0.3)},
    "additions, alpha": both,
    "estimate": lambda dataset, labels: {"class_prior": "estimate"},
    "additions, alpha, estimate": lambda dataset, labels: both(dataset, labels) | {"class_prior": "estimate"},
}


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("--data-dir", help="the folder of the sets (default: scikit-learn's alone)")
    flags.add_argument("--sets", nargs="+", metavar="SET", help="(default: the first half)")
    flags.add_argument("--rules", nargs="+", metavar="RULE", default=list(RULES), help=f"of: {'; '.join(RULES)}")
    flags.add_argument("--seeds", type=int, default=SEEDS, help=f"draws of rows and labels (default: {SEEDS})")
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    found = every_set(asked.data_dir)
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


def every_set(data_dir: str | None) -> list[str]:
    """The names of all sets, sorted."""
    own = [path.stem for path in Path(data_dir).iterdir() if path.suffix != ".md"] if data_dir else []
    return sorted({*own, *panel.BUNDLED})


def cell(name: str, data_dir: str | None, rule: str, seed: int) -> Cell:
    where = None if name in panel.BUNDLED else data_dir
    dataset = panel.draw(name, where, seed)
    labels = panel.LABELS * dataset.classes
    choices = RULES[rule](dataset, labels)
    config = Config.for_dataset(panel.PREFIX + name, data_dir=where, labels=labels, seed=seed, **choices)
    return Cell(RUNS / "defaults" / f"{name}, {rule}-{seed}", config)


def tables(result: dict[str, Any]) -> str:
    """results/defaults.md: percent of the unseen training labels that are missed, mean over draws."""
    lines = []
    for name, row in result["rows"].items():
        cells = [f"{np.mean(row[rule]['unseen_training_error']):.1f}" if rule in row else "" for rule in RULES]
        lines.append((name, *cells))
    head = "| set | " + " | ".join(RULES) + " |"
    return "\n".join([HEAD, *table(head, lines), "", f"`{command_of(result)}` on {result['machine']}.", ""])


HEAD = """# Rules for data without a preset

Percent of the training points without a label that a rule gets wrong, five labels of each class. A rule is what is put
on top of the preset of a user's own data: a floor of half the number of features under alpha; the additions of the
MNIST preset, with a radius of 0.3 times the distance to the tenth neighbour; both; a class prior that is
estimated.
"""
