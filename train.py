"""Trains a classifier from a few labels and many unlabeled examples: python train.py --help."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import typing
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on hardware it did not find

from tfadgm.config import PRESETS, Config
from tfadgm.errors import InputError, TrainingError


def main(arguments: list[str] | None = None) -> int:
    flags = vars(make_parser().parse_args(arguments))
    run_dir, resume = flags.pop("run_dir"), flags.pop("resume")
    from tfadgm.runs import format_report, resumed_config, run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config = Config.for_dataset(**{"dataset": Config.dataset, **flags}) if not (resume and run_dir) else None
        run_dir = Path(run_dir or f"runs/{config.name}")
        if resume:
            config = resumed_config(run_dir, flags)
        print(format_report(run(config, run_dir, resume)))
        print(f"\nModel, report and figures: {run_dir}")
        return 0
    except InputError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ntrain.py: interrupted. Resume with: python train.py --run-dir {run_dir} --resume", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """One flag a field of Config; the default of a flag is the preset of the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    types = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        presets = [f"{PRESETS[name][field.name]} for {name}" for name in PRESETS if field.name in PRESETS[name]]
        text = field.metadata["help"] + f" (default: {', '.join([str(field.default), *presets])})"
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, help=text, default=argparse.SUPPRESS, **_parsing(types[field.name]))
    parser.add_argument("--run-dir", help="folder of the run (default: runs/<dataset>-<model>-<labels>-<seed>)")
    parser.add_argument("--resume", action="store_true", help="continue the run in its folder (default: a new run)")
    return parser


def _parsing(kind: Any) -> dict[str, Any]:
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind == tuple[int, ...]:
        return {"type": int, "nargs": "*", "metavar": "UNITS"}
    plain = next(part for part in (typing.get_args(kind) or (kind,)) if part is not type(None))
    return {"type": plain, "metavar": plain.__name__.upper()}


if __name__ == "__main__":
    sys.exit(main())
