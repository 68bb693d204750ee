"""What each choice is worth: the error on a part of MNIST's training set that training does not see.

    python -m benchmarks.ablation                                  the table of what has been run
    python -m benchmarks.ablation plain plain,batch_norm=false --seeds 0 1
    python -m benchmarks.ablation tuned,adversarial_radius=2       one factor changed in the preset of MNIST

A variant is a recipe of `RECIPE`, then changed fields of the configuration. The last 10,000 of the 60,000 training
points are held out and judge; the test points are not read at all. Each training is checkpointed in `runs/ablation/`
and goes on where it was stopped. Two trainings side by side want TF_NUM_INTRAOP_THREADS=1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

import keras
import numpy as np

from benchmarks.seeds import RESULTS, ROOT
from tfadgm.config import RECIPES, Config
from tfadgm.data.sources import Dataset, mnist
from tfadgm.data.split import choose_labels
from tfadgm.provenance import commit, machine
from tfadgm.training import train

COMMAND = "python -m benchmarks.ablation"
RUNS = ROOT / "runs" / "ablation"
HELD_OUT = 10_000
EPOCHS = 20
RECIPE: dict[str, dict[str, Any]] = {
    "plain": {**RECIPES["paper"], "marginalization": "rao_blackwellised", "learning_rate": 1e-3,
              "weight_average": 0.999, "labeled_batch": 100, "adversarial_weight": 1.0},
    "tuned": {},
}  # fmt: skip
HEAD = """# What each choice is worth

Error in percent on 10,000 points of MNIST's training set that training does not see, with 100 labels among the other
50,000. *Binarised* is the error at the end on inputs drawn as the plain recipe draws them; all others are on grey
inputs. One label seed is a noisy judge: differences below 0.2 say little. Seconds are those of a run with another
beside it.
"""
TITLES = {
    "plain": """## The plain recipe

An SDGM with Rao-Blackwellised marginalization, Adam at 1e-3, weights averaged over about 1000 steps, batches of
100 + 100 and the paper's objective. A row tells what it changes in it.
""",
    "tuned": """## The preset of MNIST

`python train.py --dataset mnist`, but for 20 epochs. A row tells what it changes in it.
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="RECIPE[,FIELD=VALUE...]", help=f"of {', '.join(RECIPE)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="label seeds (default: 0)")
    arguments = parser.parse_args()
    for variant in arguments.variants:
        for seed in arguments.seeds:
            measure(variant, seed)
    RESULTS.joinpath("ablation.md").write_text(table(collect()))


def choices(variant: str) -> dict[str, Any]:
    """`tuned,learning_rate=3e-4,model=adgm` as fields of the configuration."""
    recipe, *changes = variant.split(",")
    pairs = dict(change.split("=") for change in changes)
    kinds = {field.name: field.type for field in dataclasses.fields(Config)}
    changed = {name: value if kinds[name] == "str" else json.loads(value) for name, value in pairs.items()}
    return {"epochs": EPOCHS, **RECIPE[recipe], **changed}


def measure(variant: str, seed: int) -> None:
    """Trains a variant in `runs/ablation/<variant>-<seed>` and writes its scores to `scores.json` there."""
    folder = RUNS / f"{variant}-{seed}"
    if (folder / "scores.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = Config.for_dataset("mnist", seed=seed, **choices(variant))
    dataset = held_out(mnist())
    keras.backend.clear_session()
    resume = any((folder / "checkpoint").glob("[0-9]*"))
    indices = choose_labels(dataset.y, dataset.class_names, config.labels, seed)
    model, progress = train(config, dataset, indices, folder, resume)
    drawn = np.random.default_rng(0).random(dataset.x_test.shape) * 255 < dataset.x_test
    binarised = model.predict(255 * drawn.astype(np.uint8), batch_size=1000, verbose=0).argmax(1)
    errors = [round(row["test_error"], 2) for row in progress.history]
    scores = {
        "seed": seed,
        "config": {key: value for key, value in dataclasses.asdict(config).items() if key != "data_dir"},
        "errors": errors,
        "binarised_error": round(100 * float(np.mean(binarised != dataset.y_test)), 2),
        "seconds_an_epoch": round(progress.seconds / progress.epoch, 1),
        "commit": commit(),
    }
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(variant, seed, errors[4::5], flush=True)


def held_out(dataset: Dataset) -> Dataset:
    """The last points of the training set in place of the test points."""
    return dataclasses.replace(
        dataset,
        x=dataset.x[:-HELD_OUT],
        y=dataset.y[:-HELD_OUT],
        x_test=dataset.x[-HELD_OUT:],
        y_test=dataset.y[-HELD_OUT:],
    )


def collect() -> list[dict[str, Any]]:
    """Every run that is complete, here or in results/ablation.json; the least accurate first."""
    path = RESULTS / "ablation.json"
    known = json.loads(path.read_text())["runs"] if path.exists() else []
    found = [json.loads(scores.read_text()) for scores in RUNS.glob("*/scores.json")]
    rows = {json.dumps(row["config"], sort_keys=True): row for row in [*known, *found]}
    ordered = sorted(rows.values(), key=lambda row: -row["errors"][-1])
    path.write_text(json.dumps({"command": COMMAND, "machine": machine(), "runs": ordered}, indent=1) + "\n")
    return ordered


def table(rows: list[dict[str, Any]]) -> str:
    """The runs as Markdown, each by what it changes in the recipe that it is closer to."""
    parts: dict[str, list[str]] = {recipe: [] for recipe in RECIPE}
    for row in rows:
        changes = {recipe: changed(row, recipe) for recipe in RECIPE}
        recipe = min(changes, key=lambda name: len(changes[name]))
        at = [f"{row['errors'][epoch]:.2f}" if epoch < len(row["errors"]) else "" for epoch in (4, 9, 19)]
        parts[recipe].append(
            f"| {', '.join(changes[recipe]) or '(nothing)'} | {row['seed']} | {' | '.join(at)} | "
            f"{row['errors'][-1]:.2f} | {row['binarised_error']:.2f} | {row['seconds_an_epoch']} | `{row['commit']}` |"
        )
    header = (
        "| changed | seed | error after 5 | 10 | 20 epochs | at the end | binarised | seconds an epoch | commit |\n"
        + "|---" * 9
        + "|"
    )
    tables = ["\n".join([TITLES[recipe], header, *lines, ""]) for recipe, lines in parts.items()]
    return "\n".join([HEAD, *tables, f"`{COMMAND} VARIANT ...` on {machine()}.", ""])


def changed(row: dict[str, Any], recipe: str) -> list[str]:
    """The fields of a run that differ from the recipe; a field that is newer than the run had its default."""
    base = json.loads(Config.for_dataset("mnist", **choices(recipe)).to_json())
    fields = json.loads(Config().to_json()) | row["config"]
    return [
        f"{name} {fields[name]}" for name in base if name not in ("seed", "data_dir") and fields[name] != base[name]
    ]


if __name__ == "__main__":
    main()
