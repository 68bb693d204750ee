"""Searches for a good configuration, judged by the user's own labels: python -m tuner --help."""

from __future__ import annotations

import contextlib
import os
import sys

from tfadgm.cli import Parser, exit_status
from tfadgm.config import Config
from tuner import space
from tuner.apart import Apart
from tuner.chief import Chief, serve
from tuner.objectives import OBJECTIVES
from tuner.oracles import ALGORITHMS
from tuner.plan import make_plan, open_folder
from tuner.progress import shown, tell
from tuner.report import finish
from tuner.search import Search
from tuner.workers import take_role, threads_of, with_workers, work


def main() -> None:
    flags = make_parser().parse_args()
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes share it
    take_role(flags)
    if flags.worker:
        work(flags)
        return
    plan = make_plan(flags)
    if flags.show_space:
        print(space.table(plan.space, plan.fixed))
        return
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(open_folder(plan, flags.resume))
            threads = threads_of(flags.workers) if flags.workers > 1 else None
            judges = [stack.enter_context(Apart(plan.judge, threads)) for _ in range(flags.workers)]
            search = Search(plan.oracle(), judges[0], plan.folder)
            stack.enter_context(shown(plan, search.oracle))
            if flags.chief:
                serve(Chief(search.oracle, expect=True), flags.address)
            elif flags.workers > 1:
                with_workers(search.oracle, flags)
            else:
                search.search()
            tell(finish(plan, search.oracle, judges, flags.finalists, flags.finalist_seeds))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Resume with the same command and --resume") from None


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m tuner", description=__doc__, epilog="@FILE reads flags from a file.", fromfile_prefix_chars="@"
    )
    help_of = {name: field.metadata["help"] for name, field in Config.__dataclass_fields__.items()}
    parser.add_argument("--dataset", default="digits", help=help_of["dataset"] + " (default: digits)")
    parser.add_argument("--data-dir", help=help_of["data_dir"])
    parser.add_argument("--model", default="sdgm", help=help_of["model"] + " (default: sdgm)")
    parser.add_argument("--labels", type=int, help=help_of["labels"])
    parser.add_argument(
        "--seed", type=int, default=0, help="chooses labels, folds, weights, noise and trials (default: 0)"
    )
    parser.add_argument("--epochs", type=int, help="of every training (default: those of the preset)")
    parser.add_argument("--trials", type=int, default=20, help="how many; hyperband counts for itself (default: 20)")
    parser.add_argument("--algorithm", choices=ALGORITHMS, default="random", help="(default: random)")
    parser.add_argument("--objective", choices=OBJECTIVES, default="bound", help="(default: bound)")
    parser.add_argument("--folds", type=int, help="of the labels, for cv_error and combined (default: 5)")
    parser.add_argument("--validation", metavar="FILE.npz", help="x and y of your own, for val_error")
    parser.add_argument("--fix", action="append", default=[], metavar="NAME=VALUE", help="e.g. hidden=[500,500]")
    parser.add_argument(
        "--range", action="append", default=[], metavar="NAME=LOW:HIGH[:log]", help="e.g. learning_rate=1e-4:3e-3:log"
    )
    parser.add_argument("--show-space", action="store_true", help="print what would be searched, and end")
    parser.add_argument(
        "--finalists", type=int, help="best trials that are judged again (default: a third of --trials)"
    )
    parser.add_argument("--finalist-seeds", type=int, default=2, help="by how many more seeds (default: 2)")
    parser.add_argument("--directory", metavar="DIR", help="(default: tuning/<dataset>-<model>-<labels>-<seed>)")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that share the cores (default: 1)"
    )
    roles = parser.add_mutually_exclusive_group()
    roles.add_argument("--chief", action="store_true", help="serve the search to workers started by hand")
    roles.add_argument("--worker", type=lambda text: f"worker{text}", metavar="K", help="be worker K of such a chief")
    parser.add_argument("--address", default="127.0.0.1:7077", help="of the chief, HOST:PORT (default: 127.0.0.1:7077)")
    parser.add_argument("--resume", action="store_true", help="continue the search in its folder")
    return parser


if __name__ == "__main__":
    sys.exit(exit_status("tuner", main))
