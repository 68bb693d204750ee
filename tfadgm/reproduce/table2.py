"""Table 2: log p(x) of binarised MNIST by models of x alone, each an importance-sampled estimate over the test images.

Every row is a run of its own in the folder `table2`, stopped and resumed like any other. With the names of some rows
only those are trained; the table holds every row that is complete. Two rows go side by side in two processes with
TF_NUM_INTRAOP_THREADS=1 each.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.evaluation.estimate import estimate
from tfadgm.evaluation.plots import COLOURS
from tfadgm.files import write_json, write_text
from tfadgm.provenance import commit, machine
from tfadgm.reproduce.common import plt, save, trained
from tfadgm.resolve import resolve
from tfadgm.run import Run, labeled_dataset
from tfadgm.training.build import build_model, count_flops

SAMPLES = 5000
NARROW = {"auxiliary_hidden_units": [100, 100]}
# What is trained, each for about an hour of one thread of a fast machine, and the published log p(x).
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "vae": ({"model": "vae", "epochs": 1000}, "-86.76"),
    "vae-2": ({"model": "vae", "stochastic_layers": 2, "epochs": 600}, "-85.33"),
    "nf_vae": ({"model": "nf_vae", "epochs": 300}, "-85.10 (a bound, 80 maps)"),
    "iwae": ({"model": "iwae", "importance_samples": 5, "epochs": 300}, "-84.78 (K = 50)"),
    "lvae-5": ({"model": "lvae", "stochastic_layers": 5, "epochs": 300}, "-82.12, -81.74 (K = 10, fine-tuned)"),
    "avae": ({"model": "avae", "epochs": 500}, "-84.59"),
    "avae-2": ({"model": "avae", "stochastic_layers": 2, "epochs": 300}, "-82.97"),
    "avae-narrow": ({"model": "avae", "epochs": 810, **NARROW}, "-84.59"),
}
STYLES = {1: "-", 2: "--"}  # of a curve, by layers of z
HEAD = f"""# log p(x) of MNIST

Nats a test image, permutation-invariant MNIST, {SAMPLES} importance samples an image, mean ± standard error over the
10,000 test images. Training images are binarised afresh every epoch, test images once by one seeded draw; before the
estimate, the statistics of batch normalisation are taken from one pass over the training images. K is the number of
importance samples in training. Networks have 500-500 rectified units with batch normalisation (heads have none), but
for the auxiliary variable of narrow rows 100-100, and in the ladder half as many in each further layer; 100 units of z
in the first layer and half as many in each further one, and as many of a; batches of 256, Adam with a step size of
0.002 that falls to zero over the second half, a warm-up of the divergences over 50 epochs, clipped gradients, and
exponentially averaged weights: the preset of these models on MNIST. Minutes are those of training alone, without looks
at test points, on machines of one kind whose speed differs by up to a factor of two; PFLOP are the operations of its
matrix products, which no machine changes. Published: table 2 of Maaløe et al. 2016, after longer trainings; its VAE
rows are those of Burda et al. 2016 with K = 1, its normalizing flow is a bound with 80 maps, where ours has 10. The VAE
is the control: the same networks without an auxiliary variable. Every row is one training, by one seed; the standard
error is that of the mean over images, which are the same in every row. The figure's curves are a watch, not these
numbers: 50 samples of the first 500 test images, with running statistics.

| model | layers of z | K | epochs | minutes | threads | PFLOP | log p(x) | effective samples | published | commit |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def reproduce(output: Path, names: list[str] | None = None, **choices: Any) -> dict[str, Any]:
    """Trains the rows `names`, by default all, and writes table2.md, .png, .pdf and .json into `output`.

    The table holds what is complete in `output`, and what the table there held, of the configurations of ROWS.
    """
    wanted = {name: {**row, **choices} for name, (row, _) in ROWS.items()}
    for name in ROWS if names is None else names:
        _complete(output / "table2" / name, wanted[name])
    path = output / "table2.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}  # whose runs may be on another machine
    for name in ROWS:
        if (row := output / "table2" / name / "row.json").exists():
            rows[name] = {**json.loads(row.read_text()), "curve": _curve(row.with_name("metrics.csv"))}
    result = {
        "command": "python -m tfadgm.reproduce table2",
        "machine": machine(),
        "samples": SAMPLES,
        "rows": {
            name: {**rows[name], "published": ROWS[name][1]}
            for name, choice in wanted.items()
            if name in rows and rows[name].get("choices") == _plain(choice)
        },
    }
    write_text(output / "table2.md", tables(result))
    _draw(result)
    return save(output, "table2", result)


