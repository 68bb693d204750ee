"""The commands: how they read flags, what they call, how they end.

tfadgm inspect | train | predict | export | evaluate | tune | reproduce
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tfadgm.errors import InputError, TrainingError, VerificationError, line
from tfadgm.hyperparameters import Hyperparameter, Units

COMMANDS = ("inspect", "train", "predict", "export", "evaluate", "tune", "reproduce")


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are InputErrors, told in one line like all others.

    A file of flags, where it takes one, is read like lines of a shell.
    """

    def error(self, message: str) -> NoReturn:
        raise InputError(f"Expected flags as in --help. Received: {message}")

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        try:
            return shlex.split(arg_line, comments=True)
        except ValueError as error:
            raise InputError(
                f"Expected a file of flags as a shell reads them. Received {arg_line!r}: {error}"
            ) from None

    def add_hyperparameter(self, own: Hyperparameter, help: str, old: str | None = None) -> None:
        """The flag of a hyperparameter; `old` is its name in version 0.1, which `--help` does not show."""
        flag = "--" + own.name.replace("_", "-")
        options = {"default": argparse.SUPPRESS, "dest": own.name, **_parsing(own)}
        self.add_argument(flag, help=help.replace("%", "%%"), **options)
        if old is not None:
            self.add_argument("--" + old.replace("_", "-"), help=argparse.SUPPRESS, **options)


def path(text: str) -> Path:
    """A path as a shell would have it: `~` is the home folder, also after `=`."""
    return Path(text).expanduser()


def _parsing(own: Hyperparameter) -> dict[str, Any]:
    if own.kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if Units in own.kinds:
        return {"type": int, "nargs": "*", "metavar": "UNITS"}
    plain = next(kind for kind in own.kinds if kind is not type(None))
    return {"type": plain, "metavar": plain.__name__.upper()}


