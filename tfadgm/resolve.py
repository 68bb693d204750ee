"""What the data decide: every choice that a user left open, filled in once, before a run is written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfadgm.config import AUTO, DERIVED, Config
from tfadgm.data.arrays import INTENSITIES
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.labels import FOLDS
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import InputError, line
from tfadgm.nn.preprocessing import Scaling
from tfadgm.nn.tables import TableEncoding

LEAST_EPOCHS, LEAST_STEPS = 25, 1000
SMALL, SMALL_UNITS, UNITS = 500, (64, 64), (128, 128)  # up to so many rows, small networks are enough
MOST_UNCOMPILED = 1500  # steps, up to which it takes longer to compile one than that saves
LARGE = 32  # pixels a side of images that are seen through convolutions
RADIUS, NEIGHBOR, LOOKED_AT = 0.3, 10, 1000  # of VAT: a share of the distance to such a neighbor, among so many points
ALPHA_SCALE = 0.1  # alpha = 0.1 N / N_labeled (Maaløe et al. 2016, section 3.3)


def resolve(config: Config, dataset: Dataset) -> Config:
    """`config` for training on `dataset`, with nothing left to decide; again, it stays as it is.

    Args:
        config: of a run.
        dataset: whose y holds the labels that training sees, and no others.

    Raises:
        InputError: if the likelihood or its noise do not suit the data.
    """
    filled: dict[str, Any] = {"likelihood": dataset.likelihood if config.likelihood == AUTO else config.likelihood}
    if not config.is_density:
        filled["label_seed"] = config.seed if config.label_seed is None else config.label_seed
        if config.alpha is None:
            filled["alpha"] = default_alpha(len(dataset.x), len(dataset.label_indices))
    config = config.replace(**filled)
    for name in DERIVED:
        if config.choices.get(name) == AUTO:
            config = config.replace(**{name: RULES[name](config, dataset)})
    config = config.replace(epochs=_epochs(config, dataset))
    _check_likelihood(config, dataset)
    if not config.is_density:
        class_shares(config, dataset)
    return config


LIKELIHOODS = {
    "mixed": "the product over the columns of a table",
    "bernoulli": "features that are 0 or 1, or intensities of an image",
    "gaussian": "numbers that are neither 0 and 1 nor intensities of an image",
}


def reasons(asked: Config, config: Config, dataset: Dataset) -> Iterator[str]:
    """What `asked` left to the data: the flag of each choice, its value in the resolved `config`, and why.

    Examples:
        >>> x, none = np.arange(60.0)[:, None], np.zeros(0, int)
        >>> data = Dataset(x, np.arange(60) % 2, x[:0], none, ("even", "odd"), "gaussian")
        >>> asked = Config.for_dataset("mine.npz")
        >>> next(reasons(asked, resolve(asked, data), data))
        '--likelihood gaussian: numbers that are neither 0 and 1 nor intensities of an image'
    """
    points, steps = len(dataset.x), steps_per_epoch(len(dataset.x), config.unlabeled_batch)
    why = {
        "likelihood": LIKELIHOODS[config.likelihood],
        "hidden_units": f"small networks are enough for up to {SMALL} points; there are {points}",
        "trunk": f"convolutions are for images of {LARGE} pixels a side or more",
        "vat_epsilon": f"of images, {RADIUS} times the distance to a near neighbor; some other data it ruins",
        "epochs": f"of {steps} steps; at least {LEAST_EPOCHS} epochs, and as many as learning takes",
        "xla": f"compiled from {MOST_UNCOMPILED} steps on, those for the estimate among them",
        "alpha": "0.1 N / labels (Maaløe et al. 2016)",
    }
    before, after = ({**vars(each), **each.choices} for each in (asked, config))
    for name, reason in why.items():
        if name in after and before.get(name) in (None, AUTO) and after[name] is not None:
            yield f"{_flag(name, after[name])}: {reason}"


def _flag(name: str, value: Any) -> str:
    """As on the command line."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{words}" if value else f"--no-{words}"
    shown = (
        " ".join(map(str, value))
        if isinstance(value, (list, tuple))
        else f"{value:g}"
        if isinstance(value, float)
        else value
    )
    return f"--{words} {shown}"


