"""Batch normalization that is told whose statistics to use."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

# The running averages, the batch, or the batch which then enters the averages.
BatchNormMode = Literal["average", "batch", "update"]


class BatchNorm(keras.layers.Layer):
    """Batch normalization (Ioffe and Szegedy 2015) of [N, units].

    Keras's own layer knows training or not; here each stream is normalized by its own batch, and one of them enters
    the running averages.

    Examples:
        >>> norm = BatchNorm()
        >>> norm.build((None, 1))
        >>> norm(tf.constant([[1.0], [3.0]]), bn_mode="batch").numpy().round(2).tolist()
        [[-1.0], [1.0]]
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: tuple) -> None:
        units = input_shape[-1:]
        self.gamma = self.add_weight(shape=units, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=units, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=units, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=units, initializer="ones", trainable=False, name="variance")

    def call(self, x: tf.Tensor, bn_mode: BatchNormMode = "average") -> tf.Tensor:
        if bn_mode == "average":
            mean, variance = self.mean.value, self.variance.value
        else:
            mean, variance = tf.nn.moments(x, [0])
        if bn_mode == "update":
            for average, value in ((self.mean, mean), (self.variance, variance)):
                average.assign(self.momentum * average + (1 - self.momentum) * value)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return x * scale + (self.beta - mean * scale)
