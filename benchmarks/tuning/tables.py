"""results/tuning.md from what `python -m benchmarks.tuning` has measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

HEAD = """# What a search is worth

A search is judged by the labels it was given: by folds of them (`cv_error`, percent; `cv_nll`, nats), by the bound on
unlabeled examples (`bound`, nats), by both (`combined`: bound + alpha * cv_nll), or by further labels (`val_error`,
percent). Spearman's rank correlation of each with the test error over the trials of a random search, with its bootstrap
interval, and the test error of the trial that it would have chosen.
"""
FOLDS = """## Trials by folds

Every score, `bound` too, is the mean over trainings that see all labels but those of a fold. Every trial was afterwards
trained on all labels and tested, once.
"""
ALONE = """## Trials of one training

One training on all labels, its test error, and what `bound`, the default, and `val_error` say of it, and its
`disagreement` with a second training (percent of points, and of labels). The validation set is 50 test points that do
not count in the test error. The last row is what a search by `bound` ends with.
"""
GAIN = """## A search of the digits against their preset

Test error in percent, mean ± standard error over label seeds that the search has not seen. A judge that sees all
labels of the training points would choose "the fewest errors" of all trials, by the one training of each, or "the best
in hindsight" of the finalists, by three. The preset trains for 200 epochs, and so do trials.
"""
SHORT = """## The same by short trials

Trials train for 60 epochs; the choice is trained for the preset's 200 as well.
"""
OWN = """## The digits as arrays of one's own

The same for a user who saves 50 labeled digits and the others without labels in an .npz file, where nothing but the
preset of such files is at hand.
"""


def table(result: dict[str, Any], datasets: Iterable[str]) -> str:
    """The results as Markdown."""
    parts = [HEAD, FOLDS]
    for name in (name for name in datasets if name in result):
        parts += [_correlations(name, result[name]), _source(result[name])]
    parts.append(ALONE)
    for name in (name for name in datasets if f"{name}-alone" in result):
        found = result[f"{name}-alone"]
        parts += [_correlations(name, found), _source(found)]
    for part, head in (("gain", GAIN), ("short", SHORT), ("own", OWN)):
        if part in result:
            parts += [head, _gain(result[part]), _source(result[part])]
    if "speed" in result:
        found = result["speed"]
        parts += [f"## Trials a minute\n\n`{found['search']} --workers N`, from the command to the last trial.\n"]
        parts += ["| workers | trials a minute | times the slowest | seconds, three times | the last trial alone |"]
        parts += ["|---|---|---|---|---|"]
        for workers, ends in found["ends"].items():
            rate, ratio = found["trials_a_minute"][workers], found["times_the_slowest"][workers]
            seconds = ", ".join(str(times[-1]) for times in ends)
            last = np.median([times[-1] - times[-2] for times in ends])
            parts.append(f"| {workers} | {rate} | {ratio} | {seconds} | {last:.1f} |")
        parts.append("\n" + _source(found))
    if "ceiling" in result:
        found = result["ceiling"]
        (_, alone), (_, together) = found["seconds"].items()
        parts.append(
            f"Two trainings at once, on a thread each and without a search, do {found['times']} times the work of one: "
            f"60 epochs take {', '.join(map(str, alone))} seconds alone and {', '.join(map(str, together))} together.\n"
        )
        parts.append(_source(found))
    return "\n".join([*parts, f"`{result['command']}`.", ""])


def _source(found: dict[str, Any]) -> str:
    return f"Commit `{found['commit']}` on {found['machine']}.\n"


def _gain(found: dict[str, Any]) -> str:
    lines = []
    for name, told in found["searches"].items():
        lines.append(f"{name}: `{told['search']}`")
        if "spearman" in told:
            value, low, high = told["spearman"]
            errors = [row["error"] for row in told["trials"]]
            preset = " (the preset)" * (told["chosen"] == told["preset"])
            lines[-1] += (
                f". Its choice is trial {told['chosen']}{preset}. The trials make {min(errors):.2f} to "
                f"{max(errors):.2f} % errors on the training points, with which the bound correlates by {value:.2f} "
                f"({low:.2f} to {high:.2f})."
            )
        lines.append("")
    lines += [
        "| configuration | test error | less than the preset's, by label seed | label seeds |",
        "|---|---|---|---|",
    ]
    runs = {name: np.array(run["test_errors"]) for name, run in found["runs"].items()}
    for name, tested in runs.items():
        less = _mean(runs["preset"] - tested) if name != "preset" else ""
        lines.append(f"| {name} | {_mean(tested)} | {less} | {len(tested)} |")
    return "\n".join([*lines, ""])


def _correlations(name: str, found: dict[str, Any]) -> str:
    errors = [row["test_error"] for row in found["trials"]]
    lines = [
        f"### {name}\n\n`{found['search']}`: {len(errors)} trials, test error {min(errors):.2f} to "
        f"{max(errors):.2f} %, median {np.median(errors):.2f}.\n",
        "| objective | rank correlation with the test error | 95 % interval | its choice: test error |",
        "|---|---|---|---|",
    ]
    for objective, (value, low, high) in found["spearman"].items():
        choice = found["test_error_of_the_choice"][objective]
        lines.append(f"| {objective} | {value:.2f} | {low:.2f} to {high:.2f} | {choice:.2f} |")
    if "finalists" in found["test_error_of_the_choice"]:
        choice = found["test_error_of_the_choice"]["finalists"]
        lines.append(f"| bound, then disagreement between its best and the preset | | | {choice:.2f} |")
    return "\n".join([*lines, ""])


def _mean(values: np.ndarray) -> str:
    """With its standard error."""
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"
