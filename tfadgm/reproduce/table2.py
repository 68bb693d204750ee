"""Table 2: log p(x) of binarised MNIST by models of x alone, each an importance-sampled estimate over the test images.

Every row is a run of its own in the folder `table2`, stopped and resumed like any other. With the names of some rows
only those are trained; the table holds every row that is complete. Two rows go side by side in two processes with
TF_NUM_INTRAOP_THREADS=1 each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.evaluation import estimate
from tfadgm.figures import COLOURS
from tfadgm.provenance import commit, machine
from tfadgm.reproduce.common import save, trained
from tfadgm.runs import read_config
from tfadgm.training import build_model, count_flops, write_text

SAMPLES = 5000
# What is trained, for about as long as the others, and the published log p(x).
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "vae": ({"model": "vae", "epochs": 1000}, "-86.76"),
    "vae-2": ({"model": "vae", "stochastic_layers": 2, "epochs": 600}, "-85.33"),
    "nf_vae": ({"model": "nf_vae", "epochs": 300}, "-85.10 (a bound, 80 maps)"),
    "iwae": ({"model": "iwae", "importance_samples": 5, "epochs": 300}, "-84.78 (K = 50)"),
    "lvae-5": ({"model": "lvae", "stochastic_layers": 5, "epochs": 300}, "-82.12, -81.74"),
    "avae": ({"model": "avae", "auxiliary_hidden_units": (100, 100), "epochs": 810}, "-84.59"),
    "avae-2": (
        {"model": "avae", "stochastic_layers": 2, "auxiliary_hidden_units": (100, 100), "epochs": 490},
        "-82.97",
    ),
}
HEAD = f"""# log p(x) of MNIST

Nats a test image, permutation-invariant MNIST, {SAMPLES} importance samples an image, mean ± standard error over the
10,000 test images. Training images are binarised afresh every epoch, test images once by one seeded draw; before the
estimate, the statistics of batch normalisation are taken from one pass over the training images. K is the number of
importance samples in training. All have networks of 500-500 rectified units with batch normalisation (heads have none),
those of an auxiliary variable 100-100 (with 500-500 a step costs twice the VAE's, so a quarter more), 100 units of z in
the first layer and half as many in each further one, as many of a, batches of 256, Adam with a step size of 0.002 that
falls to zero over the second half, a warm-up of the divergences over 50 epochs, clipped gradients, and exponentially
averaged weights: the preset of these models on MNIST. Minutes are those of training alone, without looks at test
points, on machines of one kind whose speed differs by up to a factor of two; PFLOP are the operations of its matrix
products, which no machine changes. Published: table 2 of Maaløe et al. 2016, after longer trainings; its VAE rows are
those of Burda et al. 2016 with K = 1, its normalizing flow is a bound with 80 maps, where ours has 10. The VAE is the
control: the same networks without an auxiliary variable. The figure's curves are a watch, not these numbers: 50 samples
of the first 500 test images, with running statistics.

| model | layers of z | K | epochs | minutes | threads | PFLOP | log p(x) | effective samples | published | commit |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def reproduce(output: Path, names: list[str] | None = None, **choices: Any) -> dict[str, Any]:
    """Trains the rows `names`, by default all, and writes table2.md, .png, .pdf and .json into `output`."""
    for name in ROWS if names is None else names:
        _complete(output / "table2" / name, Config.for_dataset("mnist", **{**ROWS[name][0], **choices}))
    path, folders = output / "table2.json", {name: output / "table2" / name for name in ROWS}
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}  # whose runs may be on another machine
    rows |= {name: _row(name, folder) for name, folder in folders.items() if (folder / "row.json").exists()}
    result = {
        "command": "python -m tfadgm.reproduce table2",
        "machine": machine(),
        "importance_samples": SAMPLES,
        "rows": {name: rows[name] for name in ROWS if name in rows},
    }
    write_text(output / "table2.md", _table(result))
    _draw(result)
    save(output, "table2", result)
    return result


def _complete(folder: Path, config: Config) -> None:
    """Trains and estimates one row; `row.json` in its folder tells how, and that it is complete."""
    if (folder / "config.json").exists() and (kept := read_config(folder / "config.json")) != config:
        raise InputError(f"Expected the run of {config} in {folder}. Received {kept}: name another --output")
    if (folder / "row.json").exists():
        return
    code = commit()  # before a training that may last for hours
    _, dataset, report = trained(config, folder)
    flops = count_flops(
        build_model(config, dataset, 0), {"unlabeled": tf.constant(dataset.x[: config.unlabeled_batch])}
    )
    told = {
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
    write_text(folder / "row.json", json.dumps(told, indent=1) + "\n")


def _row(name: str, folder: Path) -> dict[str, Any]:
    curve = np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)
    points = np.atleast_1d(curve)[["seconds", "test_log_likelihood"]]
    return {
        **json.loads((folder / "row.json").read_text()),
        "published": ROWS[name][1],
        "curve": [[round(seconds / 60, 2), round(value, 2)] for seconds, value in points.tolist()],
    }


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"| {row['model'].upper()} | {row['stochastic_layers']} | {row['importance_samples']} | {row['epochs']} | "
        f"{row['minutes']} | {row['threads']} | {row['petaflop']:.2f} | "
        f"{row['log_likelihood']:.2f} ± {row['standard_error']:.2f} | "
        f"{row['median_effective_samples']:.0f} | {row['published'] or '-'} | `{row['commit']}` |"
        for row in result["rows"].values()
    ]
    return "\n".join([HEAD + "\n".join(lines), "", f"`{result['command']}` on {result['machine']}.", ""])


def _draw(result: dict[str, Any]) -> None:
    """Learning curves: an estimate with few samples of some test images, by minutes and by operations of training."""
    _, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    best = -np.inf
    for (name, row), colour in zip(result["rows"].items(), COLOURS, strict=False):
        minutes, values = np.transpose(row["curve"])
        best = max(best, values.max())
        operations = row["petaflop"] * np.arange(1, len(values) + 1) / len(values)
        for axis, cost in zip(axes, (minutes, operations), strict=True):
            axis.plot(cost, values, color=colour, label=name)
    if result["rows"]:
        axes[0].set_ylim(best - 12, best + 1)
        axes[0].legend(frameon=False, ncols=2)
    axes[0].set(xlabel="minutes of training", ylabel="log p(x) of 500 test images, nats, by 50 samples")
    axes[1].set(xlabel="operations of training, PFLOP")
