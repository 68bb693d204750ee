"""How long to train on arrays of which nothing is known: the preset of .npz files by the number of its steps.

    python -m benchmarks.lengths [NAME ...]

The error on the training points without a label: no test point is read. A longer run continues the shorter one. Results
go to results/lengths.json and results/lengths.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.choose import unseen_error
from benchmarks.seeds import RESULTS
from tfadgm.config import Config
from tfadgm.data.sources import Dataset, digits, draw_moons, likelihood_of, mnist
from tfadgm.data.streams import steps_per_epoch
from tfadgm.provenance import commit, machine

STEPS = [1000, 2000, 4000]
SEEDS = range(3)  # of labels and weights


def arrays(x: np.ndarray, y: np.ndarray) -> Dataset:
    """As `own_arrays` would make them, had someone labeled them all."""
    names = tuple(str(name) for name in np.unique(y))
    return Dataset(x, y.astype(np.int64), x[:0], y[:0].astype(np.int64), names, likelihood_of(x))


def bundled(name: str) -> Dataset:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return arrays(x.astype(np.float32), y)


def images() -> Dataset:
    data = mnist()
    return arrays(data.x[:5000], data.y[:5000])


# Data, and what is given with them: how many labels are seen.
OWN: dict[str, tuple[Callable[[], Dataset], dict[str, Any]]] = {
    "digits, levels": (lambda: arrays(digits().x, digits().y), {"labels": 50}),
    "digits, shares": (lambda: arrays(digits().x / 16, digits().y), {"labels": 50}),
    "wine": (lambda: bundled("wine"), {"labels": 15}),
    "wine, alpha 10": (lambda: bundled("wine"), {"labels": 15, "alpha": 10.0}),
    "breast cancer": (lambda: bundled("breast_cancer"), {"labels": 20}),
    "half-moons": (lambda: arrays(*draw_moons(1000, 0)), {"labels": 10}),
    "5000 of MNIST": (images, {"labels": 100}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(OWN), help=f"of {', '.join(OWN)}")
    for name in parser.parse_args().names:
        errors = [by_length(name, seed) for seed in SEEDS]
        path = RESULTS / "lengths.json"
        result = json.loads(path.read_text()) if path.exists() else {"rows": {}}
        result |= {"command": "python -m benchmarks.lengths", "machine": machine(), "steps": STEPS}
        row = {"points": len(OWN[name][0]().x), "labels": OWN[name][1]["labels"], "unseen_training_error": errors}
        result["rows"][name] = row | {"commit": commit()}
        path.write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "lengths.md").write_text(table(result))


def by_length(name: str, seed: int) -> list[float]:
    """Percent of the points without a label that runs of `STEPS` get wrong."""
    source, given = OWN[name]
    data, config = source(), Config.for_dataset("own.npz", seed=seed, **given)
    an_epoch = steps_per_epoch(len(data.x), config.unlabeled_batch)
    errors: list[float] = []
    with TemporaryDirectory() as folder:
        for steps in STEPS:
            longer = dataclasses.replace(config, epochs=-(-steps // an_epoch))
            errors.append(round(unseen_error(longer, data, Path(folder) / "run", resume=bool(errors)), 2))
            print(name, seed, steps, errors[-1], flush=True)
    return errors


def table(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# How long to train on arrays of one's own\n",
        "Percent of the training points without a label that the preset of .npz files gets wrong, mean over "
        f"{len(SEEDS)} label",
        "seeds, by the number of steps of up to 100 labeled and 100 unlabeled examples.\n",
        "| data | points | labels | " + " | ".join(f"{steps} steps" for steps in result["steps"]) + " | commit |",
        "|---" * (len(result["steps"]) + 4) + "|",
    ]
    rows = {name: result["rows"][name] for name in OWN if name in result["rows"]}
    for name, row in rows.items():
        means = " | ".join(f"{mean:.2f}" for mean in np.mean(row["unseen_training_error"], 0))
        lines.append(f"| {name} | {row['points']} | {row['labels']} | {means} | `{row['commit']}` |")
    return "\n".join([*lines, "", f"`{result['command']}` on {result['machine']}.", ""])


if __name__ == "__main__":
    main()