def _plain(choices: dict[str, Any]) -> dict[str, Any]:
    """As a file gives them back."""
    return json.loads(json.dumps(choices))


def _complete(folder: Path, choices: dict[str, Any]) -> None:
    """Trains and estimates one row; `row.json` in its folder tells how, and that it is complete."""
    asked, run = Config.for_dataset("mnist", **choices), Run(folder)
    dataset = labeled_dataset(asked)
    config = resolve(asked, dataset)
    if run.exists and (kept := resolve(run.config, dataset)) != config:
        raise InputError(f"Expected the run of {config} in {folder}. Received {kept}: name another --output")
    if (folder / "row.json").exists():
        return
    code = commit()  # before a training that may last for hours
    _, _, report = trained(config, folder)
    batch = {"unlabeled": tf.constant(dataset.x[: config.unlabeled_batch])}
    flops = count_flops(build_model(config, dataset), batch)
    told = {
        "choices": choices,
        "model": config.model,
        "stochastic_layers": config.stochastic_layers,
        "importance_samples": config.importance_samples or 1,
        "epochs": report["epochs"],
        "minutes": round(report["seconds"] / 60, 1),
        "petaflop": round(flops * report["steps"] / 1e15, 3),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
        "commit": code,
        **estimate(folder, SAMPLES),
    }
    write_json(folder / "row.json", told, indent=1)


def _curve(path: Path) -> list[list[float]]:
    """Minutes of training and the estimate that it watches, by epoch."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [[round(float(row["seconds"]) / 60, 2), round(float(row["test_log_likelihood"]), 2)] for row in rows]


def _family(choices: dict[str, Any]) -> str:
    return choices["model"].upper() + ", narrow" * ("auxiliary_hidden_units" in choices)


def tables(result: dict[str, Any]) -> str:
    lines = [
        f"| {_family(row['choices'])} | {row['stochastic_layers']} | {row['importance_samples']} | {row['epochs']} | "
        f"{row['minutes']} | {row['threads']} | {row['petaflop']:.2f} | "
        f"{row['log_likelihood']:.2f} ± {row['standard_error']:.2f} | "
        f"{row['median_effective_samples']:.0f} | {row['published']} | `{row['commit']}` |"
        for row in result["rows"].values()
    ]
    return "\n".join([HEAD + "\n".join(lines), "", f"`{result['command']}` on {result['machine']}.", ""])


def _draw(result: dict[str, Any]) -> None:
    """Learning curves: an estimate with few samples of some test images, by minutes and by operations of training."""
    _, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    families = list(dict.fromkeys(_family(choices) for choices, _ in ROWS.values()))
    best = -np.inf
    for name, row in result["rows"].items():
        minutes, values = np.transpose(row["curve"])
        best = max(best, values.max())
        operations = row["petaflop"] * np.arange(1, len(values) + 1) / len(values)
        colour, style = COLOURS[families.index(_family(row["choices"]))], STYLES.get(row["stochastic_layers"], ":")
        for axis, cost in zip(axes, (minutes, operations), strict=True):
            axis.plot(cost, values, style, color=colour, label=name)
    if result["rows"]:
        axes[0].set_ylim(best - 12, best + 1)
        axes[0].legend(frameon=False, ncols=2)
    axes[0].set(xlabel="minutes of training", ylabel="log p(x) of 500 test images, nats, by 50 samples")
    axes[1].set(xlabel="operations of training, PFLOP")
