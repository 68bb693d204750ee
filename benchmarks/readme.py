"""Puts the results into the README: python -m benchmarks.readme."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.seeds import MINUTES_EPOCHS, RESULTS, ROOT, SEEDS

TITLES = {
    "digits": "scikit-learn digits, 50 labels",
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


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, write in {"results": tables, "mnist": mnist_table, "time": time_table, "step": step_table}.items():
        before, rest = text.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- /{name} -->\n")
        text = f"{before}<!-- {name} -->\n{write()}<!-- /{name} -->\n{after}"
    readme.write_text(text)


def load(name: str) -> Any:
    """The result of that name, or None where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def tables() -> str:
    """Errors by method and data set, then what each training took."""
    results = {name: result for name in TITLES if (result := load(name))}
    lines = ["| | " + " | ".join(TITLES[name] for name in results) + " |", "|---" * (len(results) + 1) + "|"]
    for key, title in ROWS.items():
        lines.append(f"| {title} | " + " | ".join(_error(result, key) for result in results.values()) + " |")
    lines += [
        "",
        "| | label seeds | seconds a run | seconds an epoch | peak memory | commit |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        runs = result["runs"]
        commits = ", ".join(sorted({f"`{run['commit'][:8]}`" for run in runs}))
        lines.append(
            f"| {TITLES[name]} | {len(runs)} of {len(SEEDS[name])} | {_range(runs, 'whole_process_seconds')} | "
            f"{_range(runs, 'seconds_an_epoch')} | {_range(runs, 'peak_memory_mib')} MiB | {commits} |"
        )
    if epoch := load("mnist_epoch"):
        run = epoch["runs"][0]
        alone = f"An epoch of MNIST alone, with {run['threads']} threads: {run['seconds_an_epoch']:.0f} seconds."
        lines += ["", f"Each ran on one thread, with another training beside it. {alone}"]
    machines = sorted({result["machine"] for result in results.values()})
    return "\n".join([*lines, "", "Measured on " + "; ".join(machines) + ".", ""])


def mnist_table() -> str:
    """MNIST with 100 labels and the preset, beside the paper."""
    result = load("mnist_100")
    if not result:
        return ""
    lines = ["| MNIST, 100 labels | label seeds | epochs | test error | the paper's |", "|---" * 5 + "|"]
    for model, runs in result["runs"].items():
        if runs:
            spread = result["standard_error"].get(model)
            error = f"{result['mean'][model]:.2f}" + (f" ± {spread:.2f}" if spread else "")
            epochs = ", ".join(sorted({str(run["epochs"]) for run in runs}))
            lines.append(f"| {model.upper()} | {len(runs)} | {epochs} | {error} | {result['paper'][model]} |")
    return "\n".join([*lines, ""])


def time_table() -> str:
    """How far a whole run on MNIST gets in how many minutes."""
    lines = ["| epochs | minutes, start to report | test error | commit |", "|---|---|---|---|"]
    for epochs in MINUTES_EPOCHS:
        if result := load(f"mnist_{epochs}_epochs"):
            run = result["runs"][0]
            minutes = run["whole_process_seconds"] / 60
            lines.append(f"| {epochs} | {minutes:.1f} | {run['test_error']:.2f} % | `{run['commit'][:8]}` |")
    return "\n".join([*lines, ""])


def step_table() -> str:
    """What a training step costs by model and marginalization."""
    result = load("step")
    lines = [
        "| model | marginalization | examples | ms | GFLOP | share of the matrix product's peak |",
        "|---" * 6 + "|",
    ]
    for case in result["cases"]:
        if case["classes"] == 10 and case["xla"] and case["unlabeled_batch"] == 100:
            name = case["model"].upper() + " with the additions of the preset" * bool(case["adversarial_radius"])
            lines.append(
                f"| {name} | {case['marginalization'].replace('_', '-')} | {case['labeled_batch']} + 100 | "
                f"{case['ms']:.1f} | {case['gflop']:.1f} | {100 * case['share_of_peak']:.0f} % |"
            )
    return "\n".join([*lines, "", f"Commit `{result['commit']}` on {result['machine']}.", ""])


def _error(result: dict[str, Any], key: str) -> str:
    if key not in result["mean"]:
        return ""
    spread = result["standard_error"].get(key)
    return f"{result['mean'][key]:.2f}" + (f" ± {spread:.2f}" if spread else "")


def _range(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs if run[key] is not None]
    low, high = (f"{value:.0f}" if value >= 10 else f"{value:.2f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
