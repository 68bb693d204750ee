"""Other people's data: test errors of the defaults beside those of ten simpler methods on the same labels.

    python -m experiments panel --data-dir DIR                     every set in DIR and scikit-learn's, three draws
    python -m experiments panel adult iris --data-dir DIR --draws 1
    python -m experiments panel                                    scikit-learn's own sets

DIR holds NAME.csv with the class in `target`, NAME.npz with x and y, or NAME/*/CLASS/* with images. A draw takes 30 %
of the rows, 3000 at most, as test rows, of the rest 6000 at most for training. Of these it labels either five of each
class (even), or 20 times the number of classes, each class by its share (proportional). Results go to
results/panel.json and results/panel.md.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from experiments.grid import JOBS, Cell, collect, complete, history
from experiments.grid import RUNS as GRID
from experiments.results import RESULTS, command_of, load, origin, parser, save, table
from experiments.sources import arrays
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.images import own_images
from tfadgm.data.sources import SOURCES
from tfadgm.data.table import from_frame, read_table
from tfadgm.errors import InputError
from tfadgm.evaluation import baselines, folds
from tfadgm.evaluation.metrics import balanced_error, classification_report
from tfadgm.files import write_text
from tfadgm.resolve import fitted_scaling
from tfadgm.run import Run

TEST_SHARE, MOST_TEST, MOST_TRAIN, LABELS, DRAWS = 0.3, 3000, 6000, 5, 3
PREFIX = "panel "  # of the names of its data
BUNDLED = "iris", "wine", "breast_cancer", "digits"
BUDGETS = {
    "even": lambda classes: {"labels": LABELS * classes},
    "proportional": lambda classes: {"labels": 4 * LABELS * classes, "label_choice": "proportional"},
}
OURS = "tfadgm"
LAST_OF_FIRST = "page_blocks"  # of the first half of the sets by name, which choices were made on
METHODS = OURS, baselines.SUPERVISED, *baselines.BASELINES


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
    write_text(RESULTS / f"{name}.md", tables(result))


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


def tables(result: dict[str, Any]) -> str:
    """results/panel.md: means over draws; the best of each row is bold."""
    parts = [HEAD]
    for budget in BUDGETS:
        rows = {name: row[budget] for name, row in result["rows"].items() if budget in row}
        if rows:
            parts += [f"## {TITLES[budget]}", "", *_errors(rows), "", *_in_all(rows), ""]
    return "\n".join([*parts, f"`{command_of(result)}` on {result['machine']}.", ""])


def _errors(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for name, runs in rows.items():
        means = _means(runs)
        best = min(means.values())
        cells = [f"**{error:.1f}**" if error == best else f"{error:.1f}" for error in means.values()]
        if len(runs) > 1:
            cells[0] += f" ± {np.std([run['errors'][OURS] for run in runs], ddof=1) / len(runs) ** 0.5:.1f}"
        seconds = [run["whole_process_seconds"] for run in runs if run["whole_process_seconds"]]
        memory = max(run["peak_memory_mib"] or 0 for run in runs)
        told = f"{np.mean(seconds):.0f}" if seconds else "", memory, f"`{runs[0]['commit'][:8]}`"
        alone = [run["alone"]["error"] for run in runs if "alone" in run]
        cells.insert(1, f"{np.mean(alone):.1f}" if alone else "")
        lines.append((name, runs[0]["points"], runs[0]["labels"], len(runs), *cells, *told))
    columns = "set", "rows", "labels", "draws", OURS, "without the pool", *METHODS[1:], "seconds", "peak MiB", "commit"
    head = "| " + " | ".join(columns) + " |"
    return table(head, lines)


def _in_all(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Mean ranks and errors over the sets, on how many the goals are met, and what the estimates and the pool do."""
    balanced = [np.mean([list(_scores(run, "balanced_errors")) for run in runs], 0) for runs in rows.values()]
    lines = [
        *_ranks("", rows),
        *_ranks(", first half", {name: runs for name, runs in rows.items() if name <= LAST_OF_FIRST}),
        *_ranks(", second half", {name: runs for name, runs in rows.items() if name > LAST_OF_FIRST}),
        ("mean balanced error", *("" if np.isnan(error) else f"{error:.1f}" for error in np.mean(balanced, 0))),
    ]
    runs = [run for each in rows.values() for run in each]
    head = "| over all sets | " + " | ".join(METHODS) + " |"
    return [*table(head, lines), "", *_goals([_means(each) for each in rows.values()]), *_estimates(runs), *_pool(runs)]


