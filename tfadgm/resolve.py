"""What the data decide: every choice that a user left open, filled in once, before a run is written down."""

from __future__ import annotations

import numpy as np

from tfadgm.config import AUTO, DERIVED, Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError, line

LEAST_EPOCHS, LEAST_STEPS = 25, 2000  # results/lengths.md tells what more steps bring
SMALL, FEW_STEPS = 500, 1000  # up to so many rows, so many steps are enough, and so are small networks
SMALL_UNITS, UNITS = (64, 64), (256, 256)
ALPHA_SCALE = 0.1  # alpha = 0.1 N / N_labeled (Maaløe et al. 2016, section 3.3)


def resolve(config: Config, dataset: Dataset) -> Config:
    """`config` for training on `dataset`, with nothing left to decide; again, it stays as it is.

    Args:
        config: of a run.
        dataset: whose y holds the labels that training sees, and no others.

    Raises:
        InputError: if the likelihood or its noise do not suit the data.
    """
    filled = {
        "epochs": config.epochs or default_epochs(config, len(dataset.x)),
        "likelihood": dataset.likelihood if config.likelihood == AUTO else config.likelihood,
    }
    if not config.is_density:
        filled["label_seed"] = config.seed if config.label_seed is None else config.label_seed
        if config.alpha is None:
            filled["alpha"] = default_alpha(len(dataset.x), len(dataset.label_indices))
    rules = {"hidden_units": default_hidden_units, "xla": default_xla}
    filled |= {name: rules[name](len(dataset.x)) for name in DERIVED if config.choices.get(name) == AUTO}
    config = config.replace(**filled)
    _check_likelihood(config, dataset)
    if not config.is_density:
        class_shares(config, dataset)
    return config


def default_epochs(config: Config, points: int) -> int:
    """LEAST_EPOCHS, or as many as make LEAST_STEPS steps, FEW_STEPS on small data."""
    steps = FEW_STEPS if points <= SMALL else LEAST_STEPS
    return max(LEAST_EPOCHS, -(-steps // steps_per_epoch(points, config.unlabeled_batch)))


def default_hidden_units(points: int) -> tuple[int, ...]:
    """The widths of the hidden layers for training on `points` rows: results/lengths.md."""
    return SMALL_UNITS if points <= SMALL else UNITS


def default_xla(points: int) -> bool:
    """Whether to compile for training on `points` rows: on small data that takes longer than it saves."""
    return points > SMALL


def default_alpha(points: int, labels: int, scale: float = ALPHA_SCALE) -> float:
    """The weight of the classification term for `labels` among `points`."""
    return scale * points / labels


def class_shares(config: Config, dataset: Dataset) -> tuple[float, ...] | None:
    """p(y) at first, a share for each class of `dataset`; None where all are equal.

    Raises:
        InputError: if `class_prior` is none of its words, and no share above 0 for each class.
    """
    asked = config.class_prior
    if asked == "uniform":
        return None
    if asked in ("labels", "estimate"):
        counts = np.bincount(dataset.y[dataset.y != UNLABELED], minlength=dataset.classes) + 1.0  # a label of each more
        return tuple((counts / counts.sum()).tolist())
    try:
        shares = np.array([float(part) for part in asked.split(",")])
    except ValueError:
        shares = np.zeros(0)
    if len(shares) != dataset.classes or not (shares > 0).all() or not np.isfinite(shares).all():
        raise InputError(
            "Expected class_prior to be uniform, labels, estimate, or a share above 0 for each of the "
            f"{dataset.classes} classes {', '.join(map(line, dataset.class_names[:5]))}. Received: {asked!r}"
        )
    return tuple((shares / shares.sum()).tolist())


def _check_likelihood(config: Config, dataset: Dataset) -> None:
    if (config.likelihood == "mixed") != (dataset.schema is not None):
        raise InputError(
            "Expected the mixed likelihood with a table of columns, and with nothing else. "
            f"Received: {config.likelihood}: leave --likelihood out"
        )
    if config.dequantize:
        if config.likelihood != "gaussian":
            raise InputError(
                "Expected the gaussian likelihood with --dequantize. Received bernoulli: name --likelihood"
            )
        if any((part[:1000] != np.rint(part[:1000])).any() for part in (dataset.x, dataset.x_test)):
            raise InputError("Expected integers with --dequantize. Received fractions: leave it out")
    if config.likelihood == "bernoulli" and dataset.x.min() < 0:
        raise InputError(
            "Expected features of 0 or more for the bernoulli likelihood. "
            f"Received the minimum {dataset.x.min()}: choose --likelihood gaussian"
        )
