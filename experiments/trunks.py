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
from tfadgm.resolve import default_epochs

MNIST, EPOCHS = "mnist", 20
SETS = "hymenoptera", "coil20", MNIST
LONGER = "conv, twice the steps"
KEPT = "unseen_training_error", "test_error", "commit"


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("--data-dir", required=True, help="the folder of the sets")
    flags.add_argument("--sets", nargs="+", metavar="SET", choices=SETS, default=SETS, help=f"of: {', '.join(SETS)}")
    flags.add_argument("--jobs", type=int, default=JOBS, help=f"trainings at a time (default: {JOBS})")
    asked = flags.parse_args(arguments)
    panel.declare([own for own in asked.sets if own != MNIST])
    cells = {(own, variant): cell(own, asked.data_dir, variant) for own in asked.sets for variant in variants(own)}
    complete(list(cells.values()), asked.jobs)
    rows = load(name).get("rows", {})
    for (own, variant), one in cells.items():
        found = collect(one) or {}
        rows.setdefault(own, {})[variant] = {key: found.get(key) for key in KEPT}
    result = {**origin(f"{name} --data-dir DIR"), "rows": rows}
    save(name, result)
    write_text(RESULTS / f"{name}.md", tables(result))


def variants(name: str) -> tuple[str, ...]:
    return tuple(TRUNKS) if name == MNIST else (*TRUNKS, LONGER)


def cell(name: str, data_dir: str, variant: str) -> Cell:
    config = Config.for_dataset(MNIST, epochs=EPOCHS) if name == MNIST else panel.cell(name, data_dir, 0).config
    config = config.replace(trunk=variant.split(",")[0], estimate=False)
    if variant == LONGER:
        points = len(panel.draw(name, data_dir, 0).x)
        config = config.replace(epochs=2 * default_epochs(config, points))
    return Cell(RUNS / "trunks" / f"{name}, {variant}", config)


def tables(result: dict[str, Any]) -> str:
    """results/trunks.md."""
    lines = []
    for name, row in result["rows"].items():
        for trunk, found in row.items():
            told = f"{found['unseen_training_error']:.1f}", f"{found['test_error']:.1f}"
            lines.append((name, trunk, *told, f"`{found['commit'][:8]}`"))
    head = "| set | trunk | unseen training error, % | test error, % | commit |"
    return "\n".join([HEAD, *table(head, lines), "", f"`{command_of(result)}` on {result['machine']}.", ""])


HEAD = f"""# Convolutions

Error of the defaults with fully connected networks (mlp) and with convolutions (conv), one draw of labels and weights:
five labels of each class, MNIST with 100 labels and {EPOCHS} epochs. The trunk may be chosen by the error on training
points whose labels training does not see, never by that on test points. A step with convolutions takes 7 to 11 times as
long, half a second of MNIST, whose {EPOCHS} epochs would take about two hours and were not run.
"""
