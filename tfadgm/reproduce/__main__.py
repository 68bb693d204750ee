"""Repeats one result of Maaløe et al. 2016, from data to picture and numbers."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tfadgm.cli import Parser, exit_status, path
from tfadgm.errors import InputError
from tfadgm.files import writing

NAMES = {
    "table2": "log p(x) of MNIST by models without labels",
    "fig1a": "distributions in the plane, fitted with and without an auxiliary variable",
    "fig1b-d": "half-moons from six labels",
    "fig2": "the auxiliary variable of an SDGM with 100 labels of MNIST",
    "samples": "its conditional samples and analogies",
}


def main(arguments: Sequence[str] | None = None) -> None:
    from tfadgm.reproduce import table2

    parser = Parser(prog="python -m tfadgm.reproduce", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="; ".join(f"{name}: {text}" for name, text in NAMES.items()))
    parser.add_argument("--output", type=path, default=Path("reproduced"), help="folder (default: reproduced)")
    parser.add_argument("--run-dir", type=path, help="a run to draw (default: made in the folder, and kept)")
    parser.add_argument("--seeds", type=int, help="of fig1a: how many runs of each fit (default: 20)")
    parser.add_argument(
        "--rows", nargs="+", choices=table2.ROWS, help="of table2: which models to train (default: all)"
    )
    flags = parser.parse_args(arguments)
    _check_used(flags)
    command = importlib.import_module(f"tfadgm.reproduce.{flags.name.replace('-', '')}").reproduce
    with writing(flags.output):
        flags.output.mkdir(parents=True, exist_ok=True)
    command(flags.output, {"fig1a": flags.seeds or 20, "table2": flags.rows}.get(flags.name, flags.run_dir))
    print(
        f"{flags.name}: {flags.output}/{flags.name.replace('-', '')}.png, .pdf and .json"
        + ", table2.md" * (flags.name == "table2")
    )


def _check_used(flags: argparse.Namespace) -> None:
    """Raises InputError for a flag that belongs to another name, or has no use."""
    of = {"seeds": ("fig1a",), "rows": ("table2",), "run_dir": ("fig1b-d", "fig2", "samples")}
    for flag, names in of.items():
        if getattr(flags, flag) is not None and flags.name not in names:
            raise InputError(
                f"Expected --{flag.replace('_', '-')} with {', '.join(names)} only. Received: {flags.name}"
            )
    if flags.run_dir is not None and not (flags.run_dir / "config.json").exists():
        raise InputError(f"Expected the folder of a run. Received {flags.run_dir}, which has no config.json")
    if flags.seeds is not None and flags.seeds < 1:
        raise InputError(f"Expected --seeds to be 1 or more. Received: {flags.seeds}")


if __name__ == "__main__":
    sys.exit(exit_status("tfadgm.reproduce", main))