def exit_status(name: str, main: Callable[[], None]) -> int:
    """Runs `main`: 0 if it ends well, 2 for bad input, 1 if the work itself fails, 130 if the user stops it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter shows its number
    try:
        main()
    except (InputError, TrainingError, VerificationError) as error:
        print(f"{name}: {line(error)}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as interrupt:
        print(f"\n{name}: interrupted. {interrupt}".rstrip(), file=sys.stderr)
        return 130
    return 0


# train


def train(arguments: Sequence[str] | None = None) -> None:
    """Trains a classifier from a few labels and many unlabeled examples, or a density of the examples alone."""
    from tfadgm.config import Config, recipe
    from tfadgm.pipeline import format_report, run
    from tfadgm.run import Run, default_folder

    flags = vars(train_parser().parse_args(arguments))
    run_dir, resume, name, kept = (flags.pop(name) for name in ("run_dir", "resume", "recipe", "config"))
    base = Config.read(kept) if kept else Config.for_dataset(**flags)
    if name and base.replace(**flags).is_density:
        raise InputError(f"Expected --recipe {name} with a classifier. Received: {flags['model']}: leave it out")
    values = (recipe(name) if name else {}) | flags
    config = base.replace(**values)
    folder = run_dir or default_folder(config)
    try:
        report = run(config, folder, resume, changes=values)
    except KeyboardInterrupt:
        again = shlex.join(["python", "train.py", "--run-dir", str(folder), "--resume"])
        raise KeyboardInterrupt(f"Resume with: {again}" if Run(folder).exists else "") from None
    print(format_report(report))
    print(f"\nModel, report, figures and predictions: {folder}")


def train_parser() -> Parser:
    """One flag a hyperparameter; the default of a flag is the preset of the data set."""
    from tfadgm.config import OLD_NAMES, RUN, all_hyperparameters, recipes
    from tfadgm.models import MODELS

    parser = Parser(prog="train.py", description=train.__doc__)
    old = {new: name for name, new in OLD_NAMES.items()}
    for name, own in RUN.items():
        parser.add_hyperparameter(own, own.help + _default(own), old.get(name))
    for name, found in all_hyperparameters().items():
        having = [model for model, _ in found]
        of = f" ({', '.join(having)})" if len(having) < len(MODELS) else ""
        parser.add_hyperparameter(found[0][1], found[0][1].help + of + _default(found[0][1]), old.get(name))
    parser.add_argument(
        "--run-dir", type=path, help="folder of the run (default: runs/<dataset>-<model>-<labels>-<seed>)"
    )
    parser.add_argument(
        "--recipe", choices=sorted(recipes()), help="paper: Maaløe et al. 2016 without additions (default: the preset)"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=path,
        help="config.json of a run or best_config.json of a search, in place of the preset",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in its folder (default: a new run)")
    return parser


def _default(own: Hyperparameter) -> str:
    from tfadgm.config import OWN_FILE, preset
    from tfadgm.data.sources import SOURCES

    presets = {name: preset(name, "sdgm").get(own.name) for name in (*SOURCES, OWN_FILE)}
    told = [
        f"{_listed(value)} for {'your own data' if name == OWN_FILE else name}"
        for name, value in presets.items()
        if value is not None and own.name != "dataset"
    ]
    return f" (default: {', '.join([_listed(own.default), *told])})"


def _listed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


# export


def export(arguments: Sequence[str] | None = None) -> None:
    """Exports a trained run for TF Serving."""
    from tfadgm.serving.commands import export_run, instructions

    flags = export_parser().parse_args(arguments)
    name = flags.name or flags.run_dir.resolve().name
    print(instructions(export_run(flags.run_dir, flags.output, name, flags.version, flags.samples)))


def export_parser() -> Parser:
    parser = Parser(prog="export.py", description=export.__doc__)
    parser.add_argument("run_dir", metavar="RUN_DIR", type=path, help="folder of a finished run of train.py")
    parser.add_argument("--output", required=True, metavar="DIR", type=path, help="folder of all models of the server")
    parser.add_argument("--name", help="of the model on the server (default: the name of the run folder)")
    parser.add_argument("--version", type=int, metavar="N", help="(default: one more than the newest)")
    parser.add_argument("--samples", type=int, metavar="S", help="of a, over which a prediction averages (default: 16)")
    return parser


# evaluate


def evaluate(arguments: Sequence[str] | None = None) -> None:
    """Estimates log p(x) of the test points of a run and keeps every point's in its folder."""
    from tfadgm.evaluation.estimate import estimate, estimates

    flags = evaluate_parser().parse_args(arguments)
    for name in ("samples", "points"):
        if (value := getattr(flags, name)) is not None and value < 1:
            raise InputError(f"Expected {name} to be 1 or more. Received: {value}")
    if not 0 <= flags.seed < 2**31:
        raise InputError(f"Expected seed to be from 0 to {2**31 - 1}. Received: {flags.seed}")
    told = estimate(flags.run_dir, flags.samples, flags.points, memory=flags.memory, seed=flags.seed)
    print(
        f"log p(x) {told['log_likelihood']:.2f} ± {told['standard_error']:.2f} nats of {told['nats_of']} over "
        f"{told['points']} test points, {flags.samples} importance samples each, half of the points with "
        f"{told['median_effective_samples']:.0f} effective ones or more. Every point's: "
        f"{estimates(flags.run_dir, flags.samples, flags.points)}"
    )


def evaluate_parser() -> Parser:
    from tfadgm.evaluation.estimate import MEMORY

    parser = Parser(prog="tfadgm evaluate", description=evaluate.__doc__)
    parser.add_argument("run_dir", type=path, metavar="RUN_DIR", help="a finished run")
    parser.add_argument("--samples", type=int, default=5000, help="importance samples of a point (default: 5000)")
    parser.add_argument("--points", type=int, help="the first so many test points (default: all)")
    parser.add_argument("--memory", type=int, default=MEMORY, help=f"MiB that the process may take (default: {MEMORY})")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    return parser


# All of them


def command(name: str) -> Callable[[Sequence[str]], None]:
    """What `tfadgm NAME` calls."""
    modules = {
        "inspect": "tfadgm.inspect",
        "predict": "tfadgm.predict",
        "tune": "tuner.__main__",
        "reproduce": "tfadgm.reproduce.__main__",
    }
    if name in modules:
        return importlib.import_module(modules[name]).main
    return typing.cast(Callable, {"train": train, "export": export, "evaluate": evaluate}[name])


def main() -> None:
    """tfadgm COMMAND [FLAGS]"""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in COMMANDS:
        asked = {"-h", "--help"} & set(arguments[:1])
        print(f"usage: tfadgm {{{','.join(COMMANDS)}}} ...\n\ntfadgm COMMAND --help tells more.",
              file=sys.stdout if asked else sys.stderr)  # fmt: skip
        sys.exit(0 if asked else 2)
    name, *rest = arguments
    sys.exit(exit_status(f"tfadgm {name}", lambda: command(name)(rest)))
