"""Data that need no download: scikit-learn's digits, and half-moons."""

from __future__ import annotations

import numpy as np

from tfadgm.data.dataset import UNLABELED, Dataset, numbered

MOONS_NOISE = 0.2
MOONS_SHIFT = 1.5933
MOONS_LABELED = np.array(
    [[0.7, 1.7], [1.6, 2.6], [2.7, 1.7], [1.6, 2.0], [2.7, 1.1], [3.5, 2.0]], np.float32
)  # three points of each class
MOONS_TEST_SEED = 2**32 - 1  # no run has this seed, so no training point is a test point


def digits(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """scikit-learn's bundled 8x8 digits (UCI), 1797 real scans; 30 % are test points, evenly per class."""
    return split_digits(0)


def split_digits(split: int) -> Dataset:
    """The digits, of which other points are test points with another number `split`."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=split, stratify=y)
    return Dataset(x, y.astype(np.int64), x_test, y_test.astype(np.int64), numbered(10), "bernoulli")


def moons(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """The half-moons of Maaløe et al. 2016: six labeled and 10,000 unlabeled points, 10,000 test points."""
    x, _ = draw_moons(10_000, seed)
    x_test, y_test = draw_moons(10_000, MOONS_TEST_SEED)
    y = np.concatenate([np.repeat([0, 1], 3), np.full(len(x), UNLABELED)]).astype(np.int64)
    return Dataset(np.concatenate([MOONS_LABELED, x]), y, x_test, y_test, ("upper", "lower"), "gaussian")


def draw_moons(points: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [points, 2] of the two noisy half-moons and their class [points]."""
    from sklearn.datasets import make_moons

    x, y = make_moons(points, noise=MOONS_NOISE, random_state=seed)
    return (x + MOONS_SHIFT).astype(np.float32), y.astype(np.int64)
