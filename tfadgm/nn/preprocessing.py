"""From the units of the data to those of the networks, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.nn.mlp import Example

REACH = 10.0  # deviations from the mean up to which a value counts; farther ones are drawn in
SUSPICIOUS = 0.8  # of the largest distance that is possible
COMPONENTS, NEARLY, LOOKED_AT = 5, 0.1, 2000  # so many columns at least; of a deviation; rows, for correlations
SMALLEST = 1e-35  # deviation that float32 can divide by


class Scaling(keras.layers.Layer):
    """(x - shift) / scale on flattened features; what is farther than REACH deviations away is drawn in.

    Args:
        feature_shape: shape of one example.
        feature_dtype: "float64" for features that lose what tells them apart in float32, such as Unix seconds.

    Raises:
        ValueError: on a call, if x has features of another shape.

    Examples:
        >>> scaling = Scaling((2,))
        >>> scaling.build()
        >>> scaling.adapt(np.array([[0.0, 5.0], [2.0, 9.0]]), "gaussian")
        >>> scaling(np.array([[2.0, 5.0]])).numpy().tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, feature_shape: Sequence[int], feature_dtype: str = "float32", **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.feature_shape, self.feature_dtype = tuple(feature_shape), feature_dtype
        self.units = Example(self.feature_shape)

    def build(self, input_shape: Any = None) -> None:
        self.shift = self.add_weight(shape=[self.units], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=[self.units], initializer="ones", trainable=False, name="scale")
        if self.feature_dtype == "float64":  # what float32 cannot hold of the shift
            self.shift_rest = self.add_weight(
                shape=[self.units], initializer="zeros", trainable=False, name="shift_rest"
            )

    def adapt(self, x: np.ndarray, likelihood: str, dequantize: bool = False) -> None:
        """Fits to x [N, *features]: Gaussian features to mean 0 and variance 1, Bernoulli ones into [0, 1],
        where 0 stays what it is unless some are below it.

        Gaussian images [N, height, width, channels] are fitted by channel, other Gaussian features one by one and
        without their outliers, but principal components together; to the variance of integers that are spread over
        their unit with `dequantize`.
        """
        if likelihood == "bernoulli":
            least = min(0.0, float(x.min()))
            moments: Any = least, largest_intensity(x) - least
        else:
            moments = standardization(x, dequantize)
        shift, scale = (np.broadcast_to(value, self.feature_shape).ravel() for value in moments)
        self.shift.assign(shift)
        self.scale.assign(scale)
        if self.feature_dtype == "float64":
            self.shift_rest.assign(shift - shift.astype(np.float32))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        if not x.shape[1:].is_compatible_with(self.feature_shape):
            raise ValueError(f"Expected features of shape {self.feature_shape}. Received: {tuple(x.shape[1:])}")
        rows = tf.reshape(tf.cast(x, self.feature_dtype), [-1, self.units])
        if self.feature_dtype == "float64":
            shifts = tf.cast(self.shift, tf.float64), tf.cast(self.shift_rest, tf.float64)
            rows = tf.cast(rows - shifts[0] - shifts[1], tf.float32)
        else:
            rows -= self.shift
        return draw_in(rows / self.scale)

    def invert(self, rows: tf.Tensor) -> tf.Tensor:
        """From [B, units] back to [B, *features] in the units of the data."""
        x = tf.cast(drawn_out(rows) * self.scale, self.feature_dtype) + tf.cast(self.shift, self.feature_dtype)
        if self.feature_dtype == "float64":
            x += tf.cast(self.shift_rest, tf.float64)
        return tf.reshape(x, [-1, *self.feature_shape])


def draw_in(z: tf.Tensor) -> tf.Tensor:
    """z within REACH; beyond it, its distance grows with the logarithm, so that no glitch outweighs a table."""
    size = tf.abs(z)
    return tf.sign(z) * (tf.minimum(size, REACH) + tf.math.log1p(tf.nn.relu(size - REACH)))


def drawn_out(z: tf.Tensor) -> tf.Tensor:
    """The inverse of `draw_in`."""
    size = tf.abs(z)
    return tf.sign(z) * (tf.minimum(size, REACH) + tf.math.expm1(tf.nn.relu(size - REACH)))


