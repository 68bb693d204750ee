"""results/tuning.md from what `python -m experiments tuning` has measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.results import command_of, table

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
GAINS = {
    "gain": """## A search of the digits against their preset

Test error in percent, mean ± standard error over label seeds that the search has not seen. A judge that sees all
labels of the training points would choose "the fewest errors" of all trials, by the one training of each, or "the best
in hindsight" of the finalists, by three. The preset trains for 200 epochs, and so do trials.
""",
    "short": """## The same by short trials

Trials train for 60 epochs; the choice is trained for the preset's 200 as well.
""",
    "own": """## The digits as arrays of one's own

The same for a user who saves 50 labeled digits and the others without labels in an .npz file, where nothing but the
preset of such files is at hand.
""",
}
SPEED = """## Trials a minute

`{search} --workers N`, from the command to the last trial.
"""


def tables(result: dict[str, Any]) -> str:
    """results/tuning.md, of whatever has been measured."""
    lines = []
    for head, ending in ((f"{HEAD}\n{FOLDS}", ""), (ALONE, "-alone")):
        lines.append(head)
        for name in ("digits", "moons"):
            if found := result.get(name + ending):
                lines += [*_correlations(name, found), "", _source(found)]
    for part, head in GAINS.items():
        if found := result.get(part):
            lines += [head, *_gain(found), "", _source(found)]
    if found := result.get("speed"):
        lines += [SPEED.format(**found), *_speed(found), "", _source(found)]
    if found := result.get("ceiling"):
        alone, together = (", ".join(map(str, seconds)) for seconds in found["seconds"].values())
        told = (
            f"Two trainings at once, on a thread each and without a search, do {found['times']} times the work of one: "
        )
        lines += [f"{told}60 epochs take {alone} seconds alone and {together} together.\n", _source(found)]
    return "\n".join([*lines, f"`{command_of(result)}`.", ""])


def _source(found: dict[str, Any]) -> str:
    return f"Commit `{found['commit']}` on {found['machine']}.\n"


def _gain(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, told in found["searches"].items():
        lines += [f"{name}: `{told['search']}`" + (_choice(told) if "spearman" in told else ""), ""]
    errors = {name: np.array(run["test_errors"]) for name, run in found["runs"].items()}
    rows = [
        (name, _mean(own), _mean(errors["preset"] - own) if name != "preset" else "", len(own))
        for name, own in errors.items()
    ]
    header = "| configuration | test error | less than the preset's, by label seed | label seeds |"
    return [*lines, *table(header, rows)]


def _choice(told: dict[str, Any]) -> str:
    value, low, high = told["spearman"]
    errors = [row["error"] for row in told["trials"]]
    preset = " (the preset)" * (told["chosen"] == told["preset"])
    return (
        f". Its choice is trial {told['chosen']}{preset}. The trials make {min(errors):.2f} to {max(errors):.2f} % "
        f"errors on the training points, with which the bound correlates by {value:.2f} ({low:.2f} to {high:.2f})."
    )


def _correlations(name: str, found: dict[str, Any]) -> list[str]:
    errors = [row["test_error"] for row in found["trials"]]
    choice = found["test_error_of_the_choice"]
    rows = [
        (objective, f"{value:.2f}", f"{low:.2f} to {high:.2f}", f"{choice[objective]:.2f}")
        for objective, (value, low, high) in found["spearman"].items()
    ]
    lines = [
        f"### {name}\n\n`{found['search']}`: {len(errors)} trials, test error {min(errors):.2f} to "
        f"{max(errors):.2f} %, median {np.median(errors):.2f}.\n",
        *table("| objective | rank correlation with the test error | 95 % interval | its choice: test error |", rows),
    ]
    if "finalists" in choice:
        lines.append(f"| bound, then disagreement between its best and the preset | | | {choice['finalists']:.2f} |")
    return lines


def _speed(found: dict[str, Any]) -> list[str]:
    rows = [
        (workers, found["trials_a_minute"][workers], found["times_the_slowest"][workers],
         ", ".join(str(times[-1]) for times in ends), f"{np.median([times[-1] - times[-2] for times in ends]):.1f}")
        for workers, ends in found["ends"].items()
    ]  # fmt: skip
    header = "| workers | trials a minute | times the slowest | seconds, three times | the last trial alone |"
    return table(header, rows)


def _mean(values: np.ndarray) -> str:
    """With its standard error."""
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"
