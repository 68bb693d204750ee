"""From the units of the data to those of the networks, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Scaling(keras.layers.Layer):
    """(x - shift) / scale on flattened features.

    Examples:
        >>> scaling = Scaling((2,))
        >>> scaling.build()
        >>> scaling.adapt(np.array([[0.0, 5.0], [2.0, 9.0]]), "gaussian")
        >>> scaling(np.array([[2.0, 5.0]])).numpy().tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, feature_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feature_shape = tuple(feature_shape)
        self.units = int(np.prod(self.feature_shape))

    def build(self, input_shape: Any = None) -> None:
        self.shift = self.add_weight(shape=[self.units], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=[self.units], initializer="ones", trainable=False, name="scale")

    def adapt(self, x: np.ndarray, likelihood: str, dequantize: bool = False) -> None:
        """Fits to x [N, *features]: Gaussian features to mean 0 and variance 1, Bernoulli ones into [0, 1].

        Gaussian images [N, height, width, channels] are fitted by channel, other Gaussian features one by one; to the
        variance of integers that are spread over their unit with `dequantize`.
        """
        if likelihood == "bernoulli":
            largest = max(1.0, float(x.max()))
            if x.dtype == np.uint8 and largest > 1:
                largest = 255.0
            shift, scale = np.zeros(()), np.full((), largest)
        else:
            axes = (0, 1, 2) if x.ndim == 4 else 0
            shift, variance = _moments(x, axes)
            scale = np.sqrt(variance + dequantize / 12)
            scale = np.where(scale <= 1e-6 * np.abs(shift), 1.0, scale)  # constant features
        for weight, value in ((self.shift, shift), (self.scale, scale)):
            weight.assign(np.broadcast_to(value, self.feature_shape).ravel())

    def call(self, x: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(tf.cast(x, tf.float32), [-1, self.units])
        return (rows - self.shift) / self.scale

    def invert(self, rows: tf.Tensor) -> tf.Tensor:
        """From [B, units] back to [B, *features] in the units of the data."""
        return tf.reshape(rows * self.scale + self.shift, [-1, *self.feature_shape])


def _moments(x: np.ndarray, axes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over `axes`, by a thousand examples: all of them would take eight bytes a feature."""
    mean = x.mean(axes, dtype=np.float64)
    squares = sum(np.square(x[first : first + 1000] - mean).sum(axes) for first in range(0, len(x), 1000))
    return mean, squares * mean.size / x.size