def default_epochs(config: Config, points: int) -> int:
    """LEAST_EPOCHS, or as many as make LEAST_STEPS steps, with convolutions, which learn in fewer, half as many."""
    steps = LEAST_STEPS // 2 if config.trunk == "conv" else LEAST_STEPS
    return max(LEAST_EPOCHS, -(-steps // steps_per_epoch(points, config.unlabeled_batch)))


def _epochs(config: Config, dataset: Dataset) -> int:
    return config.epochs or default_epochs(config, len(dataset.x))


def default_hidden_units(config: Config, dataset: Dataset) -> tuple[int, ...]:
    """The widths of the hidden layers."""
    return SMALL_UNITS if len(dataset.x) <= SMALL else UNITS


def default_trunk(config: Config, dataset: Dataset) -> str:
    """Convolutions for images of LARGE pixels a side or more, on which they err less: results/trunks.md."""
    shape = dataset.x.shape[1:]
    return "conv" if len(shape) in (2, 3) and min(shape[:2]) >= LARGE else "mlp"


def default_xla(config: Config, dataset: Dataset) -> bool:
    """Whether to compile the step, which trains folds of the labels too."""
    steps = _epochs(config, dataset) * steps_per_epoch(len(dataset.x), config.unlabeled_batch)
    return steps * (1 + FOLDS * config.estimate) > MOST_UNCOMPILED


def default_vat_epsilon(config: Config, dataset: Dataset) -> float:
    """The radius of VAT for intensities of images; 0 for other data, some of which it ruins: results/defaults.md."""
    if config.likelihood != "bernoulli" or dataset.x[0].size < INTENSITIES[0]:
        return 0.0
    return radius(dataset, config.likelihood)


RULES = {
    "hidden_units": default_hidden_units,
    "trunk": default_trunk,
    "vat_epsilon": default_vat_epsilon,
    "xla": default_xla,
}


def radius(dataset: Dataset, likelihood: str) -> float:
    """RADIUS times the median distance of LOOKED_AT scaled training points to their NEIGHBOR-th neighbor among them.

    Examples:
        >>> x, none = np.arange(30.0)[:, None], np.zeros(0, int)
        >>> data = Dataset(x, np.arange(30) % 2, x[:0], none, ("even", "odd"), "gaussian")
        >>> round(float(radius(data, "gaussian") * x.std()), 1)  # of neighbors that are 5 away
        1.5
    """
    from sklearn.neighbors import NearestNeighbors

    some = np.random.default_rng(0).permutation(len(dataset.x))[:LOOKED_AT]
    rows = fitted_scaling(dataset, likelihood)(dataset.x[some]).numpy()
    search = NearestNeighbors(n_neighbors=min(NEIGHBOR, len(rows) - 1)).fit(rows)
    return float(f"{RADIUS * np.median(search.kneighbors()[0][:, -1]):.3g}")


def fitted_scaling(dataset: Dataset, likelihood: str) -> Any:
    """The layer that scales the points of `dataset` as a model's own does."""
    scaling: Any = Scaling(dataset.x.shape[1:], "float64" if dataset.x.dtype == np.float64 else "float32")
    if dataset.schema is not None:
        scaling = TableEncoding(dataset.schema.to_json())
    scaling.build()
    scaling.adapt(dataset.x, likelihood)
    return scaling


def default_alpha(points: int, labels: int) -> float:
    """The weight of the classification term for `labels` among `points`."""
    return ALPHA_SCALE * points / labels


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
    if config.likelihood == "bernoulli" != dataset.likelihood and dataset.x.min() < 0:
        raise InputError(
            "Expected features of 0 or more for the bernoulli likelihood. "
            f"Received the minimum {dataset.x.min()}: choose --likelihood gaussian"
        )
