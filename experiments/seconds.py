"""How long a run of the defaults takes on other people's data, without the estimate of its error.

    python -m experiments seconds                           scikit-learn's own sets
    python -m experiments seconds iris usps --data-dir DIR

Whole processes from start to report, one at a time on one thread, with nothing beside them: leave the machine idle.
The sets are those of `experiments.panel`, five labels of each class. Results go to results/seconds.json.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments import panel
from experiments.grid import RUNS, Cell, collect, complete
from experiments.results import load, origin, parser, save
from tfadgm.errors import InputError


def main(name: str, arguments: Sequence[str]) -> None:
    flags = parser(name, __doc__)
    flags.add_argument("sets", nargs="*", metavar="SET", help="(default: all)")
    flags.add_argument("--data-dir", help="the folder of the sets (default: scikit-learn's own)")
    asked = flags.parse_args(arguments)
    found = panel.every_set(asked.data_dir)
    if foreign := set(asked.sets) - set(found):
        raise InputError(f"Expected sets of {', '.join(found)}. Received: {', '.join(sorted(foreign))}")
    chosen = asked.sets or found
    panel.declare(chosen)
    rows = load(name).get("rows", {})
    for own in chosen:
        config = panel.cell(own, asked.data_dir, 0).config.replace(estimate=False)
        cell = Cell(RUNS / name / own, config)
        complete([cell], jobs=1, threads=1)
        if row := collect(cell):
            rows[own] = {key: row[key] for key in ("whole_process_seconds", "epochs", "test_error", "commit")}
    seconds = [row["whole_process_seconds"] for row in rows.values() if row["whole_process_seconds"]]
    told = {"median": round(float(np.median(seconds)), 1), "rows": dict(sorted(rows.items()))}
    save(name, {**origin(f"{name} --data-dir DIR"), **told})
