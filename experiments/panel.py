"""Other people's data: test errors of the defaults beside those of scikit-learn on the same preprocessed columns.

    python -m experiments panel --data-dir DIR                  each table and folder of images in DIR, three draws
    python -m experiments panel adult penguins --data-dir DIR   some of them
    python -m experiments panel                                 scikit-learn's own tables

DIR holds NAME.csv with the class in `target`, NAME.npz with x and y, or NAME/*/CLASS/* with images. A draw takes 30 %
of the rows, 3000 at most, as test rows, of the rest 6000 at most for training, and five labels of each class. Results
go to results/panel.json and results/panel.md.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.grid import JOBS, Cell, collect, complete
from experiments.grid import RUNS as GRID
from experiments.results import RESULTS, command_of, load, origin, parser, save, table
from experiments.sources import arrays
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.images import own_images
from tfadgm.data.sources import SOURCES
from tfadgm.data.table import from_frame, read_table
from tfadgm.errors import InputError
from tfadgm.files import write_text
from tfadgm.run import Run

TEST_SHARE, MOST_TEST, MOST_TRAIN, LABELS, DRAWS = 0.3, 3000, 6000, 5, 3
PREFIX = "panel "  # of the names of its data
BUNDLED = "iris", "wine", "breast_cancer", "digits"
SCORES = {
    "test_error": "tfadgm", "supervised_error": "labels alone", "label_spreading_error": "LabelSpreading",
    "self_training_error": "SelfTraining",
}  # fmt: skip


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
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    found = sets(asked.data_dir)
    if foreign := set(asked.sets) - set(found):
        raise InputError(f"Expected sets of {', '.join(found)}. Received: {', '.join(sorted(foreign))}")
    chosen = asked.sets or found
    declare(chosen)
    cells = {own: [cell(own, asked.data_dir, seed) for seed in range(DRAWS)] for own in chosen}
    complete([one for group in cells.values() for one in group], asked.jobs)
    rows = load(name).get("rows", {})
    for own, group in cells.items():
        rows[own] = {"runs": [row for one in group if (row := collect(one, _more))]}
    result = {**origin(f"{name} --data-dir DIR"), "rows": dict(sorted(rows.items()))}
    save(name, result, indent=1)
    write_text(RESULTS / f"{name}.md", tables(result))


def sets(data_dir: str | None) -> list[str]:
    """The names of all sets in a folder, tables and images first."""
    if data_dir is None:
        return list(BUNDLED)
    folder = Path(data_dir)
    kinds: list[Callable[[Path], bool]] = [lambda path: path.suffix == ".csv", Path.is_dir]
    return [path.stem for kind in kinds for path in sorted(folder.iterdir()) if kind(path)]


def cell(name: str, data_dir: str | None, seed: int) -> Cell:
    classes = _whole(name, data_dir).classes
    config = Config.for_dataset(PREFIX + name, data_dir=data_dir, labels=LABELS * classes, seed=seed)
    return Cell(GRID / "panel" / f"{name}-{seed}", config)


def _more(one: Cell) -> dict[str, Any]:
    report = Run(one.folder).report
    return {
        "balanced_error": report["test_balanced_error"],
        "points": report["training_points"],
        "labels": report["labels"],
    }


def tables(result: dict[str, Any]) -> str:
    """results/panel.md: means over draws; the best of each row is bold."""
    lines = []
    for name, row in result["rows"].items():
        runs = row["runs"]
        means = {key: np.mean([run[key] for run in runs]) for key in SCORES if all(key in run for run in runs)}
        cells = [f"{means[key]:.1f}" if key in means else "" for key in SCORES]
        best = min(means.values())
        cells = [f"**{text}**" if means.get(key) == best else text for key, text in zip(SCORES, cells, strict=True)]
        if len(runs) > 1:
            cells[0] += f" ± {np.std([run['test_error'] for run in runs], ddof=1) / len(runs) ** 0.5:.1f}"
        costs = "balanced_error", "whole_process_seconds", "peak_memory_mib"
        balanced, seconds, memory = (
            np.mean([run[key] for run in runs if run[key] is not None] or np.nan) for key in costs
        )
        told = f"{balanced:.1f}", f"{seconds:.0f}", f"{memory:.0f}", f"`{runs[0]['commit'][:8]}`"
        lines.append((name, runs[0]["points"], runs[0]["labels"], *cells, *told))
    head = "| set | rows | labels | " + " | ".join(SCORES.values()) + " | balanced | seconds | peak MiB | commit |"
    return "\n".join([HEAD, *table(head, lines), "", f"`{command_of(result)}` on {result['machine']}.", ""])


HEAD = f"""# Other people's data

Test error in percent of the defaults, mean over {DRAWS} draws of rows and labels (± standard error), beside simpler
methods with the same labels and the same preprocessed columns; `balanced` is the mean error over the classes.
{LABELS} labels of each class. Seconds and memory are those of a whole process
on one thread, with another beside it, from start to report. Nothing was chosen by the test rows.
"""