def largest_intensity(x: np.ndarray) -> float:
    """What stands for 1: the largest value, of bytes that use more than half of their range 255."""
    largest = float(x.max())
    return 255.0 if x.dtype == np.uint8 and largest > 127 else largest or 1.0


def byte_range(x: np.ndarray) -> tuple[float, ...]:
    """What the bytes 0 and 255 stand for in images x [N, *features]; empty where they cannot be told.

    Bytes are themselves. Of other numbers, those from 0 have the largest at 255, and those in [-1, 1] span it.
    """
    low, high = float(x.min()), float(x.max())
    if x.dtype == np.uint8 or (low >= 0 and 127 < high <= 255):
        return 0.0, 255.0
    if low >= 0:
        return 0.0, max(1.0, high)
    return (-1.0, 1.0) if low >= -1 and high <= 1 else ()


def standardization(x: np.ndarray, dequantize: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of Gaussian features x [N, *features], in float64; see `Scaling.adapt`."""
    axes: Any = (0, 1, 2) if x.ndim == 4 else 0
    mean, variance = _moments(x, axes)
    low, high = x.min(axes).astype(np.float64), x.max(axes).astype(np.float64)
    deviation = np.sqrt(variance + dequantize / 12)
    if x.ndim != 4:
        reach = min(REACH, SUSPICIOUS * max(0, len(x) - 1) ** 0.5)  # one value alone is sqrt(N - 1) away at most
        far = np.maximum(high - mean, mean - low) > reach * deviation
        for index in zip(*np.nonzero(far), strict=True):
            mean[index], deviation[index] = trimmed_moments(x[:, *index])
        if are_components(x, deviation):
            deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    return mean, np.where((low == high) & (not dequantize) | (deviation < SMALLEST), 1.0, deviation)


def are_components(x: np.ndarray, deviation: np.ndarray) -> bool:
    """Whether the columns of x [N, D] are principal components: their deviations [D] fall, and they do not correlate.

    They share a unit: scaled one by one, the noise of the last would count as much as the first.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=[100, 8]) * np.arange(8, 0, -1)
        >>> are_components(x, x.std(0)), are_components(x[:, ::-1], x[:, ::-1].std(0))
        (True, False)
    """
    if x.ndim != 2 or x.shape[1] < COMPONENTS or len(x) < COMPONENTS or (deviation <= 0).any():
        return False
    falling = np.sort(deviation)[::-1]
    if falling[0] < 2 * falling[-1] or np.abs(deviation / falling - 1).max() > NEARLY:
        return False
    correlation: Any = np.corrcoef(x[:LOOKED_AT].T.astype(np.float64))
    chance = 1 / min(len(x), LOOKED_AT)  # what the square of a correlation is by chance
    return bool(np.mean(correlation[np.triu_indices(len(correlation), 1)] ** 2) < 2 * chance)


def trimmed_moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of values [N] without those that are farther than REACH deviations from the rest.

    The rest is first all but the farthest hundredth. Where that is constant, the others are what the values have to
    tell, and are kept.
    """
    values = values.astype(np.float64)
    nearest = np.argsort(np.abs(values - np.median(values)), kind="stable")
    rest = values[nearest[: len(values) - -(-len(values) // 100)]]
    if not len(rest) or np.ptp(rest) == 0:
        return float(values.mean()), float(values.std())
    count = 0
    while len(rest) != count:
        count, mean, deviation = len(rest), rest.mean(), rest.std()
        if deviation < SMALLEST:
            return float(values.mean()), float(values.std())
        rest = values[np.abs(values - mean) <= REACH * deviation]
    return float(rest.mean()), float(rest.std())


def outliers(x: np.ndarray) -> dict[int, float]:
    """By column of x [N, D], how many deviations its farthest value is away, where that is more than REACH."""
    mean, deviation = standardization(x)
    farthest = np.maximum(x.max(0) - mean, mean - x.min(0)) / deviation
    return {int(column): float(farthest[column]) for column in np.flatnonzero(farthest > REACH)}


def _moments(x: np.ndarray, axes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over `axes`, a few examples at a time: all of them would take eight bytes a feature."""
    mean, rows = x.mean(axes, dtype=np.float64), min(1000, max(1, 2**23 // x[0].size))
    squares = sum(np.square(x[first : first + rows] - mean).sum(axes) for first in range(0, len(x), rows))
    return mean, squares * mean.size / x.size
