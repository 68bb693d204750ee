"""Trains a classifier from a few labels and many unlabeled examples, or a model of the examples alone.

python train.py --help
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from pathlib import Path
from typing import Any

from tfadgm.cli import Parser, exit_status
from tfadgm.config import DENSITY, PRESETS, RECIPES, UNITS, Config
from tfadgm.errors import InputError
from tfadgm.runs import format_report, read_config, resumed_config, run


def main() -> None:
    flags = vars(make_parser().parse_args())
    run_dir, resume, recipe, path = (flags.pop(name) for name in ("run_dir", "resume", "recipe", "config"))
    flags = RECIPES.get(recipe, {}) | flags
    config = dataclasses.replace(read_config(Path(path)), **flags) if path else Config.for_dataset(**flags)
    if recipe and config.model in DENSITY:
        raise InputError(f"Expected --recipe {recipe} with a classifier. Received: {config.model}: leave it out")
    run_dir = run_dir or f"runs/{config.name}"
    if resume:
        config = resumed_config(Path(run_dir), flags)
    try:
        print(format_report(run(config, Path(run_dir), resume)))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Resume with: python train.py --run-dir {run_dir} --resume") from None
    print(f"\nModel, report and figures: {run_dir}")


def make_parser() -> Parser:
    """One flag a field of Config; the default of a flag is the preset of the data set."""
    parser = Parser(description=__doc__)
    types = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        presets = [f"{PRESETS[name][field.name]} for {name}" for name in PRESETS if field.name in PRESETS[name]]
        text = field.metadata["help"] + f" (default: {', '.join([str(field.default), *presets])})"
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, help=text, default=argparse.SUPPRESS, **_parsing(types[field.name]))
    parser.add_argument("--run-dir", help="folder of the run (default: runs/<dataset>-<model>-<labels>-<seed>)")
    parser.add_argument(
        "--recipe", choices=RECIPES, help="paper: Maaløe et al. 2016 without additions (default: the preset)"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="config.json of a run or best_config.json of a search, in place of the preset"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in its folder (default: a new run)")
    return parser


def _parsing(kind: Any) -> dict[str, Any]:
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if UNITS in (kind, *typing.get_args(kind)):
        return {"type": int, "nargs": "*", "metavar": "UNITS"}
    plain = next(part for part in (typing.get_args(kind) or (kind,)) if part is not type(None))
    return {"type": plain, "metavar": plain.__name__.upper()}


if __name__ == "__main__":
    sys.exit(exit_status("train.py", main))
