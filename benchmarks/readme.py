"""Puts the results into the README: python -m benchmarks.readme."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.seeds import RESULTS, ROOT, SEEDS

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
    results = {name: json.loads(path.read_text()) for name in TITLES if (path := RESULTS / f"{name}.json").exists()}
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split("<!-- results -->\n")
    _, after = rest.split("<!-- /results -->\n")
    readme.write_text(f"{before}<!-- results -->\n{tables(results)}<!-- /results -->\n{after}")


def tables(results: dict[str, Any]) -> str:
    """Errors by method and data set, then what each training took."""
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
    if (path := RESULTS / "mnist_epoch.json").exists():
        run = json.loads(path.read_text())["runs"][0]
        alone = f"An epoch of MNIST alone, with {run['threads']} threads: {run['seconds_an_epoch']:.0f} seconds."
        lines += ["", f"Label seeds ran two side by side, one thread each. {alone}"]
    machines = sorted({result["machine"] for result in results.values()})
    return "\n".join([*lines, "", "Measured on " + "; ".join(machines) + ".", ""])


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
