"""Data that only experiments have, under names that `python -m experiments train --dataset` and run folders know."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfadgm.data.arrays import likelihood_of
from tfadgm.data.dataset import Dataset, numbered
from tfadgm.data.sources import SOURCES
from tfadgm.data.tfds import mnist
from tfadgm.data.toy import digits, draw_moons, split_digits

HELD_OUT, UNTESTED, MOONS = "mnist, held out", "digits, no test points", "moons, labels drawn"
SPLITS = "digits, split by the seed"
HELD_OUT_POINTS = 10_000
FRESH = 1000  # the first split of the digits that no choice was made on


def held_out(data_dir: str | None = None, seed: int = 0) -> Dataset:
    """MNIST with the last points of its training set in place of the test points."""
    data = mnist(data_dir)
    train, judge = slice(-HELD_OUT_POINTS), slice(-HELD_OUT_POINTS, None)
    return dataclasses.replace(data, x=data.x[train], y=data.y[train], x_test=data.x[judge], y_test=data.y[judge])


def arrays(x: np.ndarray, y: np.ndarray) -> Dataset:
    """A user's own arrays, had someone labeled them all."""
    none = np.zeros(0, np.int64)
    return Dataset(x, y.astype(np.int64), x[:0], none, numbered(len(np.unique(y))), likelihood_of(x))


SOURCES[MOONS] = lambda data_dir, seed: arrays(*draw_moons(10_000, 0))
SOURCES[HELD_OUT] = held_out
SOURCES[SPLITS] = lambda data_dir, seed: split_digits(FRESH + seed)
SOURCES[UNTESTED] = lambda data_dir, seed: digits().without_tests()
