"""What the data decide: every choice that a user left open, filled in once, before a run is written down."""

from __future__ import annotations

import numpy as np

from tfadgm.config import AUTO, Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError

LEAST_EPOCHS, LEAST_STEPS = 25, 2000  # results/lengths.md tells what more steps bring
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
    config = config.replace(**filled)
    _check_likelihood(config, dataset)
    return config


def default_epochs(config: Config, points: int) -> int:
    """LEAST_EPOCHS, or as many as make LEAST_STEPS steps on so few `points`."""
    return max(LEAST_EPOCHS, -(-LEAST_STEPS // steps_per_epoch(points, config.unlabeled_batch)))


def default_alpha(points: int, labels: int, scale: float = ALPHA_SCALE) -> float:
    """The weight of the classification term for `labels` among `points`."""
    return scale * points / labels


def _check_likelihood(config: Config, dataset: Dataset) -> None:
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
