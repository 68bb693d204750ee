"""python -m experiments NAME ...: repeats a measurement; it writes results/NAME.json and the table made of it.

    digits, digits_splits, moons, mnist, mnist_100
                                          test errors by label seed, beside simpler methods and the paper
    mnist_epoch, mnist_{12,55,170}_epochs what a training of MNIST takes
    ablation, choices                     how the presets were chosen, on labels that training does not see
    step, serving, likelihood             what a training step, a served prediction, an estimate of log p(x) cost
    trust, compatibility                  how far served answers can be trusted, and by which releases of TensorFlow
    tuning                                what a search is worth
    panel, seconds                        the defaults on other people's data, and how long they take
    defaults                              rules for such data, on labels that training does not see
    trunks                                convolutions against fully connected networks
    readme                                puts the tables into README.md and docs/
    train                                 `tfadgm train`, with the data of `experiments.sources` beside its own

NAME --help tells more.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from experiments.errors import FLAGS
from tfadgm.cli import exit_status
from tfadgm.errors import InputError

MODULES = {
    **dict.fromkeys(FLAGS, "errors"),
    "choices": "unseen",
    **{
        name: name
        for name in (
            "ablation",
            "step",
            "serving",
            "trust",
            "likelihood",
            "compatibility",
            "panel",
            "seconds",
            "defaults",
            "trunks",
            "readme",
        )
    },
    "tuning": "tuning.command",
}


def main(arguments: Sequence[str] | None = None) -> None:
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(__doc__)
    elif name == "train":
        importlib.import_module("experiments.sources")
        importlib.import_module("experiments.panel").declare_for(rest)
        importlib.import_module("tfadgm.cli").train(rest)
    elif name in MODULES:
        importlib.import_module(f"experiments.{MODULES[name]}").main(name, rest)
    else:
        raise InputError(f"Expected one of {', '.join(MODULES)}. Received: {name}")


if __name__ == "__main__":
    sys.exit(exit_status("experiments", main))
