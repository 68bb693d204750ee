"""Whether a search can be trusted, and what it gains.

    python -m benchmarks.tuning digits        30 random trials by folds, every one then trained on all labels and tested
    python -m benchmarks.tuning moons
    python -m benchmarks.tuning digits-alone  30 trials trained on all labels, by objectives that ask for no more
    python -m benchmarks.tuning moons-alone
    python -m benchmarks.tuning gain          digits: a search and the preset, on ten label seeds that it has not seen
    python -m benchmarks.tuning short         the same by trials of fewer epochs than the preset's
    python -m benchmarks.tuning own           the same of the digits as a user's own arrays, with the preset of such
    python -m benchmarks.tuning speed         digits: trials a minute with one worker and two; nothing beside it
    python -m benchmarks.tuning ceiling       how many times the work of one training two at once do; nothing beside it

Test labels enter this report only: the search itself sees the labels of its training. Searches and trainings are kept
in runs/tuning/ and go on where they were stopped. Results go to results/tuning.json and results/tuning.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Callable
from typing import Any

from benchmarks.seeds import RESULTS
from benchmarks.tuning.gain import gain, own
from benchmarks.tuning.objectives import alone, correlation
from benchmarks.tuning.runs import SEARCHES
from benchmarks.tuning.speed import ceiling, speed
from benchmarks.tuning.tables import table
from tfadgm.provenance import commit, machine

MEASURED: dict[str, Callable[[int], dict[str, Any]]] = {
    **{name: functools.partial(correlation, name) for name in SEARCHES},
    **{f"{name}-alone": functools.partial(alone, name) for name in SEARCHES},
    "gain": functools.partial(gain, "gain", ["--labels", "50"], ["random"]),
    "short": functools.partial(gain, "short", SEARCHES["digits"], ["random", "bayesian"]),
    "own": own,
    "speed": lambda _: speed(),  # by itself
    "ceiling": lambda _: ceiling(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=MEASURED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time (default: one a core)")
    flags = parser.parse_args()
    for part in flags.parts:
        found = MEASURED[part](flags.jobs)
        path = RESULTS / "tuning.json"
        result = json.loads(path.read_text()) if path.exists() else {}
        result |= {"command": "python -m benchmarks.tuning " + " ".join(MEASURED)}
        result[part] = found | {"commit": commit(), "machine": machine()}
        path.write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "tuning.md").write_text(table(result, SEARCHES))


if __name__ == "__main__":
    main()
