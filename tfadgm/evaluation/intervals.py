"""How well a few labels know an error: intervals, and pairs of methods on the same labels."""

from __future__ import annotations

import numpy as np

LEVEL = 0.95
SMOOTHING, STEPS = 0.1, 500  # labels of each class that are spread over all; of expectation maximisation


def error_interval(wrong: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """The share of points that are wrong, and the ends of its exact interval of LEVEL (Clopper and Pearson 1934).

    Where points have weights, the interval is that of as many points as the weights are worth (Kish 1965, section 8.2).

    Args:
        wrong: [L] bool.
        weights: [L], above 0; by default alike.

    Examples:
        >>> [round(value, 3) for value in error_interval(np.arange(50) < 3)]
        [0.06, 0.013, 0.165]
    """
    from scipy.stats import beta

    weights = np.ones(len(wrong)) if weights is None else weights
    share = float(np.average(wrong, weights=weights))
    points = weights.sum() ** 2 / np.square(weights).sum()
    missed, tail = share * points, (1 - LEVEL) / 2
    low = beta.ppf(tail, missed, points - missed + 1) if missed > 0 else 0.0
    high = beta.ppf(1 - tail, missed + 1, points - missed) if missed < points else 1.0
    return share, float(low), float(high)


def true_shares(confusion: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The shares of the classes [C] under which a classifier that confuses them so finds the shares `found` [C].

    The most likely ones, by expectation maximisation (Saerens et al. 2002; Lipton et al. 2018).

    Args:
        confusion: how often labels of each class are taken for each, [C, C], by a training without them.
        found: shares of the answers to all points, [C].

    Examples:
        >>> true_shares(np.array([[8, 2], [0, 10]]), np.array([0.4, 0.6])).round(2).tolist()
        [0.5, 0.5]
    """
    taken_for = confusion + SMOOTHING / len(found)
    taken_for = taken_for / taken_for.sum(1, keepdims=True)
    shares = np.full(len(found), 1 / len(found))
    for _ in range(STEPS):
        from_class = shares[:, None] * taken_for
        shares = (from_class / from_class.sum(0)) @ found
    return shares


def weights_of_classes(y: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weights by which labels y [L] stand for points whose classes have the shares [C], [L]: their mean is 1.

    Examples:
        >>> weights_of_classes(np.array([0, 0, 1, 1]), np.array([0.75, 0.25])).tolist()
        [1.5, 1.5, 0.5, 0.5]
    """
    counts = np.bincount(y, minlength=len(shares))
    weights = np.maximum(shares, 1e-3)[y] / counts[y]
    return weights / weights.mean()


def difference(wrong: np.ndarray, other: np.ndarray) -> float:
    """The p-value of two methods being wrong alike, from their answers to the same points (McNemar's exact test).

    Args:
        wrong, other: [L] bool.

    Examples:
        >>> difference(np.array([False] * 8), np.array([True] * 6 + [False] * 2))
        0.03125
    """
    from scipy.stats import binomtest

    ours, theirs = int((wrong & ~other).sum()), int((other & ~wrong).sum())
    return float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0
