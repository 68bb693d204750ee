"""Other people's data: test errors of the defaults beside those of ten simpler methods on the same labels.

    python -m experiments panel --data-dir DIR                     every set in DIR and scikit-learn's, three draws
    python -m experiments panel adult iris --data-dir DIR --draws 1
    python -m experiments panel                                    scikit-learn's own sets

DIR holds NAME.csv with the class in `target`, NAME.npz with x and y, or NAME/*/CLASS/* with images. A draw takes 30 %
of the rows, 3000 at most, as test rows, of the rest 6000 at most for training. Of these it labels either five of each
class (even), or 20 times the number of classes, each class by its share (proportional). Results go to
results/panel.json, results/panel.md and results/panel.png.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import panel_tables
from experiments.grid import JOBS, Cell, collect, complete, history
from experiments.grid import RUNS as GRID
from experiments.panel_tables import LABELS, OURS
from experiments.results import RESULTS, load, origin, parser, save
from experiments.sources import arrays
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.images import own_images
from tfadgm.data.sources import SOURCES
from tfadgm.data.table import from_frame, read_table
from tfadgm.errors import InputError
from tfadgm.evaluation import baselines
from tfadgm.evaluation.metrics import balanced_error, classification_report
from tfadgm.files import write_text
from tfadgm.resolve import fitted_scaling
from tfadgm.run import Run

TEST_SHARE, MOST_TEST, MOST_TRAIN, DRAWS = 0.3, 3000, 6000, 3
PREFIX = "panel "  # of the names of its data
BUNDLED = "iris", "wine", "breast_cancer", "digits"
BUDGETS = {
    "even": lambda classes: {"labels": LABELS * classes},
    "proportional": lambda classes: {"labels": 4 * LABELS * classes, "label_choice": "proportional"},
}


def draw(name: str, data_dir: str | None, seed: int) -> Dataset:
    """The rows of the set `name` for training and for the report, by `seed`."""
    whole = _whole(name, data_dir)
    rows = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(whole.y != UNLABELED))
    tests = min(MOST_TEST, round(TEST_SHARE * len(rows)))
    train = np.sort(rows[tests : tests + MOST_TRAIN])
    return whole.replace(
        x=whole.x[train],
        y=whole.y[train],
        x_test=whole.x[rows[:tests]],
        y_test=whole.y[rows[:tests]],
        ids=None,
        notes=(),
    )


@functools.cache
def _whole(name: str, data_dir: str | None) -> Dataset:
    if data_dir is None:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return arrays(x.astype(np.float32), y)
    folder = Path(data_dir)
    if (folder / name).is_dir():
        parts = [own_images(part) for part in sorted((folder / name).iterdir()) if part.is_dir()]
        x, y = (np.concatenate([getattr(part, key) for part in parts]) for key in ("x", "y"))
        return parts[0].replace(x=x, y=y, ids=None)
    if (folder / f"{name}.csv").exists():
        return from_frame(read_table(folder / f"{name}.csv"), "target")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return arrays(file["x"], np.unique(file["y"], return_inverse=True)[1])


def declare(names: Sequence[str]) -> None:
    """Lets configurations name the sets."""
    SOURCES.update({PREFIX + name: functools.partial(draw, name) for name in names})


def declare_for(arguments: Sequence[str]) -> None:
    """The same for the set that the file after --config names, if it does."""
    paths = [Path(arguments[place + 1]) for place, flag in enumerate(arguments[:-1]) if flag == "--config"]
    for path in paths:
        dataset = json.loads(path.read_text())["dataset"]
        if dataset.startswith(PREFIX):
            declare([dataset.removeprefix(PREFIX)])


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("sets", nargs="*", metavar="SET", help="(default: all)")
    flags.add_argument("--data-dir", help="the folder of the sets (default: scikit-learn's own)")
    flags.add_argument("--budgets", nargs="+", choices=BUDGETS, default=list(BUDGETS), help="of labels (default: both)")
    flags.add_argument("--draws", type=int, default=DRAWS, help=f"of rows and labels (default: {DRAWS})")
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    found = every_set(asked.data_dir)
    if foreign := set(asked.sets) - set(found):
        raise InputError(f"Expected sets of {', '.join(found)}. Received: {', '.join(sorted(foreign))}")
    chosen = asked.sets or found
    declare(chosen)
    cells = {
        (own, budget): [cell(own, asked.data_dir, seed, budget) for seed in range(asked.draws)]
        for own in chosen
        for budget in asked.budgets
    }
    complete([one for group in cells.values() for one in group], asked.jobs)
    rows = load(name).get("rows", {})
    for (own, budget), group in cells.items():
        rows.setdefault(own, {})[budget] = [row for one in group if (row := collect(one, _more))]
    result = {**origin(f"{name} --data-dir DIR"), "rows": dict(sorted(rows.items()))}
    save(name, result, indent=1)
    write_text(RESULTS / f"{name}.md", panel_tables.tables(result))
    panel_tables.draw(result, RESULTS / f"{name}.png")


def every_set(data_dir: str | None) -> list[str]:
    """The names of all sets, sorted; by them the first half is for choices, and the other is looked at in the end."""
    own = [path.stem for path in Path(data_dir).iterdir() if path.suffix != ".md"] if data_dir else []
    return sorted({*own, *BUNDLED})


def cell(name: str, data_dir: str | None, seed: int, budget: str = "even") -> Cell:
    where = None if name in BUNDLED else data_dir
    labels = BUDGETS[budget](_whole(name, where).classes)
    config = Config.for_dataset(PREFIX + name, data_dir=where, seed=seed, **labels)
    return Cell(GRID / "panel" / f"{name}, {budget}-{seed}", config)


def _more(one: Cell) -> dict[str, Any]:
    run = Run(one.folder)
    report, dataset = run.report, run.load_dataset()
    scaling = fitted_scaling(dataset, run.config.likelihood)
    x, asked = scaling(dataset.x).numpy(), scaling(dataset.x_test).numpy()
    errors = {OURS: report["test_error"], baselines.SUPERVISED: report["supervised_error"]}
    balanced = {OURS: report["test_balanced_error"]}
    for name in baselines.BASELINES:
        found = baselines.probabilities(name, x, dataset.y, asked, dataset.classes)
        errors[name] = classification_report(found, dataset.y_test)["error"]
        balanced[name] = balanced_error(found, dataset.y_test)
    return {
        "errors": errors,
        "balanced_errors": balanced,
        "alone": {score: float(history(run)[-1][f"test_{score}"]) for score in ("error", "nll", "ece")},
        "estimate": report.get("estimate"),
        "points": report["training_points"],
        "labels": report["labels"],
    }
