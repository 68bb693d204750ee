"""One classifier of several: a product of what the model and simpler methods say, each to the power of its weight.

A logarithmic opinion pool (Heskes 1998): log p(y|x) = sum_m w_m log p_m(y|x) + constant. The weights are those under
which labels are most likely that no method had seen, with a Gaussian prior around fixed ones: of a few labels they
learn little, of many what is true of these data. A method that is sure and wrong gets a small weight, one that is
modest and right a large one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.evaluation import baselines
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.models import Classifier
from tfadgm.training.supervised import teach

OURS, POOL = "model", "pool"
# Weights before a label is seen. Other methods, which err more or on the same points, made pools no better.
PRIOR = {
    OURS: 0.5, "logistic regression": 0.125, "support vectors": 0.125, "random forest": 0.125, "self-training": 0.125,
}  # fmt: skip
PRECISION = 4.0  # of the Gaussian prior around them
LEAST_WEIGHT = 0.01  # below which a method is left out
LEAST = 0.01  # probability of a class: how sure one method may be against the others


def pool_weights(probabilities: Mapping[str, np.ndarray], y: np.ndarray) -> dict[str, float]:
    """The weight of each method of PRIOR that there is.

    Args:
        probabilities: by method, of labels that it had not seen, [L, C] each.
        y: those labels, [L].

    Examples:
        >>> right, wrong = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.1, 0.9], [0.8, 0.2]])
        >>> found = pool_weights({"model": right, "random forest": wrong}, np.array([0, 1]))
        >>> found["model"] > 0.5, found["random forest"]
        (True, 0.0)
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    names = [name for name in PRIOR if name in probabilities]
    logs = np.log(np.maximum(np.stack([probabilities[name] for name in names]), LEAST))  # [M, L, C]
    first, rows = np.array([PRIOR[name] for name in names]), np.arange(len(y))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        log_p = log_softmax(np.tensordot(weights, logs, 1), axis=-1)  # [L, C]
        away = weights - first
        slope = np.einsum("lc,mlc->m", np.exp(log_p), logs) - logs[:, rows, y].sum(1) + PRECISION * away
        return PRECISION / 2 * np.square(away).sum() - log_p[rows, y].sum(), slope

    found = minimize(loss, first, jac=True, bounds=[(0, None)] * len(names)).x
    return dict(zip(names, found.tolist(), strict=True))


def pooled(probabilities: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The probabilities [N, C] of the pool, from those of the methods that have a weight, [N, C] each.

    Examples:
        >>> half = np.array([[0.5, 0.5]])
        >>> pooled({"model": np.array([[0.9, 0.1]]), "support vectors": half}, {"model": 0.5, "support vectors": 0.5})
        array([[0.75, 0.25]])
    """
    from scipy.special import softmax

    return softmax(sum(weights[name] * np.log(np.maximum(probabilities[name], LEAST)) for name in weights), axis=-1)


def cross_fitted(probabilities: Mapping[str, np.ndarray], y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """What the pool says of each label [L, C] by weights that the labels of its own fold had no part in."""
    told = np.zeros_like(next(iter(probabilities.values())), np.float64)
    for number in np.unique(fold):
        own = fold == number
        weights = pool_weights({name: each[~own] for name, each in probabilities.items()}, y[~own])
        told[own] = pooled({name: each[own] for name, each in probabilities.items()}, weights)
    return told


def teach_pool(weights: Mapping[str, float], config: Config, dataset: Dataset, model: Classifier) -> float:
    """Teaches a trained `model` what the pool says of training points; the percent of its answers that it gives.

    Where there is a label, the model learns that.
    """
    used = {name: weight for name, weight in weights.items() if weight >= LEAST_WEIGHT}
    dataset = baselines.some_points(dataset)
    found = {name: next(baselines.answers(name, config, [dataset])) for name in used if name != OURS}
    shares = pooled(found | {OURS: class_probabilities(model, dataset.x)}, used)
    labels = dataset.label_indices
    shares[labels] = np.eye(dataset.classes)[dataset.y[labels]]
    teach(model, dataset.x, shares)
    return round(100 * float(np.mean(class_probabilities(model, dataset.x).argmax(1) == shares.argmax(1))), 2)