def _ranks(of: str, rows: dict[str, list[dict[str, Any]]]) -> list[tuple[str, ...]]:
    if not rows:
        return []
    errors = np.array([list(_means(runs).values()) for runs in rows.values()])
    return [
        (f"mean rank{of}", *(f"{rank:.1f}" for rank in rankdata(errors, axis=1).mean(0))),
        (f"mean error{of}", *(f"{error:.1f}" for error in errors.mean(0))),
    ]


def _goals(means: list[dict[str, float]]) -> list[str]:
    simple = [{name: error for name, error in each.items() if name != OURS} for each in means]
    single = min(np.mean([each[name] for each in simple]) for name in simple[0])
    ours = np.array([each[OURS] for each in means])
    alone = np.array([each[baselines.SUPERVISED] for each in means])
    best = np.array([min(each.values()) for each in simple])
    return [
        f"Its mean error is {100 * (1 - ours.mean() / single):.0f} % below the least mean of a single simpler method. "
        f"Of {len(means)} sets, it errs on {(ours <= 1.1 * alone).sum()} at most 1.1 times as often as the same "
        f"network on the labels alone, and on {(ours <= 1.25 * best).sum()} at most 1.25 times as often as the best "
        "of the ten there.",
        "",
    ]


def _estimates(runs: list[dict[str, Any]]) -> list[str]:
    told = [(run["estimate"], run["errors"]) for run in runs if "error" in (run["estimate"] or {})]
    if not told:
        return []
    held = sum(own["low"] <= errors[OURS] <= own["high"] for own, errors in told)
    bias = np.mean([own["error"] - errors[OURS] for own, errors in told])
    best = [errors[folds.better(own) or OURS] for own, errors in told]
    return [
        f"The 95 % interval of the estimate holds the test error in {held} of {len(told)} runs; the estimate is "
        f"{bias:+.1f} points off on average. The best method by the estimate errs on {np.mean(best):.1f} % of the test "
        f"rows on average, where the defaults do on {np.mean([errors[OURS] for _, errors in told]):.1f} %.",
        "",
    ]


def _pool(runs: list[dict[str, Any]]) -> list[str]:
    """What the pool changes."""
    runs = [run for run in runs if "alone" in run]
    if not runs:
        return []
    before, after = (
        [np.mean([score(run) for run in runs]) for score in scores]
        for scores in (
            [lambda run, name=name: run["alone"][name] for name in ("error", "nll", "ece")],
            [lambda run: run["errors"][OURS], lambda run: run["test_nll"], lambda run: run["test_ece"]],
        )
    )
    return [
        f"Without the pool the model errs on {before[0]:.1f} % in these {len(runs)} runs, with it on {after[0]:.1f} %; "
        f"the negative log-likelihood of a test label falls from {before[1]:.2f} to {after[1]:.2f} nats, the "
        f"calibration error from {before[2]:.3f} to {after[2]:.3f}."
    ]


def _means(runs: list[dict[str, Any]]) -> dict[str, float]:
    means = np.mean([list(_scores(run, "errors")) for run in runs], 0)
    return dict(zip(METHODS, means.tolist(), strict=True))


def _scores(run: dict[str, Any], kind: str) -> Iterator[float]:
    return (run[kind].get(name, np.nan) for name in METHODS)


TITLES = {"even": f"{LABELS} labels of each class", "proportional": "20 labels a class, each class by its share"}
HEAD = """# Other people's data

Test error in percent of the defaults, mean over draws of rows and labels (± standard error), beside simpler methods
with the same labels and the same preprocessed columns. Seconds and memory are those of a whole process on one thread,
with another beside it, from start to report, the estimate of the error with it. Nothing was chosen by the test rows.
The defaults were chosen on the first half of the sets by name, by labels of training points that training did not see.
"Without the pool" is the same run before it learned from simpler methods.
"""
