"""Puts the results into README.md and the pages of docs/, wherever a table has its marks.

python -m experiments readme
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.errors import MINUTES_EPOCHS, SEEDS
from experiments.results import load, parser, table, with_error
from tfadgm.files import write_text
from tfadgm.models.base import renamed
from tfadgm.provenance import ROOT

TITLES = {
    "digits": "scikit-learn digits, 50 labels",
    "digits_splits": "the digits, five other splits",
    "moons": "half-moons, 6 labels",
    "mnist": "MNIST, 100 labels, 25 epochs of the plain objective",
}
ROWS = {
    "test_error": "**SDGM**",
    "supervised_error": "the same classifier on the labels alone",
    "label_spreading_error": "scikit-learn LabelSpreading",
    "self_training_error": "scikit-learn SelfTraining",
    "best_possible_error": "best possible classifier",
    "excess_error": "SDGM above the best possible",
}


def main(name: str, arguments: Sequence[str]) -> None:
    parser(name, __doc__).parse_args(arguments)
    for page in pages():
        write_text(page, filled(page.read_text()))


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str) -> str:
    """A page with its tables made anew, between `<!-- NAME -->` and `<!-- /NAME -->`."""
    for name, lines in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        if begin in text:
            before, rest = text.split(begin)
            text = before + begin + "".join(f"{line}\n" for line in lines()) + end + rest.split(end)[1]
    return text


def compact() -> list[str]:
    """The test errors of the front page, by the presets; on MNIST the labels alone are of the plain objective."""
    digits, moons, mnist, preset = (load(name) for name in ("digits", "moons", "mnist", "mnist_100"))
    simpler = list(ROWS.items())[1:4]
    rows = [
        (ROWS["test_error"], with_error(digits, "test_error"), with_error(moons, "test_error"),
         with_error(preset, "sdgm")),
        ("ADGM", "", "", with_error(preset, "adgm")),
        *((title, *(with_error(result, key) for result in (digits, moons, mnist))) for key, title in simpler),
        ("the paper", "", "", ", ".join(f"{model.upper()} {error}" for model, error in preset["paper"].items())),
    ]  # fmt: skip
    best = with_error(moons, "best_possible_error")
    return table(f"| | {TITLES['digits']} | {TITLES['moons']} (best possible: {best}) | MNIST, 100 labels |", rows)


def errors() -> list[str]:
    """Errors by method and data set, then what each training took."""
    results = {name: result for name in TITLES if (result := load(name))}
    rows = [(title, *(with_error(result, key) for result in results.values())) for key, title in ROWS.items()]
    costs = [
        (TITLES[name], f"{len(runs)} of {len(SEEDS[name])}", _range(runs, "whole_process_seconds"),
         _range(runs, "seconds_an_epoch"), f"{_range(runs, 'peak_memory_mib')} MiB", _commits(runs))
        for name, runs in ((name, result["runs"]) for name, result in results.items())
    ]  # fmt: skip
    lines = [
        *table(f"| | {' | '.join(TITLES[name] for name in results)} |", rows),
        "",
        *table("| | label seeds | seconds a run | seconds an epoch | peak memory | commit |", costs),
    ]
    if epoch := load("mnist_epoch"):
        run = epoch["runs"][0]
        alone = f"An epoch of MNIST alone, with {run['threads']} threads: {run['seconds_an_epoch']:.0f} seconds."
        lines += ["", f"Each ran on one thread, with another training beside it. {alone}"]
    machines = sorted({result["machine"] for result in results.values()})
    return [*lines, "", "Measured on " + "; ".join(machines) + "."]


def mnist() -> list[str]:
    """MNIST with 100 labels and the preset, beside the paper."""
    result = load("mnist_100")
    rows = [
        (model.upper(), len(runs), ", ".join(sorted({str(run["epochs"]) for run in runs})), with_error(result, model),
         result["paper"][model])
        for model, runs in result.get("runs", {}).items()
        if runs
    ]  # fmt: skip
    return table("| MNIST, 100 labels | label seeds | epochs | test error | the paper's |", rows)


def minutes() -> list[str]:
    """How far a whole run on MNIST gets in how many minutes."""
    runs = {epochs: found["runs"][0] for epochs in MINUTES_EPOCHS if (found := load(f"mnist_{epochs}_epochs"))}
    rows = [
        (epochs, f"{run['whole_process_seconds'] / 60:.1f}", f"{run['test_error']:.2f} %", _commits([run]))
        for epochs, run in runs.items()
    ]
    return table("| epochs | minutes, start to report | test error | commit |", rows)


def step() -> list[str]:
    """What a training step costs by model and marginalization."""
    result = load("step")
    rows = [
        (case["model"].upper() + " with the additions of the preset" * bool(case["vat_epsilon"]),
         case["marginalization"].replace("_", "-"), f"{case['labeled_batch']} + 100", f"{case['ms']:.1f}",
         f"{case['gflop']:.1f}", f"{100 * case['share_of_peak']:.0f} %")
        for case in map(renamed, result["cases"])
        if case["classes"] == 10 and case["xla"] and case["unlabeled_batch"] == 100
    ]  # fmt: skip
    header = "| model | marginalization | examples | ms | GFLOP | share of the matrix product's peak |"
    return [*table(header, rows), "", f"Commit `{result['commit']}` on {result['machine']}."]


TABLES: dict[str, Callable[[], list[str]]] = {
    "results": compact, "errors": errors, "mnist": mnist, "time": minutes, "step": step,
}  # fmt: skip


def _commits(runs: list[dict[str, Any]]) -> str:
    return ", ".join(sorted({f"`{run['commit'][:8]}`" for run in runs}))


def _range(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs if run[key] is not None]
    low, high = (f"{value:.0f}" if value >= 10 else f"{value:.2f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
