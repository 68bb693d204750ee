"""Searches for a good configuration, judged by the user's own labels: python -m tuner --help."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from tfadgm.cli import Parser, exit_status, path
from tfadgm.config import RUN
from tuner import space
from tuner.objectives import OBJECTIVES
from tuner.process import ScorerProcess
from tuner.progress import shown, tell
from tuner.spec import ALGORITHMS, make_spec, open_folder


def main(arguments: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(arguments)
    from tuner.chief import Chief, serve  # Keras Tuner, which an installation may lack
    from tuner.keras_tuner_private import oracle_of
    from tuner.report import finish
    from tuner.search import Search
    from tuner.workers import take_role, threads_of, work

    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes share it
    take_role(flags)
    if flags.worker:
        work(flags)
        return
    spec = make_spec(flags)
    if flags.show_space:
        print(space.table(spec.space, spec.fixed))
        return
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(open_folder(spec, flags.resume))
            threads = threads_of(flags.workers) if flags.workers > 1 else None
            scorers = [stack.enter_context(ScorerProcess(spec.scorer, threads)) for _ in range(flags.workers)]
            oracle = oracle_of(spec)
            oracle.open(spec.folder)
            stack.enter_context(shown(spec, oracle))
            if flags.chief:
                serve(Chief(oracle, expect=True), flags.address)
            else:
                Search(oracle, spec.folder, bool(spec.scorer.base.decay)).run_all(scorers)
            tell(finish(spec, oracle, scorers, flags.finalists, flags.finalist_seeds))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Resume with the same command and --resume") from None


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m tuner", description=__doc__, epilog="@FILE reads flags from a file.", fromfile_prefix_chars="@"
    )
    add = parser.add_argument
    add("--dataset", default="digits", help=RUN["dataset"].help + " (default: digits)")
    add("--data-dir", help=RUN["data_dir"].help)
    add("--target", help=RUN["target"].help)
    add("--columns", help=RUN["columns"].help)
    add("--image-size", type=int, help=RUN["image_size"].help)
    add("--strict", action="store_true", default=None, help=RUN["strict"].help)
    add("--model", default="sdgm", help=RUN["model"].help + " (default: sdgm)")
    add("--labels", type=int, help=RUN["labels"].help)
    add("--seed", type=int, default=0, help="chooses labels, folds, weights, noise and trials (default: 0)")
    add("--epochs", type=int, help="of every training (default: those of the preset)")
    add("--trials", type=int, default=20, help="how many; hyperband counts for itself (default: 20)")
    add("--algorithm", choices=ALGORITHMS, default="random", help="(default: random)")
    add("--objective", choices=OBJECTIVES, default="bound", help="(default: bound)")
    add("--folds", type=int, help="of the labels, for cv_error and combined (default: 5)")
    add("--validation", metavar="FILE", type=path, help="rows with labels of your own, for val_error")
    add("--fix", action="append", default=[], metavar="NAME=VALUE", help="e.g. hidden=[500,500]")
    add("--range", action="append", default=[], metavar="NAME=LOW:HIGH[:log]", help="e.g. learning_rate=1e-4:3e-3:log")
    add("--show-space", action="store_true", help="print what would be searched, and end")
    add("--finalists", type=int, help="best trials that are judged again (default: a third of --trials)")
    add("--finalist-seeds", type=int, default=2, help="by how many more seeds (default: 2)")
    add("--directory", metavar="DIR", type=path, help="(default: tuning/<dataset>-<model>-<labels>-<seed>)")
    add("--workers", type=int, default=1, metavar="N", help="processes that share the cores (default: 1)")
    roles = parser.add_mutually_exclusive_group()
    roles.add_argument("--chief", action="store_true", help="serve the search to workers started by hand")
    roles.add_argument("--worker", type=lambda text: f"worker{text}", metavar="K", help="be worker K of such a chief")
    add("--address", default="127.0.0.1:7077", help="of the chief, HOST:PORT (default: 127.0.0.1:7077)")
    add("--resume", action="store_true", help="continue the search in its folder, with more --trials if you like")
    return parser


if __name__ == "__main__":
    sys.exit(exit_status("tuner", main))
