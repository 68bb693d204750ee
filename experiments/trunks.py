"""What convolutions are worth: the error with either trunk on sets of images.

    python -m experiments trunks --data-dir DIR              a folder of photographs, objects, MNIST
    python -m experiments trunks --data-dir DIR --sets coil20

DIR is that of `experiments.panel`. Of its sets five labels of each class are seen; of MNIST 100 labels, 20 epochs.
Results go to results/trunks.json and results/trunks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments import panel
from experiments.grid import JOBS, RUNS, Cell, collect, complete
from experiments.results import RESULTS, command_of, load, origin, parser, save, table
from tfadgm.config import Config
from tfadgm.files import write_text
from tfadgm.nn.trunks import TRUNKS

MNIST, EPOCHS = "mnist", 20
SETS = "hymenoptera", "coil20", MNIST
KEPT = "unseen_training_error", "test_error", "whole_process_seconds", "threads", "commit"


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("--data-dir", required=True, help="the folder of the sets")
    flags.add_argument("--sets", nargs="+", metavar="SET", choices=SETS, default=SETS, help=f"of: {', '.join(SETS)}")
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    panel.declare([own for own in asked.sets if own != MNIST])
    cells = {(own, trunk): cell(own, asked.data_dir, trunk) for own in asked.sets for trunk in TRUNKS}
    complete(list(cells.values()), asked.jobs)
    rows = load(name).get("rows", {})
    for (own, trunk), one in cells.items():
        found = collect(one) or {}
        rows.setdefault(own, {})[trunk] = {key: found.get(key) for key in KEPT}
    result = {**origin(f"{name} --data-dir DIR"), "rows": rows}
    save(name, result)
    write_text(RESULTS / f"{name}.md", tables(result))


def cell(name: str, data_dir: str, trunk: str) -> Cell:
    config = panel.cell(name, data_dir, 0).config if name != MNIST else Config.for_dataset(MNIST, epochs=EPOCHS)
    return Cell(RUNS / "trunks" / f"{name}, {trunk}", config.replace(trunk=trunk, estimate=False))


def tables(result: dict[str, Any]) -> str:
    """results/trunks.md."""
    lines = []
    for name, row in result["rows"].items():
        for trunk, found in row.items():
            seconds = found["whole_process_seconds"]
            told = f"{found['unseen_training_error']:.1f}", f"{found['test_error']:.1f}", f"{seconds or 0:.0f}"
            lines.append((name, trunk, *told, f"`{found['commit'][:8]}`"))
    head = "| set | trunk | unseen training error, % | test error, % | seconds | commit |"
    return "\n".join([HEAD, *table(head, lines), "", f"`{command_of(result)}` on {result['machine']}.", ""])


HEAD = f"""# Convolutions

Error of the defaults with fully connected networks (mlp) and with convolutions (conv), one draw of labels and weights:
five labels of each class, MNIST with 100 labels and {EPOCHS} epochs. Seconds are those of a whole process on one
thread, with others beside it, from start to report; 0 where it was stopped and went on. The trunk may be chosen by the
error on training points whose labels training does not see, never by that on test points. A convolutional step of MNIST
takes half a second, so its {EPOCHS} epochs would take about two hours, and were not run.
"""
