"""Repeats one result of Maaløe et al. 2016, from data to picture and numbers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tfadgm.cli import Parser, exit_status

NAMES = {"fig1a": "distributions in the plane, fitted with and without an auxiliary variable"}


def main() -> None:
    parser = Parser(prog="python -m tfadgm.reproduce", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="; ".join(f"{name}: {text}" for name, text in NAMES.items()))
    parser.add_argument("--output", type=Path, default=Path("reproduced"), help="folder (default: reproduced)")
    parser.add_argument("--seeds", type=int, default=20, help="how many runs of each fit (default: 20)")
    flags = parser.parse_args()
    importlib.import_module(f"tfadgm.reproduce.{flags.name}").reproduce(flags.output, flags.seeds)


if __name__ == "__main__":
    sys.exit(exit_status("tfadgm.reproduce", main))
