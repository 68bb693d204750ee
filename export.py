"""Exports a trained run for TF Serving: python export.py --help."""

from __future__ import annotations

import sys
from pathlib import Path

from tfadgm.cli import Parser, exit_status
from tfadgm.serving.commands import export_run, instructions


def main() -> None:
    flags = make_parser().parse_args()
    run_dir = Path(flags.run_dir)
    path = export_run(run_dir, flags.output, flags.name or run_dir.resolve().name, flags.version, flags.samples)
    print(instructions(path))


def make_parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run of train.py")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of all models of the server")
    parser.add_argument("--name", help="of the model on the server (default: the name of the run folder)")
    parser.add_argument("--version", type=int, metavar="N", help="(default: one more than the newest)")
    parser.add_argument("--samples", type=int, metavar="S", help="of a, over which a prediction averages (default: 16)")
    return parser


if __name__ == "__main__":
    sys.exit(exit_status("export.py", main))
