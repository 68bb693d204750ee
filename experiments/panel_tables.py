"""What results/panel.md and results/panel.png tell of other people's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from experiments.results import command_of, table
from tfadgm.evaluation import baselines, folds
from tfadgm.files import replace_file

OURS = "tfadgm"
LAST_OF_FIRST = "page_blocks"  # of the first half of the sets by name, which choices were made on
METHODS = OURS, baselines.SUPERVISED, *baselines.BASELINES
LABELS = 5  # of each class


def tables(result: dict[str, Any]) -> str:
    """results/panel.md: means over draws; the best of each row is bold."""
    parts = [HEAD]
    for budget in TITLES:
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
        cells.insert(1, f"{np.mean([run['alone']['error'] for run in runs]):.1f}")
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


def draw(result: dict[str, Any], path: Path) -> None:
    """A row a set: the test errors of all methods, ours and those on the labels alone in colour."""
    import matplotlib.pyplot as plt

    names = [name for name, row in result["rows"].items() if "even" in row]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.24 * len(names)), layout="constrained")
    means = [_means(result["rows"][name]["even"]) for name in names]
    for method in reversed(METHODS):
        size, colour, label = STYLES.get(method, (14, "#bbbbbb", "other simpler methods"))
        axes.scatter([each[method] for each in means], range(len(names)), size, colour, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=f"test error, %, {TITLES['even']}", ylim=(len(names), -1))
    axes.set_axisbelow(True)
    axes.grid(axis="y", linewidth=0.3)
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=2)
    replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
    plt.close(figure)


def _means(runs: list[dict[str, Any]]) -> dict[str, float]:
    means = np.mean([list(_scores(run, "errors")) for run in runs], 0)
    return dict(zip(METHODS, means.tolist(), strict=True))


def _scores(run: dict[str, Any], kind: str) -> Iterator[float]:
    return (run[kind].get(name, np.nan) for name in METHODS)


TITLES = {"even": f"{LABELS} labels of each class", "proportional": "20 labels a class, each class by its share"}
STYLES = {
    OURS: (40, "#0072b2", OURS),
    baselines.SUPERVISED: (22, "#e69f00", "the same network on the labels alone"),
    "random forest": (22, "#009e73", "random forest"),
}
HEAD = """# Other people's data

Test error in percent of the defaults, mean over draws of rows and labels (± standard error), beside simpler methods
with the same labels and the same preprocessed columns. Seconds and memory are those of a whole process on one thread,
with another beside it, from start to report, the estimate of the error with it. Nothing was chosen by the test rows.
The defaults were chosen on the first half of the sets by name, by labels of training points that training did not see.
"Without the pool" is the same run before it learned from simpler methods. [panel.png](panel.png) is the picture.
"""
